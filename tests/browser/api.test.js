// The API for other pages: from a page of this site, and from another site's.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./browsers.js";
import { decodePng, encodePng, largestDifference, readGolden } from "./goldens.js";
import { RUN_TIMEOUT_MS, dist, start } from "./page.js";
import { serve } from "./server.js";

/** Largest difference of a channel, of 255: sums of f32 in another order are rounded differently. */
const TOLERANCE = 2;

let browser;
let golden;
/** The example page, with a model loaded as `styleid`. */
let shared;
before(async () => {
  golden = await readGolden("micro15.diffusers.n4.rect");
  browser = await start();
  shared = await browser.open();
  await shared.page.goto(`${shared.server.url}example.html`);
  await shared.page.evaluate(async () => {
    const { StyleID } = await import("./api.js");
    window.phases = new Set();
    window.styleid = await StyleID.load(
      { model: "micro15", device: "gpu" },
      { onProgress: ({ phase }) => window.phases.add(phase) },
    );
  });
});
after(() => browser?.close());

const asAddress = (picture) => `data:image/png;base64,${encodePng(picture).toString("base64")}`;

test("an element, bytes and a canvas as mask go in, the reference's picture comes out, with progress and previews", async () => {
  const outcome = await shared.page.evaluate(
    async ([content, style]) => {
      const { styleid, phases } = window;
      const bytes = (url) => Uint8Array.from(atob(url.split(",")[1]), (char) => char.charCodeAt(0));
      const element = new Image();
      element.src = URL.createObjectURL(new Blob([bytes(content)]));
      await element.decode();
      const previews = [];
      const onProgress = ({ phase }) => phases.add(phase);
      const given = bytes(style);
      const { blob, ...facts } = await styleid.stylize(
        { content: element, style: given, steps: 4, size: "keep", previewEvery: 2 },
        { onProgress, onPreview: ({ step, width, height }) => previews.push([step, width, height]) },
      );
      const mask = Object.assign(document.createElement("canvas"), { width: 2, height: 1 });
      mask.getContext("2d").fillStyle = "white";
      mask.getContext("2d").fillRect(0, 0, 1, 1);
      const again = await styleid.stylize({
        content: element,
        styles: [{ picture: given.buffer, mask }],
        steps: 4,
        size: "keep",
        gamma: 0.3,
      });
      const png = [...new Uint8Array(await blob.arrayBuffer())];
      const isWhole = given.byteLength > 0; // nothing was taken away from the caller
      return {
        png,
        facts,
        previews,
        phases: [...phases],
        layers: styleid.info.layers,
        isWhole,
        again: again.unetCalls,
      };
    },
    [asAddress(golden.content), asAddress(golden.style)],
  );
  const { width, height, rgb } = decodePng(Buffer.from(outcome.png));
  assert.deepEqual([width, height], [golden.image.width, golden.image.height]);
  assert.ok(largestDifference(rgb, golden.image.rgb) <= TOLERANCE);
  assert.deepEqual([outcome.facts.width, outcome.facts.height, outcome.facts.unetCalls], [width, height, 12]);
  assert.equal(outcome.again, 4, "the inversions were kept");
  assert.ok(
    outcome.previews.length > 0 && outcome.previews.every(([step]) => step % 2 === 0),
    String(outcome.previews),
  );
  assert.ok(
    ["load", "stylize", "decode"].every((phase) => outcome.phases.includes(phase)),
    String(outcome.phases),
  );
  assert.ok(outcome.layers.includes(7) && outcome.isWhole);
});

test("what is wrong gets a kind and a sentence", async () => {
  const errors = await shared.page.evaluate(async () => {
    const { styleid } = window;
    const { EngineError, StyleID } = await import("./api.js");
    const failure = (promise) =>
      promise.then(
        () => ["none"],
        (error) => [error instanceof EngineError ? error.kind : "other", error.message],
      );
    const text = new Blob(["Dear diary"]);
    const canvas = document.createElement("canvas");
    return {
      unknown: await failure(StyleID.load({ model: "nonesuch" })),
      files: await failure(StyleID.load({ model: [new File(["x"], "x.txt")] })),
      vae: await failure(StyleID.load({ model: "micro15", vae: [new File(["x"], "x.txt")] })),
      rest: await failure(StyleID.load({ model: "micro15", rest: "nonesuch" })),
      unet: await failure(StyleID.load({ model: "./models/micro15/unet/diffusion_pytorch_model.safetensors" })),
      cancelled: await failure(StyleID.load({ model: "micro15", device: "gpu" }, { signal: AbortSignal.abort() })),
      none: await failure(styleid.stylize({ content: text })),
      many: await failure(styleid.stylize({ content: text, styles: Array(5).fill(text) })),
      nothing: await failure(styleid.stylize({ content: null, style: text })),
      missing: await failure(styleid.stylize({ content: "no/such/picture.png", style: canvas })),
      picture: await failure(styleid.stylize({ content: text, style: canvas })),
      settings: await failure(styleid.stylize({ content: canvas, style: canvas, steps: 0 })),
      listener: await failure(styleid.stylize({ content: canvas, style: canvas, onPreview() {} })),
      option: await failure(styleid.stylize({ content: canvas, style: canvas, gama: 1 })),
      disposed: await failure(
        styleid.stylize({ content: canvas, style: canvas }, { onProgress: () => styleid.dispose() }),
      ),
    };
  });
  for (const [what, kind, sentence] of [
    ["unknown", "model", /“nonesuch” is neither one of demo, .* nor an address/],
    ["files", "model", /There is no model in “x\.txt”/],
    ["vae", "model", /There is no VAE in “x\.txt”/],
    ["rest", "model", /“nonesuch” is neither one of demo, .* nor an address/],
    ["unet", "model", /has the UNet only; .*VAE and text encoder/],
    ["cancelled", "cancelled", /Cancelled/],
    ["none", "settings", /Give one style/],
    ["many", "settings", /up to four/],
    ["nothing", "picture", /The content is no picture/],
    ["missing", "picture", /The content at no\/such\/picture\.png cannot be fetched \(HTTP 404\)/],
    ["picture", "picture", /./],
    ["settings", "settings", /steps/i],
    ["listener", "settings", /cannot be handed to the program/],
    ["option", "settings", /gama/],
    ["disposed", "cancelled", /Cancelled/],
  ]) {
    assert.equal(errors[what][0], kind, `${what}: ${errors[what]}`);
    assert.match(errors[what][1], sentence);
    assert.match(errors[what][1], /\.$/);
  }
});

test("a VAE and the rest of a UNet are taken from files, addresses and models of the list", async () => {
  const taken = await shared.page.evaluate(async () => {
    const { StyleID } = await import("./api.js");
    const info = async (options) => {
      const styleid = await StyleID.load({ weights: "exact", device: "gpu", ...options });
      const { name, taken } = styleid.info;
      styleid.dispose();
      return [name, taken];
    };
    const weights = "diffusion_pytorch_model.safetensors";
    const bytes = await (await fetch(`models/micro15/vae/${weights}`)).arrayBuffer();
    return {
      none: await info({ model: "micro15" }),
      file: await info({ model: "micro15", vae: [new File([bytes], "own.safetensors")] }),
      folder: await info({ model: "micro15", vae: new URL("models/micro15/vae/", document.baseURI) }),
      listed: await info({ model: "micro15", vae: "micro21b" }),
      unet: await info({ model: `./models/micro15/unet/${weights}`, rest: "micro15" }),
    };
  });
  const unet = taken.unet.shift();
  assert.match(unet, /diffusion_pytorch_model\.safetensors$/);
  assert.deepEqual(taken, {
    none: ["micro15", {}],
    file: ["micro15", { vae: "own.safetensors" }],
    folder: ["micro15", { vae: "vae" }],
    listed: ["micro15", { vae: "micro21b" }],
    unet: [{ text_encoder: "micro15", vae: "micro15" }],
  });
});

test("the example runs", async () => {
  const { page, server } = await browser.open();
  await page.goto(`${server.url}example.html?model=micro15&steps=2`);
  await page.getByRole("button", { name: "Repaint the photo" }).click();
  await page.getByText(/^Done in /).waitFor({ timeout: RUN_TIMEOUT_MS });
  await page.getByRole("img", { name: "The photo in the painting's style" }).waitFor();
  await page.context().close();
});

test("another site's page loads it, where this one's server allows that", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "styleid-other-"));
  await writeFile(path.join(folder, "index.html"), "<!doctype html><title>Another site</title>");
  const other = await serve(folder, "/");
  const own = await serve(dist, "/some/where/");
  // This server allows all origins by CORS, as GitHub Pages does.
  const open = createServer(async (request, response) => {
    const answer = await fetch(own.origin + request.url, {
      headers: request.headers.range ? { range: request.headers.range } : {},
    });
    const type = answer.headers.get("content-type") ?? "";
    response.writeHead(answer.status, { "content-type": type, "access-control-allow-origin": "*" });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => open.listen(0, "127.0.0.1", () => resolve(undefined)));
  const site = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (open.address()).port}/some/where/`;
  const window = await launch();
  t.after(async () => {
    await window.close();
    for (const server of [other, own]) server.close();
    open.close();
    open.closeAllConnections();
    await rm(folder, { recursive: true, force: true });
  });
  const page = await window.newPage();
  await page.goto(other.url);
  const outcome = await page.evaluate(async (site) => {
    const { StyleID } = await import(`${site}api.js`);
    const styleid = await StyleID.load({ model: "micro15", device: "gpu" });
    const error = await styleid.stylize({ content: new Blob(["x"]), style: new Blob(["y"]) }).catch(({ kind }) => kind);
    const kept = [];
    for await (const name of (await navigator.storage.getDirectory()).keys()) kept.push(name);
    return { name: styleid.info.name, error, kept };
  }, site);
  assert.deepEqual([outcome.error, outcome.kept], ["picture", ["styleid-models"]]);
  assert.match(outcome.name, /micro15/);
});

// WebKitGTK, which has no WebGPU: the page as far as this browser goes, painting on the processor.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { RUN_TIMEOUT_MS, dist } from "./page.js";
import { serve } from "./server.js";
import { WebKit, until } from "./webkit.js";

/** Largest difference of a channel, of 255, as in other browsers. */
const TOLERANCE = 2;

const picture = (/** @type {string} */ name) => fileURLToPath(new URL(`../../www/pictures/${name}`, import.meta.url));

/** @type {Awaited<ReturnType<typeof serve>>} */
let server;
/** @type {WebKit} */
let webkit;
before(async () => {
  server = await serve(dist, "/some/where/");
  webkit = await WebKit.launch();
  await webkit.goto(server.url);
  await until(() => webkit.evaluate(() => document.querySelector("#models option") !== null), "the list of models");
});
after(async () => {
  await webkit?.close();
  server?.close();
});

const status = () => webkit.text("[aria-label='Status of the run']");

test("what this browser lacks that the page can use is known", async (t) => {
  const has = await webkit.evaluate(() => ({
    webgpu: "gpu" in navigator,
    locks: "locks" in navigator,
    "service worker": "serviceWorker" in navigator,
    "private file system": "getDirectory" in (navigator.storage ?? {}),
    "Clipboard.write": typeof navigator.clipboard?.writeText === "function",
    "OffscreenCanvas 2d": typeof OffscreenCanvas === "function" && new OffscreenCanvas(1, 1).getContext("2d") !== null,
    "vector instructions": WebAssembly.validate(
      new Uint8Array([
        0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
      ]),
    ),
  }));
  t.diagnostic(JSON.stringify(has));
  assert.equal(has.webgpu, false);
  assert.equal(has["vector instructions"], true);
});

test("the page says that the processor paints", async () => {
  await until(async () => /The processor paints in this browser\./.test(await webkit.text("#doors")), "the line");
});

for (const [model, golden] of [
  ["micro15", "micro15.diffusers.n4.rect"],
  ["micro21b", "micro21b.diffusers.n4"],
]) {
  test(`${golden}: the API's picture is the reference's`, async (t) => {
    const { content, style, image } = await readGolden(golden);
    const base64 = await webkit.evaluate(
      async (/** @type {string} */ model, /** @type {string} */ content, /** @type {string} */ style) => {
        const bytes = (/** @type {string} */ text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
        const { StyleID } = await import(new URL("api.js", location.href).href);
        const styleid = await StyleID.load({ model });
        const { blob } = await styleid.stylize({
          content: bytes(content),
          style: bytes(style),
          steps: 4,
          size: "keep",
        });
        styleid.dispose();
        const png = new Uint8Array(await blob.arrayBuffer());
        return btoa(Array.from(png, (byte) => String.fromCharCode(byte)).join(""));
      },
      model,
      encodePng(content).toString("base64"),
      encodePng(style).toString("base64"),
    );
    const { rgb } = decodePng(Buffer.from(base64, "base64"));
    assert.ok(standardDeviation(rgb) > 20, "the picture is flat");
    const difference = largestDifference(rgb, image.rgb);
    t.diagnostic(`largest difference ${difference} of 255`);
    assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);
  });
}

test("pictures of this computer are repainted; the run can be cancelled, repeated and measured", async (t) => {
  await webkit.choose("#photo [data-part=input]", picture("photo-coffee.jpg"));
  await webkit.choose("#painting [data-part=input]", picture("style-van-gogh-auvers.jpg"));
  await until(async () => /photo-coffee\.jpg/.test(await webkit.text("#photo")), "the photo");
  await until(async () => /style-van-gogh-auvers\.jpg/.test(await webkit.text("#painting")), "the painting");
  await webkit.evaluate(() => {
    document.querySelector("#fine-tune").open = true;
    const steps = document.querySelector("#steps");
    steps.value = "3";
    steps.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await webkit.click("#go");
  await until(
    () => webkit.evaluate(() => /Inverting|Repainting/.test(document.body.innerText)),
    "the run",
    RUN_TIMEOUT_MS,
  );
  await webkit.evaluate(() =>
    [...document.querySelectorAll("button")].find((each) => each.innerText === "Cancel").click(),
  );
  await until(async () => (await status()).includes("Cancelled. Nothing was lost."), "the cancel");
  await webkit.click("#go");
  await until(async () => /^Done in .*, on the processor\.$/.test(await status()), "the result", RUN_TIMEOUT_MS);
  t.diagnostic(await status());
  await webkit.evaluate(() =>
    [...document.querySelectorAll("button")].find((each) => each.innerText === "Measure").click(),
  );
  await until(
    () => webkit.evaluate(() => /Measured: LPIPS 0\.\d/.test(document.body.innerText)),
    "the measures",
    RUN_TIMEOUT_MS,
  );
  assert.deepEqual(server.missing, []);
});

// A run that loses the GPU, its memory, the worker or the storage ends with a sentence, and the next run works without
// a reload.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHub } from "../hub/server.js";
import { notInFirefox } from "./browsers.js";
import { decodePng, encodePng, largestDifference, readGolden } from "./goldens.js";
import { start } from "./page.js";

/** Largest difference of a channel, of 255: sums of f32 in another order are rounded differently. */
const TOLERANCE = 2;
const MODEL = fileURLToPath(new URL("../fixtures/models/micro15", import.meta.url));

let browser;
let golden;
let page;
before(async () => {
  golden = await readGolden("micro15.diffusers.n4.rect");
  browser = await start();
});
afterEach(async () => {
  page?.server.prepend.clear();
  await page?.close();
  page = null;
});
after(() => browser?.close());

/** A script that makes the accidents happen in the worker on command. */
const ACCIDENTS = `{
  let device;
  const real = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...descriptor) {
    if (self.refusing) return Promise.reject(new TypeError("no device for now"));
    return (device = await real.apply(this, descriptor));
  };
  const error = () => new GPUUncapturedErrorEvent("uncapturederror", { error: new GPUOutOfMemoryError("Out of memory.") });
  new BroadcastChannel("accident").onmessage = ({ data }) => {
    if (data === "lost device") device.destroy();
    if (data === "no GPU memory") device.dispatchEvent(error());
    if (data === "dead worker") self.close();
    if (data === "a fault") queueMicrotask(() => { throw new Error("an accident"); });
    if (data === "a trap") self.styleidPanic("index out of bounds", "internal");
  };
}\n`;

/** Repaints the golden's pictures through the API; `accident` happens in the given phase. */
async function run(accident = null, phase = "invert") {
  const pictures = [golden.content, golden.style].map((picture) => encodePng(picture).toString("base64"));
  return page.page.evaluate(
    async ([[content, style], accident, phase]) => {
      const bytes = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const { StyleID } = await import("./api.js");
      const channel = new BroadcastChannel("accident");
      let isHit = false;
      const phases = new Set();
      const listeners = {
        onProgress: (event) => {
          phases.add(event.phase);
          if (!accident || isHit || !event.phase.startsWith(phase) || event.step < 1) return;
          isHit = true;
          channel.postMessage(accident);
        },
      };
      try {
        window.styleid ??= await StyleID.load({ model: "micro15", device: "gpu" }, listeners);
        const request = { content: bytes(content), style: bytes(style), steps: 4, size: "keep" };
        const { blob } = await window.styleid.stylize(request, listeners);
        const url = await new Promise((resolve) => {
          const reader = new FileReader();
          reader.onload = () => resolve(reader.result);
          reader.readAsDataURL(blob);
        });
        return { png: url.split(",")[1], phases: [...phases] };
      } catch (error) {
        return { kind: error.kind, message: error.message, phases: [...phases], isHit };
      } finally {
        channel.close();
      }
    },
    [pictures, accident, phase],
  );
}

/** Loads the model with a worker of its own. @returns the notices */
const load = () =>
  page.page.evaluate(async () => {
    const { StyleID } = await import("./api.js");
    const notices = [];
    const styleid = await StyleID.load(
      { model: "micro15", device: "gpu" },
      { onNotice: (sentence) => notices.push(sentence) },
    );
    styleid.dispose();
    return notices;
  });

function assertPicture({ png, message }) {
  assert.ok(png, message);
  const difference = largestDifference(decodePng(Buffer.from(png, "base64")).rgb, golden.image.rgb);
  assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);
}

test("lost devices, memory that runs out, faults and dead workers each end a run with a sentence, and no other", async (t) => {
  page = await browser.open();
  page.server.prepend.set("worker.js", ACCIDENTS);
  await page.page.goto(`${page.server.url}example.html`);
  // The accidents happen before most shaders are compiled, which takes far longer than all else on a software adapter.
  for (const [accident, phase, kind, sentence] of [
    ["lost device", "encode", "device", /^The GPU was lost /],
    ["dead worker", "load", "internal", /^The browser ended the program/],
    ["no GPU memory", "load", "memory", /^The GPU's memory ran out/],
    ["a trap", "load", "internal", /^The program hit a fault of its own \(index out of bounds\)/],
    ["a fault", "load", "internal", /^The program hit a fault of its own \(.*an accident\)/],
  ]) {
    // A run that gets so far proves that the accident before it has left nothing broken.
    const end = await run(accident, phase);
    t.diagnostic(`${accident}: ${end.kind}, ${end.message}`);
    assert.ok(end.isHit, `${accident} did not happen: ${JSON.stringify(end)}`);
    assert.equal(end.kind, kind, accident);
    assert.match(end.message, sentence);
    assert.match(end.message, /\.$/);
  }
  const last = await run();
  assertPicture(last);
  assert.ok(last.phases.includes("load"), "its worker was a fresh one");
});

test("a model that was thrown off the disk between two runs is fetched again", async () => {
  page = await browser.open();
  await page.page.goto(`${page.server.url}example.html`);
  await load();
  const fetched = () => page.requests.filter((url) => url.endsWith("unet/diffusion_pytorch_model.safetensors")).length;
  const before = fetched();
  const evict = async () => {
    await (await navigator.storage.getDirectory()).removeEntry("styleid-models", { recursive: true });
  };
  await load();
  assert.equal(fetched(), before, "it was on the disk");
  await page.page.evaluate(evict);
  await load();
  assert.ok(fetched() > before);
});

test("of two loads of a model at once the second waits, and has what the first has kept", async () => {
  page = await browser.open();
  await page.page.goto(`${page.server.url}example.html`);
  const notices = await page.page.evaluate(async () => {
    const { StyleID } = await import("./api.js");
    const load = async () => {
      const notices = [];
      const styleid = await StyleID.load(
        { model: "micro15", device: "gpu" },
        { onNotice: (sentence) => notices.push(sentence) },
      );
      styleid.dispose();
      return notices;
    };
    return Promise.all([load(), load()]);
  });
  assert.deepEqual(notices.flat(), ["Another tab is loading this model; this one goes on when that is done."]);
  const fetched = page.requests.filter((url) => url.endsWith("unet/diffusion_pytorch_model.safetensors")).length;
  await load();
  const again = page.requests.filter((url) => url.endsWith("unet/diffusion_pytorch_model.safetensors")).length;
  assert.ok(fetched > 0 && again === fetched, "the copy is whole");
});

test(
  "a full disk ends the keeping of a model, not its loading",
  notInFirefox("WebDriver BiDi sets no quota"),
  async (t) => {
    page = await browser.open();
    await page.page.goto(`${page.server.url}example.html`);
    const session = await page.page.context().newCDPSession(page.page);
    await session.send("Storage.overrideQuotaForOrigin", { origin: page.server.origin, quotaSize: 1e6 });
    const notices = await load();
    t.diagnostic(notices.join(" / "));
    assert.match(notices.join(), /could not be kept on disk .*quota is full/);
  },
);

test("on the page, a download that is gone from the disk is asked about again at the next visit", async () => {
  const root = await mkdtemp(path.join(tmpdir(), "styleid-hub-"));
  await mkdir(path.join(root, "someone"));
  await symlink(MODEL, path.join(root, "someone/micro15"));
  const hub = await startHub({ root });
  try {
    page = await browser.open(`?hub=${hub.hub}&weights=exact&model=someone/micro15`);
    const prepare = async () => {
      await page.drop(page.photo, encodePng(golden.content), "content.png");
      await page.drop(page.painting, encodePng(golden.style), "style.png");
      await page.waitForPicture(page.photo, "content.png · ");
      await page.waitForPicture(page.painting, "style.png · ");
      await page.set({ size: "keep", steps: 1 });
      await page.go.click();
    };
    await prepare();
    await page.agree();
    await page.facts.getByText("On this computer").waitFor({ timeout: 60_000 });
    await page.cancel.click();
    await page.waitForEnd();
    await page.page.evaluate(async () => {
      await (await navigator.storage.getDirectory()).removeEntry("styleid-models", { recursive: true });
    });
    hub.log.length = 0;
    page = await page.again(`?hub=${hub.hub}&weights=exact&model=someone/micro15`);
    await prepare();
    await page.consent.waitFor();
    assert.deepEqual(hub.log, [], "nothing is fetched before a yes");
    await page.agree();
    await page.facts.getByText("On this computer").waitFor({ timeout: 60_000 });
    assert.ok(hub.log.length > 0);
  } finally {
    hub.close();
    await rm(root, { recursive: true, force: true });
  }
});

/** The page with a worker to which accidents happen, ready for a long run. */
async function accidentProne() {
  page = await browser.open();
  page.server.prepend.set("worker.js", ACCIDENTS);
  await page.goto("?model=micro15");
  await page.choose(golden);
  await page.set({ size: "keep", steps: 40 });
}

/**
 * Makes an accident happen as soon as a run is about to make its first step. The page itself watches for that, because
 * a phase may be over before a test has seen it. `window.accidents` counts the accidents.
 * @param {string} accident @param {{ once: boolean }} how
 */
const befall = (accident, { once }) =>
  page.page.evaluate(
    ([accident, once]) => {
      const channel = new BroadcastChannel("accident");
      window.accidents = 0;
      const status = document.getElementById("status");
      const observer = new MutationObserver(() => {
        if (!/Encoding|Preparing/.test(status.textContent ?? "")) return;
        window.accidents += 1;
        channel.postMessage(accident);
        if (once) observer.disconnect();
      });
      observer.observe(status, { childList: true, characterData: true, subtree: true });
    },
    [accident, once],
  );

test("on the page, a run that loses its GPU while it is paused begins anew, and does not say that it is paused", async () => {
  await accidentProne();
  await page.go.click();
  await page.page.getByRole("button", { name: "Pause" }).click({ timeout: 120_000 }); // once the model is loaded
  await page.status.getByText("Paused.").waitFor();
  await page.page.evaluate(() => {
    const channel = new BroadcastChannel("accident");
    channel.postMessage("lost device");
    channel.close();
  });
  await page.notices.getByText(/^The GPU stopped; trying once more/).waitFor({ timeout: 60_000 });
  await page.status.getByText(/^(Loading|Encoding|Preparing|Inverting)/).waitFor({ timeout: 60_000 });
  assert.equal(await page.page.getByRole("button", { name: "Pause" }).count(), 1);
  assert.doesNotMatch(await page.page.title(), /Paused/);
  await page.cancel.click();
  assert.match(await page.waitForEnd(), /^Cancelled/);
});

test("on the page, a run after a lost device and one after a dead worker need no reload", async () => {
  await accidentProne();
  for (const accident of ["lost device", "dead worker"]) {
    await befall(accident, { once: true });
    await page.go.click();
    // The page says what happened. It may try again by itself, which is then cancelled here.
    await page.page
      .getByText(/The GPU was lost|The GPU stopped|The browser ended the program|The program stopped/)
      .filter({ visible: true }) // the folded list of models may have been asked for at the time
      .first()
      .waitFor({ timeout: 120_000 });
    if (await page.cancel.isVisible()) await page.cancel.click().catch(() => {}); // it may have ended meanwhile
    await page.waitForEnd();
  }
  await page.set({ steps: 4 });
  await page.go.click();
  assert.match(await page.waitForEnd(), /^Done in /);
  assertPicture({ png: (await page.download()).bytes.toString("base64") });
});

test("on the page, a worker that is killed again and again ends in a sentence, and the page is never reloaded", async () => {
  await accidentProne();
  let navigations = 0;
  page.page.on("framenavigated", () => (navigations += 1));
  await befall("dead worker", { once: false }); // as phones do that are short of memory
  await page.go.click();
  assert.match(await page.waitForEnd(), /^The browser ended the program|^The program /);
  const deaths = await page.page.evaluate(() => window.accidents);
  await sleep(3000);
  assert.ok(await page.cancel.isHidden(), "nothing begins by itself");
  assert.equal(await page.page.evaluate(() => window.accidents), deaths);
  assert.equal(navigations, 0);
  assert.ok(deaths <= 6, `${deaths} tries`);
});

test("on the page, a GPU that is lost while it is tested is said to be, and can be tested again", async () => {
  await accidentProne();
  await page.unfold("Diagnosis for a bug report");
  const told = page.page.getByRole("status", { name: "Test of this GPU" });
  const begun = () => page.page.getByRole("button", { name: /^Testing… \d+ of \d+$/ }).waitFor({ timeout: 120_000 });
  const test = page.page.getByRole("button", { name: "Test this GPU" });
  await test.click();
  await begun();
  await page.page.evaluate(() => {
    const channel = new BroadcastChannel("accident");
    channel.postMessage("lost device");
    channel.close();
  });
  await told.getByText(/^The test ended (at f\d+ [^:]+|early): The GPU was lost .*\.$/).waitFor({ timeout: 60_000 });
  const text = await page.page.getByLabel("Diagnosis", { exact: true }).inputValue();
  assert.match(text, /^f32 group_norm.*: ok/m, "what was known before is told");
  assert.match(text, /^The test ended .*: The GPU was lost /m);
  await test.click();
  await begun();
});

test("on the page, a test of the GPU is refused while a run goes on, which goes on", async () => {
  await accidentProne();
  await page.unfold("Diagnosis for a bug report");
  await page.go.click();
  await page.page
    .getByText(/Encoding|Preparing the GPU|Inverting/)
    .first()
    .waitFor({ timeout: 120_000 });
  await page.page.getByRole("button", { name: "Test this GPU" }).click();
  const told = page.page.getByRole("status", { name: "Test of this GPU" });
  await told.getByText("Something is still running here; cancel it or wait until it is done.").waitFor();
  await page.cancel.click();
  assert.match(await page.waitForEnd(), /^Cancelled/);
});

// The GPU memory that a run may take, and half precision: chosen on the page, passed to the program, kept for the next
// visit.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readGolden } from "./goldens.js";
import { start } from "./page.js";

let browser;
let golden;
before(async () => {
  browser = await start();
  golden = await readGolden("micro15.diffusers.n4.rect");
});
after(() => browser?.close());

/** A page that notes how models are loaded, and whose GPU says that it computes in half precision. */
async function visit() {
  const page = await browser.open();
  await page.page.context().addInitScript(() => {
    window.loaded = [];
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ...rest) {
      if (message.operation === "loadModel") window.loaded.push(message.options);
      return post.call(this, message, ...rest);
    };
    const features = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "features").get;
    Object.defineProperty(GPUAdapter.prototype, "features", {
      get() {
        return new Set([...features.call(this), "shader-f16"]);
      },
    });
  });
  return page;
}

const loaded = (page) => page.page.evaluate(() => window.loaded.map((o) => [o.gpuBytes, o.halfPrecision]));

test("memory and half precision reach the program, hold for the next visit, and what the GPU lacks gets a sentence", async () => {
  let page = await visit();
  // The first page was there before its GPU was masked, and SwiftShader has no f16.
  await page.unfold("This computer's GPU");
  await page.page.getByText("This GPU does not compute in half precision.").waitFor();
  assert.ok(await page.page.getByLabel("Compute in half precision").isDisabled());

  page = await page.again("?model=micro15");
  await page.choose(golden);
  await page.set({ size: "keep", steps: 1 });
  await page.unfold("This computer's GPU");
  await page.page.getByLabel("Memory for a run").selectOption("1.5 GB");
  await page.go.click();
  assert.match(await page.waitForEnd(), /^Done/);
  assert.deepEqual(await loaded(page), [[1.5 * 2 ** 30, false]]);

  await page.page.getByLabel("Compute in half precision").check();
  await page.go.click();
  assert.equal(await page.waitForEnd(), "This device's shaders have no f16; compute in f32, without half precision.");
  assert.deepEqual((await loaded(page)).at(-1), [1.5 * 2 ** 30, true]);

  page = await page.again("?model=micro15");
  await page.unfold("This computer's GPU");
  assert.equal(await page.page.getByLabel("Memory for a run").inputValue(), "1.5");
  assert.ok(await page.page.getByLabel("Compute in half precision").isChecked());
  await page.close();
});

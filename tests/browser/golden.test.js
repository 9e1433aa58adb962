// The whole job on the page equals the PyTorch reference: pictures dropped, a run on WebGPU, the PNG downloaded.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { start } from "./page.js";

/** Of 255: rounding of f32 that was summed in another order. */
const TOLERANCE = 2;

let browser;
/** One for all: a software adapter takes longer to compile the kernels than to run them. @type {import("./page.js").PageUnderTest} */
let page;
before(async () => {
  browser = await start();
  page = await browser.open("?model=micro15");
  await page.unfold("A model of your own");
});
after(() => browser?.close());

for (const [model, golden, isPicked, { version, steps } = { version: "diffusers", steps: 4 }] of [
  ["micro15", "micro15.diffusers.n4.rect", false],
  ["micro21b", "micro21b.diffusers.n4", false],
  // Timesteps in between whole ones, and a solver of second order.
  ["micro21b", "micro21b.fast.n10", false, { version: "fast", steps: 10 }],
  // Distilled: three levels without a mid block; the second one predicts v on a schedule that ends in nothing but noise.
  ["micro15bk_tiny", "micro15bk_tiny.diffusers.n4", true],
  ["micro21vbk_tinyz", "micro21vbk_tinyz.diffusers.n4", true],
]) {
  test(`${golden}: the downloaded picture is the reference's`, async (t) => {
    const { content, style, image } = await readGolden(golden);
    const seen = page.requests.length;
    if (isPicked) {
      const folder = fileURLToPath(new URL(`../fixtures/models/${model}`, import.meta.url));
      await page.page.getByLabel("Choose a model folder").setInputFiles(folder);
      await page.status.getByText(`The model ${model} is selected.`).waitFor();
    } else {
      await page.model.selectOption(model);
    }
    await page.weights.selectOption("exact");
    // Names of their own, so that no earlier picture is taken for one of these.
    await page.drop(page.photo, encodePng(content), `${golden} content.png`);
    await page.drop(page.painting, encodePng(style), `${golden} style.png`);
    await page.waitForPicture(page.photo, `${golden} content.png · ${content.width} × ${content.height}`);
    await page.waitForPicture(page.painting, `${golden} style.png · ${style.width} × ${style.height}`);
    await page.set({ size: "keep", steps });
    await page.page.getByLabel("Version", { exact: true }).selectOption(version);
    await page.go.click();
    const end = await page.waitForEnd();
    assert.match(end, /^Done in .*, with [1-9][\d.]* MB of the GPU's memory\.$/);

    const { name, bytes } = await page.download();
    assert.equal(name, `${golden} content in the style of ${golden} style.png`);
    const result = decodePng(bytes);
    assert.deepEqual([result.width, result.height], [image.width, image.height]);
    assert.ok(standardDeviation(result.rgb) > 20, "the picture is flat");
    const difference = largestDifference(result.rgb, image.rgb);
    t.diagnostic(`${golden}: largest difference ${difference} of 255; ${end}`);
    assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);

    // The worker's requests are seen too, so that what assertClean says of "all" requests holds.
    const files = ["styleid_bg.wasm", ...(isPicked ? [] : [`models/${model}/unet/config.json`])];
    for (const file of files) assert.ok(page.requests.includes(page.server.url + file), `${file} was not requested`);
    if (isPicked) {
      const asked = page.requests.slice(seen).filter((url) => !url.startsWith("blob:"));
      assert.deepEqual(asked, [], "picked files are read from where they are");
    }
    page.assertClean();
  });
}

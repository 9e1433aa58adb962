// The whole job on the page equals the PyTorch reference: pictures dropped, a run on WebGPU, the PNG downloaded.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { start } from "./page.js";

/** Of 255: rounding of f32 that was summed in another order. */
const TOLERANCE = 2;

let browser;
before(async () => (browser = await start()));
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
    const page = await browser.open(isPicked ? "" : `?model=${model}`);
    if (isPicked) {
      await page.unfold("A model of your own");
      const folder = fileURLToPath(new URL(`../fixtures/models/${model}`, import.meta.url));
      await page.page.getByLabel("Choose a model folder").setInputFiles(folder);
      await page.status.getByText(`The model ${model} is selected.`).waitFor();
      await page.weights.selectOption("exact");
    }
    await page.drop(page.photo, encodePng(content), "content.png");
    await page.drop(page.painting, encodePng(style), "style.png");
    await page.waitForPicture(page.photo, `content.png · ${content.width} × ${content.height}`);
    await page.waitForPicture(page.painting, `style.png · ${style.width} × ${style.height}`);
    await page.set({ size: "keep", steps });
    await page.page.getByLabel("Version", { exact: true }).selectOption(version);
    await page.go.click();
    const end = await page.waitForEnd();
    assert.match(end, /^Done in .*, with [1-9]\d* MB of the GPU's memory\.$/);

    const { name, bytes } = await page.download();
    assert.equal(name, "content in the style of style.png");
    const result = decodePng(bytes);
    assert.deepEqual([result.width, result.height], [image.width, image.height]);
    assert.ok(standardDeviation(result.rgb) > 20, "the picture is flat");
    const difference = largestDifference(result.rgb, image.rgb);
    t.diagnostic(`${golden}: largest difference ${difference} of 255; ${end}`);
    assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);

    // The worker's requests are seen too, so that what assertClean says of "all" requests holds.
    for (const file of ["styleid_bg.wasm", ...(isPicked ? [] : [`models/${model}/unet/config.json`])]) {
      assert.ok(page.requests.includes(page.server.url + file), `${file} was not requested`);
    }
    page.assertClean();
    await page.close();
  });
}

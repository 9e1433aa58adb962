// The whole job on the page equals the PyTorch reference: pictures dropped, a run on WebGPU, the PNG downloaded.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isFirefox } from "./browsers.js";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { start } from "./page.js";

/** Largest difference of a channel, of 255: sums of f32 in another order are rounded differently. */
const TOLERANCE = 2;
/** The same for f16, to which every branch of these random networks is rounded. Only Firefox's software adapter has f16. */
const HALF_TOLERANCE = 4;

let browser;
/**
 * One page for all tests: a software adapter takes longer to compile the kernels than to run them.
 * @type {import("./page.js").PageUnderTest}
 */
let page;
before(async () => {
  browser = await start();
  page = await browser.open("?model=micro15");
  await page.unfold("A model of your own");
  await page.unfold("This computer's GPU");
});
after(() => browser?.close());

for (const [model, golden, { version = "diffusers", steps = 4, isPicked = false, isHalf = false } = {}] of [
  ["micro15", "micro15.diffusers.n4.rect"],
  ["micro21b", "micro21b.diffusers.n4"],
  // This version has fractional timesteps and a solver of second order.
  ["micro21b", "micro21b.fast.n10", { version: "fast", steps: 10 }],
  // Distilled: three levels without a mid block. The second model predicts v on a schedule with zero terminal SNR.
  ["micro15bk_tiny", "micro15bk_tiny.diffusers.n4", { isPicked: true }],
  ["micro21vbk_tinyz", "micro21vbk_tinyz.diffusers.n4", { isPicked: true }],
  ["micro15", "micro15.diffusers.n4.rect", { isHalf: true }],
  ["micro21b", "micro21b.diffusers.n4", { isHalf: true }],
]) {
  const skip =
    (isFirefox && isPicked && "WebDriver BiDi chooses no folders") ||
    (!isFirefox && isHalf && "SwiftShader has no shader-f16");
  test(
    `${golden}${isHalf ? " in half precision" : ""}: the downloaded picture is the reference's`,
    { skip },
    async (t) => {
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
      await page.page.getByLabel("Compute in half precision").setChecked(isHalf);
      // Each test has names of its own, so that no earlier picture is mistaken for one of these.
      const name = isHalf ? `${golden} half` : golden;
      await page.drop(page.photo, encodePng(content), `${name} content.png`);
      await page.drop(page.painting, encodePng(style), `${name} style.png`);
      await page.waitForPicture(page.photo, `${name} content.png · ${content.width} × ${content.height}`);
      await page.waitForPicture(page.painting, `${name} style.png · ${style.width} × ${style.height}`);
      await page.set({ size: "keep", steps });
      await page.page.getByLabel("Version", { exact: true }).selectOption(version);
      await page.go.click();
      const end = await page.waitForEnd();
      assert.match(end, /^Done in .*, with [1-9][\d.]* MB of the GPU's memory\.$/);

      const { name: file, bytes } = await page.download();
      assert.equal(file, `${name} content in the style of ${name} style.png`);
      const result = decodePng(bytes);
      assert.deepEqual([result.width, result.height], [image.width, image.height]);
      assert.ok(standardDeviation(result.rgb) > 20, "the picture is flat");
      const difference = largestDifference(result.rgb, image.rgb);
      t.diagnostic(`${name}: largest difference ${difference} of 255; ${end}`);
      assert.ok(difference <= (isHalf ? HALF_TOLERANCE : TOLERANCE), `${difference} of 255 away from the reference`);

      // The worker's requests are seen too, so that what assertClean says of "all" requests holds.
      const files = ["styleid_bg.wasm", ...(isPicked ? [] : [`models/${model}/unet/config.json`])];
      for (const file of files) assert.ok(page.requests.includes(page.server.url + file), `${file} was not requested`);
      if (isPicked) {
        const asked = page.requests.slice(seen).filter((url) => !url.startsWith("blob:"));
        assert.deepEqual(asked, [], "picked files are read from where they are");
      }
      page.assertClean();
    },
  );
}

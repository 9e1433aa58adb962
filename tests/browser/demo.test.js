// The demonstration model, with which the page begins: the results of a visitor who changes nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "./page.js";

let browser;
before(async () => (browser = await start()));
after(() => browser?.close());

/**
 * The middle square of a picture, scaled to 32 × 32 pixels, each as red, green, blue.
 * @param {import("playwright-core").Page} page @param {string} url
 */
const pixels = (page, url) =>
  page.evaluate(async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const side = Math.min(image.naturalWidth, image.naturalHeight);
    const [x, y] = [(image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2];
    const context = new OffscreenCanvas(32, 32).getContext("2d");
    context.drawImage(image, x, y, side, side, 0, 0, 32, 32);
    const { data } = context.getImageData(0, 0, 32, 32);
    return Array.from({ length: 32 * 32 }, (_, i) => [...data.slice(4 * i, 4 * i + 3)]);
  }, url);

const light = (pixels) => pixels.map(([red, green, blue]) => red + green + blue);

/** @param {number[]} a @param {number[]} b */
function correlation(a, b) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  const sum = (f) => a.reduce((total, _, i) => total + f(a[i] - ma, b[i] - mb), 0);
  return sum((x, y) => x * y) / Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y));
}

test("the demonstration model repaints a photo: still the photo, no longer its colours", async (t) => {
  const page = await browser.open();
  await page.page.getByRole("button", { name: "Cup of coffee" }).click();
  await page.page.getByRole("button", { name: "Van Gogh, Cottages at Auvers" }).click();
  await page.waitForPicture(page.photo, "Cup of coffee");
  await page.waitForPicture(page.painting, "Van Gogh, Cottages at Auvers");
  assert.match(await page.model.locator("option:checked").innerText(), /^Demonstration · 12 MB/);
  assert.equal(await page.tickedLayers(), "3,4,5,6,7,8,9,10,11", "where the model practised injection");
  assert.ok(await page.page.getByRole("radio", { name: "Painted", exact: true }).isChecked(), "its own look");
  // With only two steps this version inverts in a single step, and does not find the photo's noise.
  await page.set({ steps: 3 });
  await page.go.click();
  const status = await page.waitForEnd();
  assert.match(status, /^Done in /);
  const megabytes = Number(/with (\d+) MB of the GPU's memory/.exec(status)?.[1]);
  assert.ok(megabytes < 250, `${status} Features hold buffers that are too large for them.`);
  const { bytes } = await page.download();
  const result = await pixels(page.page, `data:image/png;base64,${bytes.toString("base64")}`);
  const photo = await pixels(page.page, "pictures/photo-coffee.jpg");
  const painting = await pixels(page.page, "pictures/style-van-gogh-auvers.jpg");
  const toPhoto = correlation(light(result), light(photo));
  const toPainting = correlation(light(result), light(painting));
  const differences = result.flatMap((pixel, i) => pixel.map((value, channel) => Math.abs(value - photo[i][channel])));
  const apart = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  t.diagnostic(
    `light like the photo's ${toPhoto.toFixed(3)}, the painting's ${toPainting.toFixed(3)}; ${apart.toFixed(1)} of 255 apart`,
  );
  assert.ok(toPhoto > 0.6 && Math.abs(toPainting) < 0.4, `${toPhoto}, ${toPainting}`);
  assert.ok(apart > 15, `${apart} of 255`);
  page.assertClean();
});

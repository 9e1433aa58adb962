// More than one of each: several photos and paintings, queues, blends, masks, crops.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  button,
  caption,
  download,
  estimate,
  form,
  golden,
  history,
  open,
  page,
  queue,
  run,
  sample,
  visit,
} from "./flow.js";
import { decodePng, encodePng, largestDifference, standardDeviation } from "./goldens.js";
import { RUN_TIMEOUT_MS } from "./page.js";

/** The files of a ZIP whose files are stored as they are. @param {Buffer} zip @returns {Map<string, Buffer>} */
function unzip(zip) {
  const files = new Map();
  for (let at = 0; zip.readUInt32LE(at) === 0x04034b50;) {
    const [size, name, extra] = [zip.readUInt32LE(at + 18), zip.readUInt16LE(at + 26), zip.readUInt16LE(at + 28)];
    const begin = at + 30 + name + extra;
    files.set(zip.toString("utf8", at + 30, at + 30 + name), zip.subarray(begin, begin + size));
    at = begin + size;
  }
  return files;
}

test("two photos with two paintings: a queue that survives a cancel, and a zip at the end", async () => {
  await visit();
  const png = (picture, name) => ({ name, mimeType: "image/png", buffer: encodePng(picture) });
  await page.page
    .getByLabel("Choose a photo")
    .setInputFiles([png(golden.content, "a.png"), png(golden.style, "b.png")]);
  await page.page.getByLabel("Choose a painting").setInputFiles(png(golden.style, "x.png"));
  await page.waitForPicture(page.painting, "x.png");
  await page.page.getByLabel("Add paintings").setInputFiles(png(golden.content, "y.png"));
  await page.waitForPicture(page.painting, "y.png");
  await page.waitForPicture(page.photo, "a.png");
  await page.set({ size: "keep", steps: 5 });
  assert.match(await estimate().innerText(), /^4 results/);
  await page.go.click();
  await queue().getByText("is being painted").waitFor();
  await page.page.getByText(/1 of 4 · step \d+ of 5/).waitFor({ timeout: RUN_TIMEOUT_MS });
  await page.cancel.click();
  assert.match(await page.waitForEnd(), /^Cancelled\. Nothing was lost\. 4 still wait/);

  // One of them is not wanted any more; the others go on.
  await button("Cancel this: b.png × y.png").click();
  await button("Go on with the queue").click();
  await queue().getByText("1 of 4 done").waitFor({ timeout: RUN_TIMEOUT_MS });
  assert.match(await page.waitForEnd(), /^Done: 3 of 4 results\.$/);
  assert.equal(await history().count(), 3);
  const { name, bytes } = await download(button("Download all as a zip"));
  assert.equal(name, "StyleID results.zip");
  const files = unzip(bytes);
  assert.deepEqual(
    [...files.keys()],
    ["a in the style of x.png", "a in the style of y.png", "b in the style of x.png"],
  );
  for (const file of files.values()) assert.ok(standardDeviation(decodePng(file).rgb) > 5);

  await button("Try again: b.png × y.png").click();
  assert.match(await page.waitForEnd(), /^Done: 4 of 4 results\.$/);
  page.assertClean();
});

test("pictures are removed one by one, and one that is no picture leaves the others", async () => {
  await visit();
  await page.page.getByLabel("Choose a photo").setInputFiles([sample("photo-coffee"), sample("photo-bridge")]);
  await page.waitForPicture(page.photo, "photo-coffee.jpg · 600 × 400");
  assert.equal(await page.photo.getByRole("listitem").count(), 2);
  await page.drop(page.photo, Buffer.from("no picture"), "notes.txt", "text/plain");
  await page.photo.getByText("The photos chosen before are kept.").waitFor();
  await button("Show photo 2 of 2: photo-bridge.jpg").click();
  await page.waitForPicture(page.photo, "photo-bridge.jpg · ");
  await button("Remove photo-bridge.jpg").click();
  await page.waitForPicture(page.photo, "photo-coffee.jpg · 600 × 400");
  await page.photo.getByRole("button", { name: "Remove", exact: true }).click();
  assert.equal(await page.photo.getByRole("img", { name: "The chosen photo" }).count(), 0);
  await page.go.click();
  assert.match(await page.status.innerText(), /^Choose a photo first/);
});

/** An uncompressed TIFF, of one colour. @param {number} width @param {number} height */
function tiff(width, height) {
  const entries = [
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, 1, 8],
    [259, 3, 1, 1],
    [262, 3, 1, 1],
    [273, 4, 1, 8 + 2 + 8 * 12 + 4],
    [277, 3, 1, 1],
    [279, 4, 1, width * height],
  ];
  const file = Buffer.alloc(8 + 2 + entries.length * 12 + 4 + width * height, 0x80);
  file.write("II*\0", "latin1");
  file.writeUInt32LE(8, 4);
  file.writeUInt16LE(entries.length, 8);
  entries.forEach(([tag, type, count, value], i) => {
    const at = 10 + 12 * i;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(count, at + 4);
    file.writeUInt32LE(value, at + 8);
  });
  file.writeUInt32LE(0, 10 + 12 * entries.length);
  return file;
}

test("a picture that browsers do not show is shown", async () => {
  await visit();
  await page.drop(page.photo, tiff(48, 32), "scan.tiff", "image/tiff");
  await page.waitForPicture(page.photo, "scan.tiff · 48 × 32");
  const image = page.photo.getByRole("img", { name: "The chosen photo: scan.tiff" });
  await image.waitFor();
  await page.page.waitForFunction(() => document.querySelector("#photo [data-part=image]").naturalWidth === 48);
  assert.equal(await page.photo.locator("[data-part=facts]").innerText(), "scan.tiff · 48 × 32");
});

test("a crop is what is repainted", async () => {
  await open();
  await page.set({ size: "keep", steps: 1 });
  await page.photo.getByRole("button", { name: "Crop" }).click();
  const dialog = page.page.getByRole("dialog");
  await dialog.getByLabel("Width").fill("64");
  await dialog.getByRole("button", { name: "Done" }).click();
  await page.photo.getByText(/cropped to 64 × 64/).waitFor();
  await run();
  assert.match(await caption().innerText(), /^64 × 64 · /);
});

test("two paintings in one result: weights and the way of blending change it", async () => {
  await open();
  await page.set({ steps: 1 });
  await run();
  const alone = decodePng((await page.download()).bytes).rgb;
  await page.page.getByLabel("Add paintings").setInputFiles(sample("style-renoir-girls-at-the-piano"));
  await page.waitForPicture(page.painting, "style-renoir");
  await form("Blend them into one result").check();
  await run();
  assert.match(
    await caption().innerText(),
    / · 2 UNet evaluations · /,
    "the new painting's inversion, and the reverse step",
  );
  const both = decodePng((await page.download()).bytes).rgb;
  assert.ok(largestDifference(both, alone) > 2);
  await form("Weight of style.png").fill("0.1");
  await run();
  const other = decodePng((await page.download()).bytes).rgb;
  assert.ok(largestDifference(both, other) > 2);
  await form("Way of blending").selectOption("average");
  await run();
  assert.ok(largestDifference(decodePng((await page.download()).bytes).rgb, other) > 2);
  assert.equal((await page.download()).name, "content in the style of style and style-renoir-girls-at-the-piano.png");
});

test("a mask says where: white everywhere is no mask at all, and half of it leaves half of the picture", async () => {
  await open();
  await page.set({ steps: 1 });
  await run();
  const whole = decodePng((await page.download()).bytes).rgb;
  const paint = async (how) => {
    await button("Paint where the style goes").click();
    const dialog = page.page.getByRole("dialog");
    await dialog.getByRole("button", { name: how }).click();
    await dialog.getByRole("button", { name: "Done" }).click();
  };
  await paint("Nowhere");
  await page.page.getByText("Painted on content.png").waitFor();
  await run();
  assert.match(await caption().innerText(), / · 1 UNet evaluation,/);
  const nowhere = decodePng((await page.download()).bytes).rgb;
  assert.ok(largestDifference(nowhere, whole) > 2);
  await paint("Everywhere");
  await run();
  assert.ok(largestDifference(decodePng((await page.download()).bytes).rgb, whole) <= 1);
  await paint("Nowhere");
  await button("Forget where").click();
  await run();
  assert.ok(largestDifference(decodePng((await page.download()).bytes).rgb, whole) <= 1);
});

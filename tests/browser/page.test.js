// How the page behaves: cancelling, wrong input, no WebGPU, addresses.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { encodePng, readGolden } from "./goldens.js";
import { start } from "./page.js";

let browser;
let pictures;
before(async () => {
  browser = await start();
  const { content, style } = await readGolden("micro15.diffusers.n4.rect");
  pictures = { content: encodePng(content), style: encodePng(style) };
});
after(() => browser?.close());

async function openWithPictures(query) {
  const page = await browser.open(query);
  await page.drop(page.photo, pictures.content, "content.png");
  await page.drop(page.painting, pictures.style, "style.png");
  await page.waitForPicture(page.photo, "content.png · 128 × 64");
  await page.waitForPicture(page.painting, "style.png · 64 × 96");
  return page;
}

test("a run is cancelled promptly, and another one completes", async (t) => {
  const page = await openWithPictures("?model=micro15");
  await page.set({ size: "keep", steps: 100 });
  await page.go.click();
  await page.page.getByText(/step \d+ of 100/).waitFor({ timeout: 120_000 });
  const began = performance.now();
  await page.cancel.click();
  assert.equal(await page.waitForEnd(), "Cancelled. Nothing was lost.");
  const took = performance.now() - began;
  t.diagnostic(`cancelled after ${Math.round(took)} ms`);
  assert.ok(took < 9000, `cancelling took ${Math.round(took)} ms`);
  assert.ok(await page.page.getByRole("link", { name: "Download PNG" }).isHidden());

  await page.set({ steps: 2 });
  await page.go.click();
  assert.match(await page.waitForEnd(), /^Done in /);
  assert.ok(await page.page.getByRole("link", { name: "Download PNG" }).isVisible());
  page.assertClean();
  await page.close();
});

test("a text file dropped as a picture gives its sentence and keeps the earlier picture", async (t) => {
  const page = await openWithPictures("");
  await page.drop(page.photo, Buffer.from("Dear diary, this is no picture.\n"), "diary.txt", "text/plain");
  const alert = page.photo.getByRole("alert");
  await alert.filter({ hasText: "." }).waitFor();
  const sentence = await alert.innerText();
  t.diagnostic(sentence);
  assert.match(sentence, /The photo chosen before is kept\.$/);
  assert.ok(await page.photo.getByText("content.png · 128 × 64").isVisible());
  assert.ok(await page.photo.getByRole("img", { name: "The chosen photo: content.png" }).isVisible());

  // A picture that is cut short is refused, too.
  await page.drop(page.painting, pictures.style.subarray(0, 200), "cut.png");
  await page.painting.getByText("The painting chosen before is kept.").waitFor();

  // The next good picture takes the sentence away.
  await page.drop(page.photo, pictures.style, "style.png");
  await page.waitForPicture(page.photo, "style.png · 64 × 96");
  assert.equal(await alert.innerText(), "");
  page.assertClean();
  await page.close();
});

test("missing pictures and wrong parameters each give one sentence", async () => {
  const page = await openWithPictures("");
  for (const slot of [page.photo, page.painting]) await slot.getByRole("button", { name: "Remove" }).click();
  await page.go.click();
  assert.equal(
    await page.status.innerText(),
    "Choose a photo and a painting first: drop one on its place, or take a sample.",
  );
  await page.page.getByRole("button", { name: "Cup of coffee" }).click();
  await page.waitForPicture(page.photo, "Cup of coffee · 600 × 400");
  await page.go.click();
  assert.match(await page.status.innerText(), /^Choose a painting first/);
  await page.page.getByRole("button", { name: "Van Gogh, Cottages at Auvers" }).click();
  await page.waitForPicture(page.painting, "Van Gogh, Cottages at Auvers · 600 × 470");
  await page.set({ steps: 5000 });
  await page.go.click();
  assert.match(await page.status.innerText(), /^Steps must be a whole number from 2 to 999/);
  assert.ok(await page.page.getByLabel(/^Steps/).evaluate((field) => field === document.activeElement));
  // The smallest number of steps depends on the version.
  await page.set({ steps: 1 });
  const isValid = () => page.page.getByLabel(/^Steps/).evaluate((field) => field.checkValidity());
  assert.equal(await isValid(), false);
  await page.page.getByLabel("Version", { exact: true }).selectOption("diffusers");
  assert.equal(await isValid(), true);
  page.assertClean();
  await page.close();
});

test("versions bring their layers and steps along, and a reset brings the parameters back", async () => {
  const page = await browser.open("?model=micro21b");
  const layers = () => page.tickedLayers();
  const steps = page.page.getByLabel(/^Steps/);
  const gamma = page.page.getByLabel("Content kept");
  await page.set({ steps: 7 });
  assert.equal(await layers(), "7,8,9,10,11");
  await page.page.getByLabel("Version", { exact: true }).selectOption("ldm");
  assert.equal(await layers(), "6,7,8,9,10,11");
  assert.equal(await steps.getAttribute("placeholder"), "50");
  await page.page.getByRole("checkbox", { name: "3", exact: true }).check();
  await page.page.getByLabel("Version", { exact: true }).selectOption("diffusers");
  assert.equal(await layers(), "3,6,7,8,9,10,11", "own choices stay");
  await page.page.getByLabel("Version", { exact: true }).selectOption("fast");
  assert.equal(await steps.getAttribute("placeholder"), "10");
  await gamma.fill("0.3");
  assert.ok(await page.page.getByText("γ = 0.30").isVisible());

  await page.page.getByRole("button", { name: "Reset the parameters" }).click();
  await page.page.getByRole("checkbox", { name: "7", exact: true, checked: true }).waitFor();
  assert.equal(await layers(), "7,8,9,10,11");
  assert.ok(await page.page.getByText("γ = 0.75").isVisible());
  assert.equal(await steps.inputValue(), "");
  assert.equal(await steps.getAttribute("placeholder"), "20");
  assert.match(await page.model.locator("option:checked").innerText(), /SD 2\.x/);
  await page.close();
});

test("the layers are those of the model, by their levels, and a preset means levels", async () => {
  const page = await browser.open("?model=bk-base#model=bk-base&layers=2-9");
  const missing = page.page.getByRole("status", { name: "About the layers" });
  const sentence = "This model has no layer 9, but 2 to 7: it is left out.";
  await page.status.getByText(sentence).waitFor();
  assert.equal(await missing.innerText(), sentence);
  assert.equal(await page.tickedLayers(), "2");
  await page.page.getByText("64 × 64, texture").waitFor();
  await page.set({ size: "256" });
  await page.page.getByText("32 × 32, texture").waitFor();
  await page.page.getByRole("radio", { name: "Balanced" }).check();
  assert.equal(await page.tickedLayers(), "5,6,7");
  assert.equal(await missing.innerText(), "");
  await page.page.getByRole("radio", { name: "Subtle texture" }).check();
  assert.equal(await page.tickedLayers(), "6,7");
  await page.model.selectOption("bk-tiny");
  assert.equal(await page.tickedLayers(), "4,5");
  assert.equal(await page.page.getByRole("checkbox", { name: "7", exact: true }).count(), 0);
  await page.model.selectOption("sd15-q8");
  assert.equal(await page.tickedLayers(), "9,10,11");
  assert.ok(await page.page.getByRole("radio", { name: "Subtle texture" }).isChecked());
  await page.close();
});

test("a model's own look is there from the start, goes when another model comes, and stays once it is changed", async () => {
  const page = await browser.open();
  const radio = (name) => page.page.getByRole("radio", { name, exact: true });
  const version = page.page.getByLabel("Version", { exact: true });
  const redraw = page.page.getByLabel(/^Redraw:/);
  const band = page.page.getByLabel(/^Redrawn from:/);
  assert.ok(await radio("Painted").isChecked());
  assert.deepEqual([await version.inputValue(), await redraw.inputValue()], ["fast", "0.35"]);
  assert.ok(await band.isVisible());
  await page.page.getByText("The photo as a painting").waitFor();

  await page.model.selectOption("micro15");
  assert.ok(await radio("Balanced").isChecked());
  assert.deepEqual([await version.inputValue(), await redraw.inputValue()], ["diffusers", "0"]);
  assert.ok(await band.isHidden(), "it says nothing where nothing is redrawn");
  await page.model.selectOption("demo");
  assert.ok(await radio("Painted").isChecked());

  await radio("Bold").check();
  assert.deepEqual([await redraw.inputValue(), await band.inputValue()], ["0.4", "0.5"]);
  await page.model.selectOption("micro15");
  assert.ok(await radio("Bold").isChecked(), "a look that was chosen stays");
  await page.model.selectOption("demo");
  await page.page.getByRole("button", { name: "Reset the parameters" }).click();
  assert.ok(await radio("Painted").isChecked());

  await page.page.getByLabel(/^Strength of AdaIN:/).fill("0.25");
  assert.equal(await page.page.locator("input[name=look]:checked").count(), 0);
  await page.page.getByRole("checkbox", { name: "AdaIN", exact: true }).uncheck();
  assert.ok(await page.page.getByLabel(/^Strength of AdaIN:/).isHidden());
  await page.model.selectOption("micro15");
  assert.equal(await version.inputValue(), "fast", "own settings stay");
  page.assertClean();
  await page.close();
});

test("the model that suits this computer is marked, whatever is selected", async () => {
  const page = await browser.open("?model=micro15");
  const marked = page.model.locator("option", { hasText: "recommended" });
  await marked.waitFor({ state: "attached" });
  assert.equal(await marked.count(), 1);
  assert.match(await page.model.locator("option:checked").innerText(), /^Test model, SD 1\.x · /);
  await page.close();
});

test("a model's own choice of layers is ticked once it is loaded, and its run takes those", async () => {
  const page = await openWithPictures("?model=micro15");
  await page.page.context().route("**/models/micro15/unet/config.json", async (route) => {
    const config = await (await route.fetch()).json();
    await route.fulfill({ json: { ...config, _injection_layers: [3, 9] } });
  });
  await page.set({ size: "keep", steps: 2 });
  assert.equal(await page.tickedLayers(), "7,8,9,10,11", "not known before it is loaded");
  await page.go.click();
  assert.match(await page.waitForEnd(), /^Done in /);
  assert.equal(await page.tickedLayers(), "3,9");
  const foretold = page.page.getByText(/^Re-uses both inversions/);
  await foretold.waitFor();
  await page.page.getByRole("checkbox", { name: "7", exact: true }).check();
  await page.page.getByText(/^Needs new inversions/).waitFor();
  await page.page.getByRole("checkbox", { name: "7", exact: true }).uncheck();
  await foretold.waitFor();
  await page.model.selectOption("micro21b");
  await page.page.getByRole("button", { name: "Reset the parameters" }).click();
  assert.equal(await page.tickedLayers(), "7,8,9,10,11", "another model has not chosen");
  await page.model.selectOption("micro15");
  assert.equal(await page.tickedLayers(), "3,9", "what was met is remembered");
  await page.close();
});

test("a pasted picture and one from the file picker are taken", async () => {
  const page = await browser.open();
  await page.page
    .getByLabel("Choose a painting")
    .setInputFiles({ name: "a.png", mimeType: "image/png", buffer: pictures.style });
  await page.waitForPicture(page.painting, "a.png · 64 × 96");
  const base64 = pictures.content.toString("base64");
  await page.page.evaluate((base64) => {
    const clipboardData = new DataTransfer();
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, base64);
  await page.waitForPicture(page.photo, "Pasted picture · 128 × 64");
  page.assertClean();
  await page.close();
});

test("without WebGPU the page says what to do, and who insists on the GPU gets a sentence", async () => {
  const page = await browser.open();
  page.server.prepend.set("worker.js", 'Reflect.deleteProperty(WorkerNavigator.prototype, "gpu");\n');
  await page.page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "gpu"));
  await page.goto("");
  await page.page.getByText("The processor paints in this browser.").click();
  await page.page.getByText("This browser has no WebGPU, so the processor paints").waitFor();
  await page.drop(page.photo, pictures.content, "content.png");
  await page.waitForPicture(page.photo, "content.png · 128 × 64");
  // A person who tries the GPU anyway gets plain words, not names of programming interfaces.
  await page.go.click();
  await page.status.getByText(/^This browser offers no GPU to web pages: [^()]*\.$/).waitFor({ timeout: 60_000 });
  page.server.prepend.clear();
  await page.close();
});

test("?model= selects by id and by address, and says so when it can do neither", async () => {
  const page = await browser.open("?model=micro21b");
  const selected = page.model.locator("option:checked");
  assert.match(await selected.innerText(), /SD 2\.x/);
  await page.goto("?model=./models/micro15");
  assert.match(await selected.innerText(), /^Model at 127\.0\.0\.1:\d+\/some\/where\/models\/micro15$/);
  await page.goto("?model=models/micro15");
  assert.equal(await selected.innerText(), "models/micro15");
  assert.equal(await page.facts.innerText(), "Size not known yet, fetched once from huggingface.co.");
  await page.goto("?model=nonesuch");
  assert.match(await page.status.innerText(), /neither one of demo, bk-tiny, .*, micro21b nor the name of one/);
  assert.match(await selected.innerText(), /Demonstration/);
  await page.goto("?model=micro21b&weights=q8&hub=nowhere");
  assert.equal(await page.weights.inputValue(), "q8");
  assert.match(await page.status.innerText(), /“nowhere” in place of the Hugging Face Hub/);
  await page.close();
});

test("a model that is not there is named in the sentence", async (t) => {
  const page = await openWithPictures("?model=./models/nothing-here/");
  await page.go.click();
  await page.agree();
  const end = await page.waitForEnd();
  t.diagnostic(end);
  assert.match(end, /nothing-here/);
  page.server.missing.length = 0; // these 404s are the point
  await page.close();
});

// Browsers without WebGPU, and whoever chooses the processor: everything runs there, and nothing of the GPU's program is
// fetched.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { decodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { RUN_TIMEOUT_MS, start } from "./page.js";

/** Largest difference of a channel, of 255, as for the GPU. */
const TOLERANCE = 2;

const repository = fileURLToPath(new URL("../../", import.meta.url));
/** The command line, which `./dev test` has built. */
const program = path.join(
  process.env.CARGO_TARGET_DIR ?? path.join(homedir(), ".cache/styleid-target"),
  "release/styleid",
);

let browser;
/** @type {import("./page.js").PageUnderTest} */
let page;
before(async () => {
  browser = await start({ hasGpu: false });
  page = await browser.open("?device=auto&model=micro15");
});
after(() => browser?.close());

/** @param {import("./page.js").PageUnderTest} page */
function assertProcessorOnly({ requests, server }) {
  assert.ok(requests.includes(`${server.url}processor_bg.wasm`));
  for (const file of ["styleid.js", "styleid_bg.wasm"]) {
    assert.ok(!requests.includes(server.url + file), `${file} was fetched, though there is no GPU`);
  }
}

test("without WebGPU the page says calmly what paints, and what a GPU would bring", async () => {
  const line = page.page.getByText(/^The processor paints (in this browser|here: no graphics card was found)\.$/);
  await line.waitFor();
  await line.click();
  await page.page.getByText(/so the processor paints: .*For a graphics card, which takes seconds, /).waitFor();
});

for (const [model, golden] of [
  ["micro15", "micro15.diffusers.n4.rect"],
  ["micro21b", "micro21b.diffusers.n4"],
]) {
  test(`${golden}: the downloaded picture is the reference's`, async (t) => {
    const reference = await readGolden(golden);
    await page.model.selectOption(model);
    await page.choose(reference);
    await page.set({ size: "keep", steps: 4 });
    await page.page.getByLabel("Version", { exact: true }).selectOption("diffusers");
    await page.go.click();
    const end = await page.waitForEnd();
    assert.match(end, /^Done in .*, on the processor\.$/);
    const result = decodePng((await page.download()).bytes);
    assert.ok(standardDeviation(result.rgb) > 20, "the picture is flat");
    const difference = largestDifference(result.rgb, reference.image.rgb);
    t.diagnostic(`largest difference ${difference} of 255; ${end}`);
    assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);
    assertProcessorOnly(page);
    page.assertClean();
  });
}

test("a run pauses and goes on, and a cancelled one stops within half a second", async (t) => {
  await page.set({ steps: 60 });
  await page.go.click();
  const pause = page.page.getByRole("button", { name: "Pause", exact: true });
  await pause.click();
  await page.page.getByRole("button", { name: "Go on", exact: true }).click();
  await page.page
    .getByText(/Repainting|Inverting/)
    .first()
    .waitFor({ timeout: RUN_TIMEOUT_MS });
  const began = performance.now();
  await page.cancel.click();
  await page.status.getByText("Cancelled. Nothing was lost.").waitFor();
  const took = performance.now() - began;
  t.diagnostic(`cancelled after ${took.toFixed(0)} ms`);
  assert.ok(took < 1000, `it took ${took} ms`); // half a second, and as much for the test's own way there
});

test("the self-test and the diagnosis say processor", async () => {
  await page.unfold("Diagnosis for a bug report");
  await page.page.getByRole("button", { name: "Test this GPU" }).click();
  const told = page.page.getByRole("status", { name: "Test of this GPU" });
  await told
    .getByText(/^This processor computes (everything right|right all that was tested, .*)\.$/)
    .waitFor({ timeout: 300_000 });
  const text = await page.page.getByLabel("Diagnosis", { exact: true }).inputValue();
  assert.match(text, /^Kernels: processor, with vector instructions/m);
  assert.match(text, /^Processor test: \d+ of \d+ kernels in [\d.]+ s$/m);
  assert.match(text, /^Processor: \d+ threads, with vector instructions$/m);
});

test("the first picture of a visitor who changes nothing is the command line's, and can be measured", async (t) => {
  const first = await browser.open("?device=auto");
  await first.page.getByRole("button", { name: "Van Gogh, Cottages at Auvers" }).click();
  await first.waitForPicture(first.painting, "Van Gogh, Cottages at Auvers");
  await first.page.getByRole("button", { name: "Cup of coffee" }).click();
  await first.waitForPicture(first.photo, "Cup of coffee");
  await first.set({ steps: 3 });
  await first.go.click();
  const end = await first.waitForEnd();
  assert.match(end, /^Done in .*, on the processor\.$/);
  const result = decodePng((await first.download()).bytes);
  const folder = await mkdtemp(path.join(tmpdir(), "styleid-native-"));
  try {
    const out = path.join(folder, "result.png");
    const pictures = path.join(repository, "www/pictures");
    await promisify(execFile)(program, [
      ...["stylize", "--content", path.join(pictures, "photo-coffee.jpg")],
      ...["--style", path.join(pictures, "style-van-gogh-auvers.jpg"), "--out", out],
      ...["--model", path.join(repository, "crate/demo/demo.styleid.gguf"), "--look", "painted", "--steps", "3"],
      ...["--device", "cpu", "--precision", "f32"],
    ]);
    const native = decodePng(await readFile(out));
    const sum = result.rgb.reduce((sum, value, i) => sum + Math.abs(value - native.rgb[i]), 0);
    const mean = sum / result.rgb.length;
    t.diagnostic(`${end} Mean difference from the command line: ${mean.toFixed(4)} of 255`);
    assert.ok(mean <= 1, `${mean} of 255`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  assert.match(await first.measure(), /^Measured: LPIPS 0\.\d/);
  assertProcessorOnly(first);
  first.assertClean();
  await first.close();
});

test("a large model asks before it takes an hour, and nothing is fetched of it until then", async () => {
  const large = await browser.open("?device=auto&model=sd15-q8");
  await large.choose(await readGolden("micro15.diffusers.n4.rect"));
  await large.go.click();
  const asked = large.page.getByRole("dialog", { name: "Paint this on the processor?" });
  await asked.getByText(/^On this device's processor a picture by .* takes about [\d.]+ (min|h), /).waitFor();
  await asked.getByRole("button", { name: "Not now" }).click();
  assert.equal(await large.waitForEnd(), "Nothing was computed.");
  await large.go.click();
  await asked.getByRole("button", { name: "Paint it" }).click();
  await large.consent.getByRole("button", { name: /^Download/ }).waitFor(); // the next question
  await large.consent.getByRole("button", { name: "Not now" }).click();
  assert.equal(await large.waitForEnd(), "Nothing was downloaded.");
  large.assertClean();
  await large.close();
});

test("a device is chosen in the settings, kept in links, and said where there is none of that name", async () => {
  const other = await browser.open("?device=tpu&model=micro15");
  await other.status
    .getByText("The address asks for the device “tpu”, which is none of auto, gpu, cpu: the page chooses.")
    .waitFor();
  await other.unfold("This computer's GPU");
  await other.page.getByLabel("Compute on").selectOption("gpu");
  await other.choose(await readGolden("micro15.diffusers.n4.rect"));
  await other.set({ size: "keep", steps: 2 });
  await other.go.click();
  assert.match(await other.waitForEnd(), /no GPU/);
  await other.page.getByLabel("Compute on").selectOption("cpu");
  await other.go.click();
  assert.match(await other.waitForEnd(), /^Done in .*, on the processor\.$/);
  await other.page.goto("about:blank");
  await other.page.goto(`${other.server.url}#model=micro15&device=cpu`);
  await other.openFolds();
  await other.unfold("This computer's GPU");
  assert.equal(await other.page.getByLabel("Compute on").inputValue(), "cpu");
  await other.close();
});

test("the API takes a device, and says what is none", async () => {
  const { page: tab } = page;
  const outcome = await tab.evaluate(async () => {
    const { StyleID } = await import("./api.js");
    const sentence = (promise) =>
      promise.then(
        () => "",
        ({ kind, message }) => `${kind}: ${message}`,
      );
    const styleid = await StyleID.load({ model: "micro15", device: "cpu" });
    const { name } = styleid.info;
    styleid.dispose();
    return {
      name,
      gpu: await sentence(StyleID.load({ model: "micro15", device: "gpu" })),
      wrong: await sentence(StyleID.load({ model: "micro15", device: "tpu" })),
    };
  });
  assert.equal(outcome.name, "micro15");
  assert.match(outcome.gpu, /^unsupported: /);
  assert.match(outcome.wrong, /^settings: “tpu” is no device: give one of auto, gpu, cpu\.$/);
});

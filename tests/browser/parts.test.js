// Models put together on the page, from the Hub and from this computer: another VAE, and the parts that a file with
// only a UNet lacks.

import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHub } from "../hub/server.js";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { start } from "./page.js";

/** Largest difference of a channel, of 255: sums of f32 in another order are rounded differently. */
const TOLERANCE = 2;
const MODEL = fileURLToPath(new URL("../fixtures/models/micro15", import.meta.url));
const WEIGHTS = "diffusion_pytorch_model.safetensors";

let browser;
let hub;
let root;
/**
 * The page that all tests share: compiling a run's shaders takes far longer than all else.
 * @type {import("./page.js").PageUnderTest}
 */
let page;
/** The results of one step with the model's own VAE, and with one that decodes everything to its negative. */
let expected;
let negated;
before(async () => {
  root = await mkdtemp(path.join(tmpdir(), "styleid-parts-"));
  const repo = async (name) => {
    const folder = path.join(root, "someone", name);
    await mkdir(folder, { recursive: true });
    return folder;
  };
  await repo("");
  await symlink(MODEL, path.join(root, "someone/micro15"));
  const negative = await repo("negative");
  await copyFile(path.join(MODEL, "vae/config.json"), path.join(negative, "config.json"));
  await writeFile(path.join(negative, WEIGHTS), negativeVae(await readFile(path.join(MODEL, "vae", WEIGHTS))));
  const scaled = await repo("scaled");
  const config = JSON.parse(await readFile(path.join(MODEL, "vae/config.json"), "utf8"));
  await writeFile(path.join(scaled, "config.json"), JSON.stringify({ ...config, scaling_factor: 0.13025 }));
  await copyFile(path.join(MODEL, "vae", WEIGHTS), path.join(scaled, WEIGHTS));
  await copyFile(path.join(MODEL, "unet", WEIGHTS), path.join(await repo("unet"), "unet.safetensors"));
  hub = await startHub({ root });
  browser = await start();

  const golden = await readGolden("micro15.diffusers.n4.rect");
  page = await browser.open(query());
  await page.drop(page.photo, encodePng(golden.content), "content.png");
  await page.drop(page.painting, encodePng(inverse(golden.content)), "style.png");
  await page.waitForPicture(page.photo, "content.png · ");
  await page.waitForPicture(page.painting, "style.png · ");
  await page.set({ size: "keep", steps: 1 });
  await page.unfold("A model of your own");
  await page.unfold("Another VAE, or the rest of a UNet");
  expected = decodePng(await run({ asks: true }));
  assert.ok(standardDeviation(expected.rgb) > 20, "the picture is flat");
  negated = inverse(expected);
});
afterEach(() => hub.reset());
after(async () => {
  await browser?.close();
  hub?.close();
  if (root) await rm(root, { recursive: true, force: true });
});

const query = () => `?hub=${hub.hub}&weights=exact&model=someone/micro15`;
const field = () => page.page.getByLabel("Another VAE", { exact: true });
const rest = () => page.page.getByLabel("The rest of a UNet", { exact: true });
const problem = () => page.page.locator("#parts-problem");

/** @param {import("./goldens.js").Picture} picture */
const inverse = ({ rgb, ...others }) => ({ ...others, rgb: rgb.map((value) => 255 - value) });

/** Changes the sign of a VAE's last convolution, so that it decodes to the negative. @param {Buffer} file */
function negativeVae(file) {
  const begin = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, begin));
  for (const name of ["decoder.conv_out.weight", "decoder.conv_out.bias"]) {
    const { dtype, data_offsets: offsets } = header[name];
    assert.equal(dtype, "F32");
    for (let at = begin + offsets[0]; at < begin + offsets[1]; at += 4) file.writeFloatLE(-file.readFloatLE(at), at);
  }
  return file;
}

/** Names a VAE, as a person would. @param {string} text */
async function nameVae(text) {
  await field().fill(text);
  await field().press("Tab");
}

/** Selects a model, which forgets the VAE of the one before. @param {string} reference @param {string} name */
async function choose(reference, name) {
  const input = page.page.getByLabel("From the Hugging Face Hub");
  await input.fill(reference);
  await input.press("Enter");
  await page.status.getByText(`The model ${name} is selected.`).waitFor();
}

/** Runs to the end, and gives the picture. */
async function run({ asks = false } = {}) {
  await page.go.click();
  if (asks) await page.agree();
  assert.match(await page.waitForEnd(), /^Done in /);
  assert.ok(await page.consent.isHidden());
  return (await page.download()).bytes;
}

/** Starts a run, agrees to the download, and gives the sentence of the failure. */
async function refusal() {
  await page.go.click();
  await page.agree();
  const end = await page.waitForEnd();
  assert.equal(await page.status.getAttribute("data-tone"), "problem", end);
  return end;
}

/** @param {Buffer} png @param {import("./goldens.js").Picture} picture what it should be */
function assertPicture(png, picture) {
  const { width, height, rgb } = decodePng(png);
  assert.deepEqual([width, height], [picture.width, picture.height]);
  const difference = largestDifference(rgb, picture.rgb);
  assert.ok(difference <= TOLERANCE, `${difference} of 255 away from what it should be`);
}

/** What a result's file says of the parts that were taken from elsewhere. @param {Buffer} png */
function takenIn(png) {
  const text = png.toString("latin1");
  const settings = text.slice(text.indexOf('{"version":'));
  return /"taken":(\{[^}]*\})/.exec(settings.split("IDAT")[0])?.[1] ?? null;
}

test("another VAE is fetched after a yes, makes the picture, stays with the result, and is kept apart", async () => {
  await page.facts.getByText("On this computer").waitFor();
  const host = new URL(hub.hub).host;
  hub.log.length = 0;
  await nameVae("someone/negative");
  assert.equal(
    await page.facts.innerText(),
    `Size not known yet, fetched once from ${host}. The VAE is fetched once from ${host}, its size not known yet.`,
  );
  await page.go.click();
  const dialog = await page.consent.innerText();
  assert.match(dialog, /^Download someone\/micro15 and the VAE of someone\/negative\?/);
  assert.ok(dialog.includes(`${host}, someone/negative`), dialog);
  assert.match(dialog, /The VAE: not known before it begins/);
  await page.consent.getByRole("button", { name: "Not now" }).click();
  assert.equal(await page.waitForEnd(), "Nothing was downloaded.");
  assert.deepEqual(hub.log, []);

  const png = await run({ asks: true });
  assertPicture(png, negated);
  assert.equal(takenIn(png), '{"vae":"negative"}');
  assert.match(await page.page.locator("#model-note").innerText(), /, VAE of negative: /);
  await page.facts.getByText("On this computer").waitFor();

  // Each model is read from its own folder on the disk, and nothing is requested from the hub.
  hub.log.length = 0;
  await nameVae("");
  const plain = await run();
  assertPicture(plain, expected);
  assert.equal(takenIn(plain), null);
  await nameVae("someone/negative");
  assertPicture(await run(), negated);
  assert.deepEqual(hub.log, []);
  await page.unfold("Models on this computer");
  const kept = page.page.locator("#storage").getByRole("listitem");
  const name = `${hub.hub}/someone/micro15 + VAE of ${hub.hub}/someone/negative`;
  await kept.filter({ hasText: `${name} · weights as in the file` }).waitFor();
  assert.equal(await kept.count(), 2);

  // A model that is selected comes with its own VAE; an earlier result brings its VAE back.
  await choose("someone/micro15", "someone/micro15");
  assert.equal(await field().inputValue(), "");
  await page.page.locator("#history").getByRole("button").first().click();
  await page.page.getByRole("button", { name: "Use these settings" }).click();
  await page.status.getByText("The pictures and settings of that result are back.").waitFor();
  assert.equal(await field().inputValue(), "someone/negative");
});

test("a link holds the VAE and the rest, and what names nothing gets a sentence", async () => {
  const follow = (fragment) => page.page.evaluate((hash) => (location.hash = hash), fragment);
  await follow("#model=someone/micro15&weights=exact&size=keep&steps=1&vae=someone/negative&rest=sd15-q8");
  await page.status.getByText("The settings of the link are set.").waitFor();
  assert.equal(await field().inputValue(), "someone/negative");
  assert.equal(await rest().inputValue(), "sd15-q8");
  assert.match(await page.facts.innerText(), /The rest is fetched once from .*, .* at most\. The VAE /);

  await follow("#model=someone/micro15&weights=exact&size=keep&steps=1&vae=just-a-name");
  await page.status.getByText("The link's vae is “just-a-name”, which names no model: it is left out.").waitFor();
  assert.equal(await field().inputValue(), "");
  assert.equal(await rest().inputValue(), "");

  await nameVae("just-a-name");
  assert.match(await problem().innerText(), /^“just-a-name” names no VAE: /);
  hub.log.length = 0;
  await page.go.click();
  await page.status.getByText("“just-a-name” names no VAE").waitFor();
  assert.deepEqual(hub.log, []);
  await nameVae("");
  assert.equal(await problem().innerText(), "");
});

test("a VAE's file from this computer", async () => {
  await choose("someone/micro15", "someone/micro15");
  await page.weights.selectOption("exact");
  await page.page.getByLabel("Choose VAE files").setInputFiles(path.join(root, "someone/negative", WEIGHTS));
  assert.equal(await field().inputValue(), WEIGHTS);
  assert.match(await page.facts.innerText(), new RegExp(`The VAE is read from ${WEIGHTS}\\.`));
  const png = await run({ asks: true });
  assertPicture(png, negated);
  assert.equal(takenIn(png), `{"vae":"${WEIGHTS}"}`);
  assert.ok(!hub.log.some(({ path }) => path.includes("negative")), "it was not fetched");

  await page.page
    .getByLabel("Choose VAE files")
    .setInputFiles({ name: "x.txt", mimeType: "text/plain", buffer: Buffer.from("Dear diary") });
  assert.match(await problem().innerText(), /^There is no VAE in “x\.txt”/);
  assert.equal(await field().inputValue(), WEIGHTS, "what was there stays");
});

test("a UNet alone says where to set the rest, and runs with it", async () => {
  await choose("someone/unet/unet.safetensors", "unet.safetensors of someone/unet");
  await page.weights.selectOption("exact");
  const sentence = await refusal();
  assert.match(sentence, /unet\.safetensors has the UNet only; .*“The rest of a UNet”/);
  assert.ok(await rest().isVisible());

  assert.equal(await rest().locator("option[value=sd15-q8]").count(), 1);
  await rest().selectOption("other");
  const reference = page.page.getByLabel("Model that the rest comes from");
  await reference.fill("someone/micro15");
  await reference.press("Tab");
  const png = await run({ asks: true });
  assertPicture(png, expected);
  assert.equal(takenIn(png), '{"text_encoder":"micro15","vae":"micro15"}');

  await nameVae("someone/negative");
  const both = await run({ asks: true });
  assertPicture(both, negated);
  assert.equal(takenIn(both), '{"text_encoder":"micro15","vae":"negative"}');
});

test("a VAE that does not fit, or is none, gets its sentence", async () => {
  await choose("someone/micro15", "someone/micro15");
  await page.weights.selectOption("exact");
  await nameVae("someone/scaled");
  assert.match(await refusal(), /^The VAE of .*scaled does not fit .*0\.13025.* another family\.$/);
  await nameVae("someone/unet/unet.safetensors");
  assert.match(await refusal(), /unet\.safetensors has no VAE; use a file or folder with one\.$/);
  await nameVae("");
  assertPicture(await run(), expected);
});

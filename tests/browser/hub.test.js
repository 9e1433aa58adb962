// Models from the Hub: downloaded after consent, kept, found again, resumed, damaged, too large, removed. Picked files.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHub } from "../hub/server.js";
import { notInFirefox } from "./browsers.js";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { start } from "./page.js";

/** Largest difference of a channel, of 255: sums of f32 in another order are rounded differently. */
const TOLERANCE = 2;
const UNET = "unet/diffusion_pytorch_model.safetensors";
const MODEL = fileURLToPath(new URL("../fixtures/models/micro15", import.meta.url));
const SINGLE_FILES = fileURLToPath(new URL("../fixtures/single-file", import.meta.url));
/** The same model in repositories of several names: each is downloaded and kept separately. */
const REPOS = ["micro15", "cut", "cancelled", "changed", "damaged", "unkept", "listed"];
/** Most bytes of a cut connection that the browser has received but throws away instead of handing them on. */
const LOST_PER_CUT = 256 * 1024;

let browser;
let hub;
let root;
let golden;
/** A page with a model of its own. */
let own;
/** A page whose models come from the hub. Most tests share it: compiling a run's shaders takes longest by far. */
let shared;
/** The result of one step on the golden's photo, with its negative as the style. */
let expected;
const open = [];
before(async () => {
  root = await mkdtemp(path.join(tmpdir(), "styleid-hub-"));
  await mkdir(path.join(root, "someone"));
  for (const name of REPOS) await symlink(MODEL, path.join(root, "someone", name));
  await symlink(SINGLE_FILES, path.join(root, "someone/single"));
  hub = await startHub({ root });
  browser = await start();
  golden = await readGolden("micro15.diffusers.n4.rect");
  own = await ready(await browser.open("?model=micro15"));
  expected = decodePng(await run(own));
  assert.ok(standardDeviation(expected.rgb) > 20, "the picture is flat");
  own.assertClean();
});
afterEach(async () => {
  for (const page of open.splice(0)) await page.close();
  hub.reset();
});
after(async () => {
  await browser?.close();
  hub?.close();
  if (root) await rm(root, { recursive: true, force: true });
});

const query = (model = "someone/micro15") => `?hub=${hub.hub}&weights=exact&model=${model}`;
const bodies = () => hub.log.filter(({ method, bytes }) => method === "GET" && bytes > 0);
const received = (file) => bodies().reduce((sum, { path, bytes }) => sum + (path.endsWith(file) ? bytes : 0), 0);

/** Another picture of the same size, with which fewer shaders are needed. */
const negative = ({ rgb, ...rest }) => ({ ...rest, rgb: rgb.map((value) => 255 - value) });

/**
 * A page with pictures, ready to go.
 * @param {import("./page.js").PageUnderTest} page
 * @param {{ style?: import("./goldens.js").Picture, steps?: number }} [options]
 */
async function ready(page, { style = negative(golden.content), steps = 1 } = {}) {
  await page.drop(page.photo, encodePng(golden.content), "content.png");
  await page.drop(page.painting, encodePng(style), "style.png");
  await page.waitForPicture(page.photo, "content.png · ");
  await page.waitForPicture(page.painting, "style.png · ");
  await page.set({ size: "keep", steps });
  return page;
}

/** Selects another model on the shared page. @param {string} repo */
async function choose(repo) {
  shared ??= await ready(await browser.open(query()));
  await unfold(shared, "A model of your own");
  const reference = shared.page.getByLabel("From the Hugging Face Hub");
  await reference.fill(repo);
  await reference.press("Enter");
  await shared.status.getByText(`The model ${repo} is selected.`).waitFor();
  return shared;
}

/**
 * Unfolds a part of the page that another test may have unfolded.
 * @param {import("./page.js").PageUnderTest} page @param {string} summary
 */
async function unfold(page, summary) {
  const isOpen = page.page.getByText(summary, { exact: true }).locator("xpath=ancestor::details[1][@open]");
  if ((await isOpen.count()) === 0) await page.unfold(summary);
}

/** Runs to the end, and gives the picture. */
async function run(page, { asks = false } = {}) {
  await page.go.click();
  if (asks) await page.agree();
  const end = await page.waitForEnd();
  assert.match(end, /^Done in /);
  assert.ok(await page.consent.isHidden());
  return (await page.download()).bytes;
}

/** Notes what the page's status says from now on; the returned function gives it. */
async function listen(page) {
  await page.page.evaluate(() => {
    const status = document.querySelector("#status"); // not seen while it is empty
    window.said = [];
    new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true });
  });
  return () => page.page.evaluate(() => window.said);
}

/** @param {Buffer} png @param {import("./goldens.js").Picture} [picture] what it should be */
function assertPicture(png, picture = expected) {
  const { width, height, rgb } = decodePng(png);
  assert.deepEqual([width, height], [picture.width, picture.height]);
  const difference = largestDifference(rgb, picture.rgb);
  assert.ok(difference <= TOLERANCE, `${difference} of 255 away from what it should be`);
}

test("nothing is fetched before a yes; then the result is the reference's, and a second visit fetches nothing", async () => {
  const first = await ready(await browser.open(query()), { style: golden.style, steps: 4 });
  assert.equal(await first.facts.innerText(), `Size not known yet, fetched once from ${new URL(hub.hub).host}.`);
  await first.go.click();
  const dialog = await first.consent.innerText();
  assert.match(dialog, /^Download someone\/micro15\?/);
  assert.ok(dialog.includes(`${new URL(hub.hub).host}, someone/micro15`), dialog);
  assert.match(dialog, /On this computer/);
  await first.consent.getByRole("button", { name: "Not now" }).click();
  assert.equal(await first.waitForEnd(), "Nothing was downloaded.");
  assert.deepEqual(hub.log, []);

  assertPicture(await run(first, { asks: true }), golden.image);
  assert.ok(received(UNET) > 3e6, "it came from the hub");
  assert.ok(bodies().some(({ on, path }) => on === "cdn" && path.endsWith(UNET)));
  await first.facts.getByText("On this computer").waitFor();
  first.assertClean([hub.hub, hub.cdn]);

  hub.log.length = 0;
  shared = await ready(await first.again(query()));
  await shared.facts.getByText("On this computer").waitFor();
  const said = await listen(shared);
  assertPicture(await run(shared));
  assert.ok((await said()).includes("Loading the model from this computer's disk."), String(await said()));
  assert.deepEqual(hub.log, [], "requests of the second visit");
  assert.equal(await shared.notices.innerText(), "");
  shared.assertClean();
});

test("a download that is cut five times goes on where it was", async (t) => {
  const size = (await stat(path.join(MODEL, UNET))).size;
  // Slow enough that the browser has handed on what it received by the time of the cut.
  hub.control({ dropEvery: 560_000, drops: 5, rate: 2e6, only: UNET });
  const page = await choose("someone/cut");
  assertPicture(await run(page, { asks: true }));
  const requests = bodies().filter(({ path }) => path.endsWith(UNET));
  const again = received(UNET) - size;
  t.diagnostic(`${again} bytes fetched again: ${requests.map(({ range, bytes }) => `${range} ${bytes}`).join(", ")}`);
  assert.ok(requests.length > 5, `${requests.length} requests for a file that was cut five times`);
  assert.ok(again <= 5 * LOST_PER_CUT, `${again} bytes were fetched again`);
  assert.match(await page.notices.innerText(), /^The connection broke; going on with /);
});

test("a download is cancelled promptly, and the next one completes", async () => {
  // Slow enough that the test sees the page load the model.
  hub.control({ rate: 300_000 });
  const page = await choose("someone/cancelled");
  await page.go.click();
  await page.agree();
  const isLoading = page.page.getByText(/\d\.\d of 3\.\d MB/).waitFor({ timeout: 30_000 });
  await isLoading.catch(async () =>
    assert.fail(`no loading was seen; the page says: ${await page.status.innerText()}`),
  );
  while (received(UNET) === 0) await page.page.waitForTimeout(50);
  const began = performance.now();
  await page.cancel.click();
  assert.equal(await page.waitForEnd(), "Cancelled. Nothing was lost.");
  assert.ok(performance.now() - began < 9000);
  assert.ok(received(UNET) < 3e6, "it was in the middle of the download");
  hub.reset();
  assertPicture(await run(page)); // the person has agreed to this download already
});

test("a file that becomes another one while it is loaded gives a sentence, never a wrong result", async (t) => {
  hub.control({ changeAfter: 1, only: UNET });
  const page = await choose("someone/changed");
  await page.go.click();
  await page.agree();
  const end = await page.waitForEnd();
  t.diagnostic(`${await page.notices.innerText()} / ${end}`);
  assert.match(await page.notices.innerText(), /changed on the server/);
  assert.doesNotMatch(end, /^Done/);
  assert.equal(await page.status.getAttribute("data-tone"), "problem");
  hub.reset();
  assertPicture(await run(page));
});

test("a byte that changes on the disk is noticed, and what it spoils is fetched again", async (t) => {
  const page = await choose("someone/damaged");
  await run(page, { asks: true });
  const flipped = await page.page.evaluate(async () => {
    const files = [];
    const walk = async (folder) => {
      for await (const entry of folder.values()) {
        if (entry.kind === "directory") await walk(entry);
        else files.push({ entry, bytes: await entry.getFile() });
      }
    };
    for await (const folder of (
      await (await navigator.storage.getDirectory()).getDirectoryHandle("styleid-models")
    ).values()) {
      if (folder.name.includes("damaged")) await walk(folder);
    }
    const { entry, bytes } = files.reduce((a, b) => (a.bytes.size > b.bytes.size ? a : b));
    const at = Math.floor(bytes.size / 2);
    const [byte] = new Uint8Array(await bytes.slice(at, at + 1).arrayBuffer());
    const writable = await entry.createWritable({ keepExistingData: true });
    await writable.write({ type: "write", position: at, data: new Uint8Array([byte ^ 1]) });
    await writable.close();
    return bytes.size;
  });
  assert.ok(flipped > 1e6, "there was a file with weights");

  const reload = async () => {
    await run(await choose("someone/micro15")); // removes the other model from memory
    hub.log.length = 0;
    assertPicture(await run(await choose("someone/damaged")));
  };
  await reload();
  t.diagnostic(await page.notices.innerText());
  assert.match(await page.notices.innerText(), /damaged.* fetched again/);
  assert.ok(received(UNET) > 3e6);
  await reload();
  assert.deepEqual(hub.log, [], "it is whole again");
});

const NO_QUOTA = notInFirefox("WebDriver BiDi sets no quota");

for (const isPrivate of [true, false]) {
  test(
    `a full disk ends the keeping, not the loading, in a ${isPrivate ? "private" : "normal"} window`,
    NO_QUOTA,
    async (t) => {
      const window = isPrivate ? browser : await start({ isPrivate });
      if (!isPrivate) t.after(() => window.close());
      const page = isPrivate ? await choose("someone/unkept") : await ready(await window.open(query("someone/unkept")));
      const session = await page.page.context().newCDPSession(page.page);
      const { origin } = page.server;
      await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1e6 });
      assertPicture(await run(page, { asks: true }));
      t.diagnostic(await page.notices.innerText());
      assert.match(await page.notices.innerText(), /could not be kept on disk .*quota is full/);
      assert.match(await page.facts.innerText(), /^Size not known yet/);
      // The second run asks and fetches nothing: the model is in memory.
      hub.log.length = 0;
      assertPicture(await run(page));
      assert.deepEqual(hub.log, []);
      await session.send("Storage.overrideQuotaForOrigin", { origin }); // as it was
    },
  );
}

test("all models on this computer are removed at once, and damaged ones too", async () => {
  const page = await choose("someone/micro15");
  const folders = (work) =>
    page.page.evaluate(async (work) => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("styleid-models");
      if (work) await folder.getDirectoryHandle("other-q8-0123456789abcdef0123", { create: true });
      return (await Array.fromAsync(folder.keys())).length;
    }, work);
  assert.ok((await folders("add one that nothing can be read of")) > 2);
  await run(page); // after which they are listed anew
  page.page.on("dialog", (dialog) => dialog.accept());
  await unfold(page, "Models on this computer");
  await page.page.getByText("of no use any more").waitFor();
  await page.page.getByRole("button", { name: "Remove all models" }).click();
  await page.status.getByText("All models were removed from this computer.").waitFor();
  await page.page.getByText("None yet.").waitFor();
  assert.equal(await folders(), 0);
});

test("the models on this computer are listed and removed", async () => {
  const page = await choose("someone/listed");
  const rows = page.page.locator("#storage").getByRole("listitem");
  await unfold(page, "Models on this computer");
  await page.page.getByText("None yet.").waitFor();
  await run(page, { asks: true });
  await page.weights.selectOption("q8");
  assert.match(await page.facts.innerText(), /^Size not known yet/, "what is kept is kept otherwise");
  const quantised = decodePng(await run(page, { asks: true }));
  const difference = largestDifference(quantised.rgb, expected.rgb);
  assert.ok(difference > 0 && difference < 100, `${difference} of 255`);

  await rows.nth(1).waitFor();
  const texts = await rows.allInnerTexts();
  const bytes = (kept) => {
    const found = texts
      .map((text) => text.match(`^someone/listed · weights ${kept} · ([\\d.]+) MB\\s+Remove$`))
      .find(Boolean);
    assert.ok(found, texts.join());
    return Number(found[1]);
  };
  assert.equal(texts.length, 2);
  assert.ok(bytes("as in the file") > 3.5 && bytes("of 8 bits") < 0.5 * bytes("as in the file"), texts.join());

  await rows.filter({ hasText: "of 8 bits" }).getByRole("button", { name: "Remove someone/listed" }).click();
  await page.status.getByText("someone/listed was removed from this computer.").waitFor();
  assert.equal(await rows.count(), 1);
  await page.weights.selectOption("exact");
  assert.match(await page.facts.innerText(), /^On this computer/);

  await page.page.getByRole("button", { name: "Remove someone/listed" }).click();
  await page.page.getByText("None yet.").waitFor();
  assert.match(await page.facts.innerText(), /^Size not known yet/);
  shared = await ready(await page.again(query("someone/listed")));
  await shared.go.click();
  await shared.consent.waitFor(); // what was removed would be fetched again
  await shared.consent.getByRole("button", { name: "Not now" }).click();
});

test("without storage the person is told beforehand, and it works", async (t) => {
  const first = await browser.open();
  first.server.prepend.set("worker.js", "delete self.FileSystemSyncAccessHandle;\n");
  t.after(() => first.server.prepend.clear());
  const page = await ready(await first.again(query()));
  open.push(page);
  await page.unfold("Models on this computer");
  await page.page.getByText("This browser gives the page no storage").waitFor();
  await page.go.click();
  assert.match(await page.consent.innerText(), /Not on this computer: this browser gives the page no storage/);
  await page.agree();
  assert.match(await page.waitForEnd(), /^Done in /);
  assertPicture((await page.download()).bytes);
});

test("a picked folder is loaded without a request", notInFirefox("WebDriver BiDi chooses no folders"), async () => {
  const page = own;
  const seen = page.requests.length;
  await unfold(page, "A model of your own");
  await page.page.getByLabel("Choose a model folder").setInputFiles(MODEL);
  await page.status.getByText("The model micro15 is selected.").waitFor();
  await page.weights.selectOption("exact");
  assertPicture(await run(page));
  assert.deepEqual(
    page.requests.slice(seen).filter((url) => !url.startsWith("blob:")),
    [],
  );
  page.assertClean();
});

test("a single file gives the same picture from the Hub and from this computer", async () => {
  const page = await ready(await browser.open(query("someone/single/tiny15.q4_0.gguf")));
  open.push(page);
  const fromHub = await run(page, { asks: true });
  assert.ok(standardDeviation(decodePng(fromHub).rgb) > 20, "the picture is flat");
  assert.ok(received("tiny15.q4_0.gguf") > 5e6);

  await page.unfold("A model of your own");
  hub.log.length = 0;
  await page.page.getByLabel("Choose model files").setInputFiles(path.join(SINGLE_FILES, "tiny15.q4_0.gguf"));
  await page.status.getByText("The model tiny15.q4_0.gguf is selected.").waitFor();
  await page.weights.selectOption("exact");
  assertPicture(await run(page), decodePng(fromHub));
  assert.deepEqual(hub.log, []);
});

test("a model dropped on a picture's slot is a model, and one that is no model gets its sentence", async () => {
  const page = own;
  await page.drop(page.photo, Buffer.from("GGUF"), "broken.gguf", "");
  await page.status.getByText("The model broken.gguf is selected.").waitFor();
  assert.equal(await page.photo.getByRole("alert").innerText(), "");
  assert.ok(await page.photo.getByText("content.png · ").isVisible());
  await page.go.click();
  const end = await page.waitForEnd();
  assert.match(end, /broken\.gguf/);

  await unfold(page, "A model of your own");
  const reference = page.page.getByLabel("From the Hugging Face Hub");
  await reference.fill("just-a-name");
  await reference.press("Enter");
  assert.match(await page.page.locator("#own-problem").innerText(), /^“just-a-name” names no model/);
  await reference.fill("https://huggingface.co/o/r/blob/main/x-Q4_0.gguf");
  await page.page.getByRole("button", { name: "Use this model" }).click();
  await page.status.getByText("The model x-Q4_0.gguf of o/r is selected.").waitFor();
  assert.equal(await page.weights.inputValue(), "q4");
});

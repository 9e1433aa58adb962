// Models from the Hub: downloaded after a yes, kept, found again, resumed, damaged, too large, removed; and picked files.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHub } from "../hub/server.js";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { start } from "./page.js";

/** Of 255: rounding of f32 that was summed in another order. */
const TOLERANCE = 2;
const REPO = "someone/micro15";
const UNET = "unet/diffusion_pytorch_model.safetensors";
const MODEL = fileURLToPath(new URL("../fixtures/models/micro15", import.meta.url));
const SINGLE_FILES = fileURLToPath(new URL("../fixtures/single-file", import.meta.url));
/** What a browser may have received of a connection that is cut, and throws away instead of handing it on. */
const LOST_PER_CUT = 256 * 1024;

let browser;
let hub;
let root;
let golden;
/** What one step with the same model, as it comes with the page, makes of the golden's pictures. */
let expected;
const open = [];
before(async () => {
  root = await mkdtemp(path.join(tmpdir(), "styleid-hub-"));
  await mkdir(path.join(root, "someone"));
  await symlink(MODEL, path.join(root, REPO));
  await symlink(SINGLE_FILES, path.join(root, "someone/single"));
  hub = await startHub({ root });
  browser = await start();
  golden = await readGolden("micro15.diffusers.n4.rect");
  const page = await visit("?model=micro15");
  expected = decodePng(await run(page));
  assert.ok(standardDeviation(expected.rgb) > 20, "the picture is flat");
  page.assertClean();
  await open.pop().close();
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

const query = (model = REPO, more = "") => `?hub=${hub.hub}&weights=exact&model=${model}${more}`;
const bodies = () => hub.log.filter(({ method, bytes }) => method === "GET" && bytes > 0);
const received = (file) => bodies().reduce((sum, { path, bytes }) => sum + (path.endsWith(file) ? bytes : 0), 0);

/** A page with the golden's pictures, ready to go. @param {import("./page.js").PageUnderTest} page @param {number} [steps] */
async function ready(page, steps = 1) {
  open.push(page);
  await page.drop(page.photo, encodePng(golden.content), "content.png");
  await page.drop(page.painting, encodePng(golden.style), "style.png");
  await page.waitForPicture(page.photo, "content.png · ");
  await page.waitForPicture(page.painting, "style.png · ");
  await page.set({ size: "keep", steps });
  return page;
}
const visit = async (address = query()) => ready(await browser.open(address));
const revisit = async (page, address = query()) => ready(await page.again(address));

/** Runs to the end, and gives the picture. */
async function run(page, { asks = false } = {}) {
  await page.go.click();
  if (asks) await page.agree();
  const end = await page.waitForEnd();
  assert.match(end, /^Done in /);
  assert.ok(await page.consent.isHidden());
  return (await page.download()).bytes;
}

/** Notes what the page says from now on. */
async function listen(page) {
  await page.status.evaluate((status) => {
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
  const first = await visit();
  assert.equal(await first.facts.innerText(), `Size not known yet, fetched once from ${new URL(hub.hub).host}.`);
  await first.go.click();
  const dialog = await first.consent.innerText();
  assert.match(dialog, /^Download someone\/micro15\?/);
  assert.ok(dialog.includes(`${new URL(hub.hub).host}, someone/micro15`), dialog);
  assert.match(dialog, /On this computer/);
  await first.consent.getByRole("button", { name: "Not now" }).click();
  assert.equal(await first.waitForEnd(), "Nothing was downloaded.");
  assert.deepEqual(hub.log, []);

  await first.set({ steps: 4 });
  assertPicture(await run(first, { asks: true }), golden.image);
  assert.ok(received(UNET) > 3e6, "it came from the hub");
  assert.ok(bodies().some(({ on, path }) => on === "cdn" && path.endsWith(UNET)));
  await first.facts.getByText("On this computer").waitFor();
  first.assertClean([hub.hub, hub.cdn]);

  hub.log.length = 0;
  const second = await revisit(first);
  await second.facts.getByText("On this computer").waitFor();
  const said = await listen(second);
  assertPicture(await run(second));
  assert.ok((await said()).includes("Loading the model from this computer's disk."), String(await said()));
  assert.deepEqual(hub.log, [], "requests of the second visit");
  assert.equal(await second.notices.innerText(), "");
  second.assertClean();
});

test("a download that is cut five times goes on where it was", async (t) => {
  const size = (await stat(path.join(MODEL, UNET))).size;
  // Slow enough that the browser has handed on what it received by the time of the cut.
  hub.control({ dropEvery: 560_000, drops: 5, rate: 2e6, only: UNET });
  const page = await visit();
  assertPicture(await run(page, { asks: true }));
  const requests = bodies().filter(({ path }) => path.endsWith(UNET));
  const again = received(UNET) - size;
  t.diagnostic(`${again} bytes fetched again: ${requests.map(({ range, bytes }) => `${range} ${bytes}`).join(", ")}`);
  assert.ok(requests.length > 5, `${requests.length} requests for a file that was cut five times`);
  assert.ok(again <= 5 * LOST_PER_CUT, `${again} bytes were fetched again`);
  assert.match(await page.notices.innerText(), /^The connection broke; going on with /);
});

test("a download is cancelled promptly, and the next one completes", async () => {
  // Slow enough that the loading is seen even where the software GPU keeps the page from drawing for seconds.
  hub.control({ rate: 150_000 });
  const page = await visit();
  await page.go.click();
  await page.agree();
  const isLoading = page.page.getByText(/[12]\.\d of 3\.\d MB/).waitFor({ timeout: 120_000 });
  await isLoading.catch(async () =>
    assert.fail(`no loading was seen; the page says: ${await page.status.innerText()}`),
  );
  const began = performance.now();
  await page.cancel.click();
  assert.equal(await page.waitForEnd(), "Cancelled. Nothing was lost.");
  assert.ok(performance.now() - began < 9000);
  hub.reset();
  assertPicture(await run(page)); // which the person has said yes to already
});

test("a file that becomes another one while it is loaded gives a sentence, never a wrong result", async (t) => {
  hub.control({ changeAfter: 1, only: UNET });
  const page = await visit();
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
  const first = await visit();
  await run(first, { asks: true });
  const flipped = await first.page.evaluate(async () => {
    const files = [];
    const walk = async (folder) => {
      for await (const entry of folder.values()) {
        if (entry.kind === "directory") await walk(entry);
        else files.push({ entry, bytes: await entry.getFile() });
      }
    };
    await walk(await navigator.storage.getDirectory());
    const { entry, bytes } = files.reduce((a, b) => (a.bytes.size > b.bytes.size ? a : b));
    const at = Math.floor(bytes.size / 2);
    const [byte] = new Uint8Array(await bytes.slice(at, at + 1).arrayBuffer());
    const writable = await entry.createWritable({ keepExistingData: true });
    await writable.write({ type: "write", position: at, data: new Uint8Array([byte ^ 1]) });
    await writable.close();
    return bytes.size;
  });
  assert.ok(flipped > 1e6, "there was a file with weights");

  hub.log.length = 0;
  const second = await revisit(first);
  assertPicture(await run(second));
  t.diagnostic(await second.notices.innerText());
  assert.match(await second.notices.innerText(), /damaged.* fetched again/);
  assert.ok(received(UNET) > 3e6);

  hub.log.length = 0;
  const third = await revisit(second);
  assertPicture(await run(third));
  assert.deepEqual(hub.log, [], "it is whole again");
});

test("the models on this computer are listed and removed", async () => {
  const page = await visit();
  const rows = page.page.locator("#storage").getByRole("listitem");
  await page.unfold("Models on this computer");
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
      .map((text) => text.match(`^someone/micro15 · weights ${kept} · ([\\d.]+) MB\\s+Remove$`))
      .find(Boolean);
    assert.ok(found, texts.join());
    return Number(found[1]);
  };
  assert.equal(texts.length, 2);
  assert.ok(bytes("as in the file") > 3.5 && bytes("of 8 bits") < 0.5 * bytes("as in the file"), texts.join());

  await rows.filter({ hasText: "of 8 bits" }).getByRole("button", { name: "Remove someone/micro15" }).click();
  await page.status.getByText("someone/micro15 was removed from this computer.").waitFor();
  assert.equal(await rows.count(), 1);
  await page.weights.selectOption("exact");
  assert.match(await page.facts.innerText(), /^On this computer/);

  await page.page.getByRole("button", { name: "Remove someone/micro15" }).click();
  await page.page.getByText("None yet.").waitFor();
  assert.match(await page.facts.innerText(), /^Size not known yet/);
  const next = await revisit(page);
  await next.go.click();
  await next.consent.waitFor(); // what was removed would be fetched again
});

test("all models on this computer are removed at once, and damaged ones too", async () => {
  const page = await visit();
  await run(page, { asks: true });
  const folders = ({ page }, work) =>
    page.evaluate(async (work) => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("styleid-models");
      if (work) await folder.getDirectoryHandle("other-q8-0123456789abcdef0123", { create: true });
      return (await Array.fromAsync(folder.keys())).length;
    }, work);
  assert.equal(await folders(page, "add one that nothing can be read of"), 2);
  const next = await revisit(page);
  next.page.on("dialog", (dialog) => dialog.accept());
  await next.unfold("Models on this computer");
  await next.page.getByText("of no use any more").waitFor();
  await next.page.getByRole("button", { name: "Remove all models" }).click();
  await next.status.getByText("All models were removed from this computer.").waitFor();
  await next.page.getByText("None yet.").waitFor();
  assert.equal(await folders(next), 0);
});

for (const isPrivate of [true, false]) {
  test(`a full disk ends the keeping, not the loading, in a ${isPrivate ? "private" : "normal"} window`, async (t) => {
    const own = isPrivate ? browser : await start({ isPrivate });
    try {
      const page = await ready(await own.open(query()));
      const session = await page.page.context().newCDPSession(page.page);
      await session.send("Storage.overrideQuotaForOrigin", { origin: page.server.origin, quotaSize: 1e6 });
      assertPicture(await run(page, { asks: true }));
      t.diagnostic(await page.notices.innerText());
      assert.match(await page.notices.innerText(), /could not be kept on disk .*quota is full/);
      assert.match(await page.facts.innerText(), /^Size not known yet/);
      // Again, without a word: the model is in memory.
      hub.log.length = 0;
      assertPicture(await run(page));
      assert.deepEqual(hub.log, []);
    } finally {
      if (!isPrivate) {
        open.length = 0;
        await own.close();
      }
    }
  });
}

test("without storage the person is told beforehand, and it works", async (t) => {
  const first = await browser.open();
  first.server.prepend.set("worker.js", "delete self.FileSystemSyncAccessHandle;\n");
  t.after(() => first.server.prepend.clear());
  const page = await revisit(first);
  await page.unfold("Models on this computer");
  await page.page.getByText("This browser gives the page no storage").waitFor();
  await page.go.click();
  assert.match(await page.consent.innerText(), /Not on this computer: this browser gives the page no storage/);
  await page.agree();
  assert.match(await page.waitForEnd(), /^Done in /);
  assertPicture((await page.download()).bytes);
});

test("a picked folder is loaded without a request", async () => {
  const page = await visit("");
  await page.unfold("A model of your own");
  await page.page.getByLabel("Choose a model folder").setInputFiles(MODEL);
  await page.status.getByText("The model micro15 is selected.").waitFor();
  await page.weights.selectOption("exact");
  const before = page.requests.length;
  assertPicture(await run(page));
  assert.deepEqual(
    page.requests.slice(before).filter((url) => !url.startsWith("blob:")),
    [],
  );
  page.assertClean();
});

test("a single file gives the same picture from the Hub and from this computer", async () => {
  const page = await visit(query("someone/single/tiny15.q4_0.gguf"));
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
  const page = await visit("");
  await page.drop(page.photo, Buffer.from("GGUF"), "broken.gguf", "");
  await page.status.getByText("The model broken.gguf is selected.").waitFor();
  assert.equal(await page.photo.getByRole("alert").innerText(), "");
  assert.ok(await page.photo.getByText("content.png · ").isVisible());
  await page.go.click();
  const end = await page.waitForEnd();
  assert.match(end, /broken\.gguf/);

  await page.unfold("A model of your own");
  const reference = page.page.getByLabel("From the Hugging Face Hub");
  await reference.fill("just-a-name");
  await reference.press("Enter");
  assert.match(await page.page.locator("#own").getByRole("alert").innerText(), /^“just-a-name” names no model/);
  await reference.fill("https://huggingface.co/o/r/blob/main/x-Q4_0.gguf");
  await page.page.getByRole("button", { name: "Use this model" }).click();
  await page.status.getByText("The model x-Q4_0.gguf of o/r is selected.").waitFor();
  assert.equal(await page.weights.inputValue(), "q4");
});

// A page with its owner's own model: packed by the command line, listed first, loaded in parts from the page's address.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { addPacked } from "../../.ci/packed.mjs";
import { launch } from "./browsers.js";
import { decodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { PageUnderTest, dist } from "./page.js";
import { serve } from "./server.js";

/** Largest difference of a channel, of 255: sums of f32 in another order are rounded differently. */
const TOLERANCE = 2;
const LICENCE = "A Licence of Its Own\n\nWhoever gets these weights does no harm with them.\n";
/** Where `./dev test` has built the program. */
const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(homedir(), ".cache/styleid-target");
const MODEL = fileURLToPath(new URL("../fixtures/models/micro15", import.meta.url));
const ID = "own-micro15-exact";
const FOLDER = "models/micro15-exact";

let root;
let server;
let browser;
/** Names of the pack's parts. */
let parts;
before(async () => {
  root = await mkdtemp(path.join(tmpdir(), "styleid-site-"));
  const [model, packed, site] = ["micro15", "packed", "site"].map((name) => path.join(root, name));
  await cp(MODEL, model, { recursive: true });
  await writeFile(path.join(model, "LICENSE"), LICENCE);
  const args = ["pack-site", "--model", model, "--weights", "exact", "--shard", "1MB", "--site", packed];
  await promisify(execFile)(path.join(TARGET, "release/styleid"), args);
  await cp(dist, site, { recursive: true });
  assert.deepEqual(
    (await addPacked(packed, site)).map(({ id }) => id),
    [ID],
  );
  parts = (await readdir(path.join(site, FOLDER))).filter((name) => name.endsWith(".gguf"));
  assert.ok(parts.length > 2, parts.join());
  server = await serve(site, "/some/where/");
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.close();
  if (root) await rm(root, { recursive: true, force: true });
});

/** Runs the golden's pictures, and gives the result. @param {PageUnderTest} page */
async function run(page, golden) {
  await page.choose(golden);
  await page.set({ size: "keep", steps: 4 });
  await page.go.click();
  assert.match(await page.waitForEnd(), /^Done in /);
  return decodePng((await page.download()).bytes);
}

test("it is the first of the list, comes from the page in its parts, and gives the reference's picture", async (t) => {
  const golden = await readGolden("micro15.diffusers.n4.rect");
  const context = await browser.newContext();
  const page = new PageUnderTest(await context.newPage(), server);
  await page.goto("");
  assert.match(await page.model.locator("option").first().innerText(), /^micro15, weights as in its files · 3\.9 MB/);
  assert.match(
    await page.model.locator("option:checked").innerText(),
    /^Demonstration/,
    "what a first visit begins with",
  );

  await page.model.selectOption(ID);
  assert.equal(await page.weights.inputValue(), "exact");
  assert.match(await page.facts.innerText(), /^3\.9 MB, comes with this page\. Licence: A Licence of Its Own\./);
  const link = page.facts.getByRole("link", { name: "Text of the licence" });
  const address = await link.evaluate((anchor) => /** @type {HTMLAnchorElement} */ (anchor).href);
  assert.equal(address, `${server.url}${FOLDER}/LICENSE.txt`);
  assert.equal(await (await fetch(address)).text(), LICENCE);

  const result = await run(page, golden);
  assert.deepEqual([result.width, result.height], [golden.image.width, golden.image.height]);
  assert.ok(standardDeviation(result.rgb) > 20, "the picture is flat");
  const difference = largestDifference(result.rgb, golden.image.rgb);
  t.diagnostic(`${parts.length} parts, largest difference ${difference} of 255`);
  assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);
  const asked = new Set(page.requests.map((url) => url.split("?")[0]));
  for (const part of parts) assert.ok(asked.has(`${server.url}${FOLDER}/${part}`), `${part} was not requested`);
  page.assertClean();

  // The model is kept on this computer, and the next visit finds it there.
  const again = await page.again(`?model=${ID}`);
  await again.facts.getByText("On this computer").waitFor();
  assert.ok(largestDifference((await run(again, golden)).rgb, golden.image.rgb) <= TOLERANCE);
  const files = again.requests.filter((url) => url.startsWith(`${server.url}${FOLDER}/`));
  assert.deepEqual(files, [], "requests of the second visit");
  again.assertClean();
  await context.close();
});

test("where its owner says so a visit begins with it", async (t) => {
  const list = path.join(root, "site/models.json");
  const before = await readFile(list, "utf8");
  t.after(() => writeFile(list, before));
  const [first, ...others] = JSON.parse(before);
  await writeFile(list, JSON.stringify([{ ...first, start: true }, ...others]));
  const page = new PageUnderTest(await (await browser.newContext()).newPage(), server);
  await page.goto("");
  assert.equal(await page.model.inputValue(), ID);
  page.assertClean();
  await page.close();
});

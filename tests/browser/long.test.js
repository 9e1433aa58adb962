// Visits that last: many results, a computer that sleeps, a tab that is frozen, a reload in the middle of a run.
// `STYLEID_LONG=200` makes that many results, which takes some minutes.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { notInFirefox } from "./browsers.js";
import { decodePng, encodePng, largestDifference, readGolden } from "./goldens.js";
import { descendants, memory } from "./memory.js";
import { RUN_TIMEOUT_MS, start } from "./page.js";

const RESULTS = Number(process.env.STYLEID_LONG ?? 12);
/** Results after which the memory is flat: shaders are compiled, and pools have their size. */
const WARM = Math.floor(RESULTS / 3);
/** Growth from then to the end that is no leak, in bytes a result: its PNG, its pictures' copies, what is shown of it. */
const MOST_PER_RESULT = 1_500_000;
/** Time for browsers to collect their garbage in. */
const COLLECTED_MS = 60_000;
/** Of 255: rounding of f32 that was summed in another order. */
const TOLERANCE = 2;
/** How long the computer sleeps, more than any patience of the page. */
const SLEEP_MS = 15_000;

let browser;
let golden;
let page;
before(async () => {
  golden = await readGolden("micro15.diffusers.n4.rect");
  browser = await start();
});
after(() => browser?.close());

/** Ready for a run: on the page of the test before, whose shaders are compiled. */
async function chosen() {
  await page.choose(golden);
  await page.set({ size: "keep", steps: 4 });
}

async function assertPicture() {
  assert.match(await page.waitForEnd(), /^Done in /);
  const { rgb } = decodePng((await page.download()).bytes);
  const difference = largestDifference(rgb, golden.image.rgb);
  assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);
}

/** Waits until a run is under way. */
const underWay = () =>
  page.page
    .getByText(/Inverting|Repainting/)
    .first()
    .waitFor({ timeout: RUN_TIMEOUT_MS });

test(`${RESULTS} results in a queue leave no more behind than themselves`, async (t) => {
  page = await browser.open("?model=micro15");
  const columns = Math.ceil(Math.sqrt(RESULTS));
  const files = (/** @type {number} */ count, /** @type {string} */ name) =>
    Array.from({ length: count }, (_, i) => ({
      name: `${name}${i}.png`,
      mimeType: "image/png",
      buffer: encodePng(name === "photo" ? golden.content : golden.style),
    }));
  const rows = Math.floor(RESULTS / columns);
  await page.page.getByLabel("Choose a photo").setInputFiles(files(columns, "photo"));
  await page.waitForPicture(page.photo, "photo0.png");
  await page.page.getByLabel("Choose a painting").setInputFiles(files(rows, "painting"));
  await page.waitForPicture(page.painting, "painting0.png");
  await page.set({ size: "keep", steps: 1 });
  await page.go.click();
  const all = columns * rows;
  const done = page.page.locator("#queue").getByText(`${WARM} of ${all} done`);
  await done.waitFor({ timeout: RUN_TIMEOUT_MS });
  const warm = await memory();
  const end = await page.waitForEnd();
  // Garbage is collected when the browser finds the time; what has leaked stays.
  const most = warm + MOST_PER_RESULT * (all - WARM);
  let left = await memory();
  for (const began = performance.now(); left > most && performance.now() - began < COLLECTED_MS; await sleep(1000)) {
    left = await memory();
  }
  const seen = page;
  page = await browser.open("?model=micro15"); // for the tests after this one, however it ends
  assert.match(end, /^Done: /);
  t.diagnostic(`${Math.round(warm / 1e6)} MB after ${WARM}, ${Math.round(left / 1e6)} MB after ${all} results`);
  assert.ok(left <= most, `${Math.round((left - warm) / (all - WARM))} bytes more with each result`);
  seen.assertClean();
  await seen.close();
});

test("a computer that sleeps in a run goes on with it", async () => {
  await chosen();
  await page.go.click();
  await underWay();
  const all = await descendants();
  for (const id of all) process.kill(id, "SIGSTOP");
  try {
    await sleep(SLEEP_MS);
  } finally {
    for (const id of all.reverse()) process.kill(id, "SIGCONT");
  }
  await assertPicture();
});

test(
  "a tab that is frozen in a run goes on when it is looked at again",
  notInFirefox("BiDi freezes no tabs"),
  async () => {
    await chosen();
    await page.go.click();
    await underWay();
    const session = await page.page.context().newCDPSession(page.page);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    await sleep(3000);
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await assertPicture();
  },
);

test("a reload in the middle of a run starts nothing by itself, and the next run is whole", async () => {
  await chosen();
  await page.go.click();
  await underWay();
  page.page.on("dialog", (dialog) => dialog.accept()); // whether to leave
  await page.page.reload();
  await page.model.getByRole("option").first().waitFor({ state: "attached" });
  let navigations = 0;
  page.page.on("framenavigated", () => (navigations += 1));
  await sleep(3000);
  assert.equal(navigations, 0);
  assert.ok(await page.cancel.isHidden(), "nothing runs");
  await chosen();
  await page.go.click();
  await assertPicture();
  await page.close();
});

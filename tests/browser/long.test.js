// Visits that last: many results, a computer that sleeps, a tab that is frozen, a reload in the middle of a run.
// `STYLEID_LONG=200` makes that many results, which takes some minutes.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { notInFirefox } from "./browsers.js";
import { decodePng, encodePng, largestDifference, readGolden } from "./goldens.js";
import { descendants, memory } from "./memory.js";
import { RUN_TIMEOUT_MS, start } from "./page.js";

const RESULTS = Number(process.env.STYLEID_LONG ?? 20);
/**
 * Queues in which they are made. A leak grows with every one of them, so the least growth counts: pools that take their size
 * and code that is optimised grow in some.
 */
const QUEUES = 5;
/** Growth that is no leak, in bytes a result: its PNG, its pictures' copies, what is shown of it. */
const MOST_PER_RESULT = 1_500_000;
/** Seconds that a browser gets to collect its garbage in. */
const COLLECTED_S = 15;
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

/** Bytes that the browser holds while nothing runs: the least within some seconds, for what has leaked stays. */
async function idleMemory() {
  let least = Infinity;
  for (let second = 0; second < COLLECTED_S; second++) {
    await sleep(1000);
    least = Math.min(least, await memory());
  }
  return least;
}

/** Waits until a run is under way. */
const underWay = () =>
  page.page
    .getByText(/Inverting|Repainting/)
    .first()
    .waitFor({ timeout: RUN_TIMEOUT_MS });

test(`${RESULTS} results in ${QUEUES} queues leave no more behind than themselves`, async (t) => {
  page = await browser.open("?model=micro15");
  const columns = Math.ceil(Math.sqrt(RESULTS / QUEUES));
  const rows = Math.floor(RESULTS / QUEUES / columns);
  const files = (/** @type {number} */ count, /** @type {string} */ name) =>
    Array.from({ length: count }, (_, i) => ({
      name: `${name}${i}.png`,
      mimeType: "image/png",
      buffer: encodePng(name === "photo" ? golden.content : golden.style),
    }));
  await page.page.getByLabel("Choose a photo").setInputFiles(files(columns, "photo"));
  await page.waitForPicture(page.photo, "photo0.png");
  await page.page.getByLabel("Choose a painting").setInputFiles(files(rows, "painting"));
  await page.waitForPicture(page.painting, "painting0.png");
  await page.set({ size: "keep", steps: 1 });
  const left = [];
  const ends = [];
  for (let queue = 0; queue < QUEUES; queue++) {
    await page.go.click();
    ends.push(await page.waitForEnd());
    left.push(await idleMemory());
  }
  const seen = page;
  page = await browser.open("?model=micro15"); // for the tests after this one, however it ends
  for (const end of ends) assert.match(end, /^Done: /);
  const queued = columns * rows;
  t.diagnostic(`MB after each queue of ${queued}: ${left.map((bytes) => Math.round(bytes / 1e6)).join(", ")}`);
  const each = Math.min(...left.slice(1).map((bytes, i) => bytes - left[i])) / queued;
  assert.ok(each <= MOST_PER_RESULT, `${Math.round(each)} bytes more with each result`);
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

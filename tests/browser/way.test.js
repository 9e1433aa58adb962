// The way through the first screen: photo, painting, look, go and result are all in it. One click makes a picture of
// the samples; two drops and a click, or a few keys, make one of a person's own pictures.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, test } from "node:test";
import { assertAccessible } from "./axe.js";
import { encodePng, readGolden } from "./goldens.js";
import { RUN_TIMEOUT_MS, start } from "./page.js";

/** Screenshots for people to look at; those in docs/page/ are taken from here. */
const output = fileURLToPath(new URL("../output/", import.meta.url));
const WAY = ["photo", "painting", "look", "go", "result"];
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
const WINDOWS = [
  ["1280", { viewport: { width: 1280, height: 800 } }],
  ["1440", { viewport: { width: 1440, height: 900 } }],
  ["390", PHONE],
];
/** Most key presses from the opening of the page to a run on a person's own pictures. */
const MOST_PRESSES = 12;

let browser;
let page;
let golden;
before(async () => {
  await mkdir(output, { recursive: true });
  browser = await start();
  golden = await readGolden("micro15.diffusers.n4.rect");
});
afterEach(async () => {
  await page?.close();
  page = null;
});
after(() => browser?.close());

/** The page as a visitor finds it, with all folds closed. */
async function visit(query = "", options = {}) {
  page = await browser.open(query, { reducedMotion: "reduce", ...options });
  await page.page.reload();
  await page.model.getByRole("option").first().waitFor({ state: "attached" });
}

const at = (name) => page.page.locator(`[data-way=${name}]`);
const boxes = async () =>
  Object.fromEntries(await Promise.all(WAY.map(async (name) => [name, await at(name).boundingBox()])));

/** Asserts that a run has begun, and cancels it. */
async function assertRuns() {
  await page.cancel.waitFor();
  await page.status
    .getByText(/^(Loading|Encoding|Preparing|Inverting|Repainting)/)
    .waitFor({ timeout: RUN_TIMEOUT_MS });
  await page.cancel.click();
  assert.equal(await page.waitForEnd(), "Cancelled. Nothing was lost.");
}

for (const [name, options] of WINDOWS) {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`the whole way is in the first screen, ${name} px wide, ${colorScheme}`, async () => {
      await visit("", { ...options, colorScheme });
      // The message about the graphics card comes last.
      await page.page.locator("#doors details").waitFor();
      await page.page.screenshot({
        path: `${output}way-${name}-${colorScheme}.jpg`,
        type: "jpeg",
        quality: 70,
      });
      const { width, height } = options.viewport;
      const places = await boxes();
      for (const [name, box] of Object.entries(places)) {
        assert.ok(box && box.width > 0 && box.height > 0, `${name} is not to be seen`);
        const isInside = box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height;
        assert.ok(isInside, `${name} is at ${JSON.stringify(box)}`);
      }
      const { photo, painting, look, go } = places;
      assert.ok(photo.x < painting.x && painting.y < look.y && look.y < go.y, "from left to right, and down");
      assert.equal(await page.page.evaluate(() => scrollY), 0);
      await assertAccessible(page.page, "the first screen");
      page.assertClean();
    });
  }
}

test("samples are chosen and marked, and one click from opening paints them with the page's own model", async () => {
  await visit();
  await page.photo.getByText("Cat · 451 × 300 · a sample").waitFor();
  await page.painting.getByText("Hokusai, The Great Wave · 640 × 433 · a sample").waitFor();
  assert.ok(await page.page.getByRole("radio", { name: "Painted", exact: true }).isChecked());
  await page.page.getByText("Demonstration · 12 MB, with this page").waitFor();
  await at("go").click();
  await assertRuns();
  page.assertClean();
});

test("one click takes another sample, and the example goes with the pictures it is of", async () => {
  await visit();
  const result = page.page.getByRole("region", { name: "Result" });
  await result.getByText("An example").waitFor();
  await page.page.getByRole("button", { name: "Cup of coffee" }).click();
  await page.waitForPicture(page.photo, "Cup of coffee · 600 × 400 · a sample");
  await result.getByText("Your picture appears here.").waitFor();
  assert.ok(await page.page.getByRole("button", { name: "Cup of coffee", pressed: true }).isVisible());
  page.assertClean();
});

test("own pictures take two drops and one click, and the result takes the pictures' place", async () => {
  await visit("?model=micro15#steps=1", { viewport: { width: 1280, height: 800 } });
  const before = await boxes();
  await page.drop(page.photo, encodePng(golden.content), "content.png");
  await page.drop(page.painting, encodePng(golden.style), "style.png");
  await page.waitForPicture(page.photo, "content.png · ");
  await page.waitForPicture(page.painting, "style.png · ");
  await at("go").click();
  assert.match(await page.waitForEnd(), /^Done in /);
  const later = await boxes();
  assert.ok(later.result.width > before.result.width * 1.3, "it is larger than its place was");
  assert.ok(later.result.x < before.painting.x + before.painting.width, "and lies where the painting was");
  for (const next of [
    "Another look",
    "Another painting",
    "Larger: 256 pixels",
    "Measure",
    "Copy a link to these settings",
  ]) {
    assert.ok(await page.page.getByRole("button", { name: next }).isVisible(), next);
  }
  await page.page.screenshot({ path: `${output}way-1280-result.jpg`, type: "jpeg", quality: 70 });
  await page.page.getByRole("button", { name: "Another look" }).click();
  assert.equal(await page.page.evaluate(() => document.activeElement?.getAttribute("name")), "look");
  page.assertClean();
});

test("by keyboard a run of own pictures takes few presses, in the order of the way", async (t) => {
  await visit("?model=micro15");
  page.page.on("filechooser", () => {}); // from here on Playwright catches every dialog, not only awaited ones
  await page.page.waitForTimeout(200);
  const keys = page.page.keyboard;
  let presses = 0;
  const press = async (key) => {
    presses++;
    await keys.press(key);
  };
  /** Presses Tab until `locator` has the focus. */
  const tabTo = async (locator, name) => {
    while (!(await locator.evaluate((element) => element === document.activeElement))) {
      assert.ok(presses < 40, `${name} is not reached`);
      await press("Tab");
    }
  };
  for (const [slot, what, picture] of [
    [page.photo, "photo", golden.content],
    [page.painting, "painting", golden.style],
  ]) {
    await tabTo(page.page.getByLabel(`Choose a ${what}`), what);
    const [chooser] = await Promise.all([page.page.waitForEvent("filechooser"), press("Enter")]);
    await chooser.setFiles({ name: `${what}.png`, mimeType: "image/png", buffer: encodePng(picture) });
    await page.waitForPicture(slot, `${what}.png · `);
  }
  await tabTo(at("go"), "go");
  await press("Enter");
  t.diagnostic(`${presses} presses`);
  assert.ok(presses <= MOST_PRESSES, `${presses} presses`);
  await assertRuns();
  page.assertClean();
});

test("a link from the other page opens what it leads to", async () => {
  await visit();
  await page.page.goto(`${page.server.url}#styleScale`);
  await page.page.reload();
  await page.page.locator("#styleScale").waitFor({ state: "visible" });
  await page.page.goto(`${page.server.url}#storage`);
  await page.page.locator("#storage summary").waitFor({ state: "visible" });
});

// Pictures of the page for human eyes, in tests/output/; fails only where the page is wider than its window.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { start } from "./page.js";

const output = fileURLToPath(new URL("../output/", import.meta.url));
const LOOKS = [
  ["light", "light", 1280],
  ["dark", "dark", 1280],
  ["phone", "light", 360],
];

let browser;
before(async () => {
  await mkdir(output, { recursive: true });
  browser = await start();
});
after(() => browser?.close());

test("the page fits its window, light and dark, wide and narrow", async () => {
  // The smallest model: the pictures are of the page, not of what it paints.
  const page = await browser.open("?model=micro15");
  const look = async (moment) => {
    for (const [name, colorScheme, width] of LOOKS) {
      await page.page.emulateMedia({ colorScheme });
      await page.page.setViewportSize({ width, height: 800 });
      await page.page.screenshot({ path: `${output}${name}-${moment}.png`, fullPage: true });
      const overflow = await page.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${name}, ${moment}: the page is ${overflow} px wider than its window`);
    }
  };
  await look("empty");
  for (const details of ["A model of your own", "Models on this computer", "More parameters"]) {
    await page.unfold(details);
  }
  await look("open");

  await page.page.getByRole("button", { name: "Astronaut" }).click();
  await page.page.getByRole("button", { name: "Hokusai, The Great Wave" }).click();
  await page.waitForPicture(page.photo, "Astronaut · 512 × 512");
  await page.waitForPicture(page.painting, "Hokusai, The Great Wave · 640 × 433");
  await page.drop(page.painting, Buffer.from("no picture"), "notes.txt", "text/plain");
  await page.painting.getByText("is kept.").waitFor();
  await page.model.selectOption("sd15-q8");
  await page.go.click();
  await page.consent.waitFor();
  await look("asking");
  await page.consent.getByRole("button", { name: "Not now" }).click();
  assert.equal(await page.waitForEnd(), "Nothing was downloaded.");
  await page.model.selectOption("micro15");
  await page.set({ size: "256", steps: 2 });
  await page.go.click();
  await page.page.getByText(/step 2 of 2/).waitFor({ timeout: 120_000 });
  await look("running");

  assert.match(await page.waitForEnd(), /^Done in /);
  await page.page.getByLabel("Compare with the photo").fill("50");
  await look("done");
  await page.close();
});

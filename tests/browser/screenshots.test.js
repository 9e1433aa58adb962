// Screenshots of the page for people to look at, in tests/output/. Fails only where the page is wider than its window.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { RUN_TIMEOUT_MS, start } from "./page.js";

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
      await page.page.emulateMedia({ colorScheme, reducedMotion: "reduce" }); // no colour is in a transition
      await page.page.setViewportSize({ width, height: 800 });
      await page.page.screenshot({ path: `${output}${name}-${moment}.png`, fullPage: true });
      const overflow = await page.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${name}, ${moment}: the page is ${overflow} px wider than its window`);
    }
  };
  await look("empty");
  for (const details of ["A model of your own", "Models on this computer"]) {
    await page.unfold(details);
  }
  await look("open");

  await page.page.locator("#run").getByLabel("γ over the steps").selectOption("cosine");
  await look("curve");
  await page.page.getByRole("button", { name: "Reset the parameters" }).click();
  for (const details of ["A model of your own", "Models on this computer"]) await page.unfold(details);

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
  await page.set({ steps: 2 });
  await page.page.evaluate(() =>
    document.querySelectorAll("#models, #fine-tune").forEach((fold) => (fold.open = false)),
  );
  await page.go.click();
  await page.page.getByText("A rough preview: step").waitFor({ timeout: RUN_TIMEOUT_MS });
  await page.page.getByRole("button", { name: "Pause" }).click();
  await look("running");
  await page.page.getByRole("button", { name: "Go on", exact: true }).click();
  assert.match(await page.waitForEnd(), /^Done in /);
  await page.page.locator("#result").getByLabel("Compare with the photo").fill("50");
  await look("done");

  const picture = (name) => fileURLToPath(new URL(`../../www/pictures/${name}.jpg`, import.meta.url));
  await page.page.getByLabel("Add photos").setInputFiles(picture("photo-coffee"));
  await page.page.getByLabel("Add paintings").setInputFiles(picture("style-van-gogh-auvers"));
  await page.waitForPicture(page.photo, "photo-coffee.jpg");
  await page.waitForPicture(page.painting, "style-van-gogh-auvers.jpg");
  await page.page.evaluate(() => (document.querySelector("#fine-tune").open = true));
  await page.page.getByLabel("Blend them into one result").check();
  await look("blend");
  await page.page.getByLabel("One result for each painting").check();
  await page.go.click();
  await page.page.locator("#queue").getByText("is being painted").waitFor();
  await page.page.getByRole("button", { name: "Pause" }).click();
  await look("queue");
  await page.cancel.click();
  assert.match(await page.waitForEnd(), /^Cancelled\. Nothing was lost\. 4 still wait/);
  await look("halted");
  await page.close();
});

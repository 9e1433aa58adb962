// What a person does on the page from the first picture to the last download: by mouse, by keyboard alone, on a phone;
// with links, history and pauses.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  button,
  caption,
  download,
  estimate,
  form,
  golden,
  history,
  open,
  page,
  run,
  visit,
  visitAgain,
} from "./flow.js";
import { decodePng, encodePng, largestDifference, standardDeviation } from "./goldens.js";
import { RUN_TIMEOUT_MS } from "./page.js";

test("by mouse: an example to compare, samples, a preset, a run, and the result in three formats", async () => {
  await visit("");
  const example = page.page.locator("#result");
  await example.getByRole("img", { name: /Great Wave/ }).waitFor();
  await example.getByLabel("Compare with the photo").fill("80");
  await page.close();
  await visit();
  await button("Cup of coffee").click();
  await button("Van Gogh, Cottages at Auvers").click();
  await page.waitForPicture(page.photo, "Cup of coffee · 600 × 400");
  await page.waitForPicture(page.painting, "Van Gogh, Cottages at Auvers · 600 × 470");
  await page.page.getByText("Strong style").click();
  assert.ok(await page.page.getByText("γ = 0.30").isVisible());
  await form(/^Content kept/).fill("0.4");
  await page.page.getByText("Your own settings.").waitFor();
  await page.set({ steps: 2 });
  const titles = page.page.evaluate(async () => {
    const seen = new Set();
    const look = new MutationObserver(() => seen.add(document.title));
    look.observe(document.querySelector("title"), { childList: true });
    await new Promise((done) => addEventListener("styleid-test-end", done));
    return [...seen];
  });
  await page.go.click();
  await page.page.getByText("A rough preview: step").waitFor({ timeout: RUN_TIMEOUT_MS });
  assert.ok(await page.page.getByRole("img", { name: "Preview of the picture" }).isVisible());
  assert.match(await page.waitForEnd(), /^Done in /);
  await page.page.evaluate(() => dispatchEvent(new Event("styleid-test-end")));
  assert.ok(
    (await titles).some((title) => /^\d+ % · Repainting$/.test(title)),
    String(await titles),
  );
  assert.equal(await page.page.title(), "StyleID in the browser");

  const result = page.page.getByRole("region", { name: "Result" });
  await result
    .getByRole("img", { name: "Cup of coffee, repainted in the style of Van Gogh, Cottages at Auvers" })
    .waitFor();
  await result.getByLabel("Compare with the photo").fill("30");
  assert.match(await caption().innerText(), /^128 × 128 · .* · 6 UNet evaluations · \d+ kB$/);
  const png = await page.download();
  assert.equal(png.name, "Cup of coffee in the style of Van Gogh, Cottages at Auvers.png");
  assert.ok(standardDeviation(decodePng(png.bytes).rgb) > 5);
  const jpeg = await download(result.getByRole("button", { name: "JPEG" }));
  assert.match(jpeg.name, /\.jpg$/);
  assert.deepEqual([...jpeg.bytes.subarray(0, 3)], [0xff, 0xd8, 0xff]);
  const webp = await download(result.getByRole("button", { name: "WebP" }));
  assert.equal(webp.bytes.toString("latin1", 8, 12), "WEBP");
  page.assertClean();
});

test("by keyboard alone: from the first key to a result of one's own", async () => {
  await visit();
  const keys = page.page.keyboard;
  /** Presses Tab until `locator` has the focus. */
  const tabTo = async (locator, name) => {
    for (let i = 0; i < 60; i++) {
      await keys.press("Tab");
      if (await locator.evaluate((element) => element === document.activeElement)) return;
    }
    assert.fail(
      `${name} is not reached by Tab; the focus is on ${await page.page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200))}`,
    );
  };
  await tabTo(page.page.getByLabel("Choose a photo"), "the photo's field");
  await tabTo(button("Cat", true), "the sample photos");
  for (let i = 0; i < 3; i++) await keys.press("ArrowRight");
  await keys.press("Enter");
  await page.waitForPicture(page.photo, "Bridge at night · ");
  await tabTo(button("Hokusai, The Great Wave", true), "the sample paintings");
  await keys.press("End");
  await keys.press("Space");
  await page.waitForPicture(page.painting, "Renoir, Girls at the Piano · ");
  await tabTo(page.page.getByRole("radio", { name: "Balanced" }), "the presets");
  await keys.press("ArrowRight");
  assert.ok(await page.page.getByText("γ = 0.30").isVisible(), "Strong style");
  await tabTo(form(/^Content kept/), "γ");
  await keys.press("ArrowRight");
  assert.ok(await page.page.getByText("γ = 0.31").isVisible());
  await tabTo(form(/^Steps/), "the steps");
  await keys.type("1");
  await keys.press("Enter"); // submits the form
  await page.cancel.waitFor();
  assert.match(await page.waitForEnd(), /^Done in /);
  // The focus stays on the field; from there Tab reaches the controls of the result.
  await tabTo(page.page.locator("#result").getByLabel("Compare with the photo"), "the comparison");
  await keys.press("ArrowLeft");
  await tabTo(page.page.getByRole("link", { name: "Download PNG" }), "the download");
  const [file] = await Promise.all([page.page.waitForEvent("download"), keys.press("Enter")]);
  assert.equal(file.suggestedFilename(), "Bridge at night in the style of Renoir, Girls at the Piano.png");
  page.assertClean();
});

test("on a phone: everything by touch, within its width, and go always in sight", async () => {
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
  await visit("?model=micro15", phone);
  const fits = async (moment) => {
    const [overflow, small] = await page.page.evaluate(() => [
      document.documentElement.scrollWidth - innerWidth,
      [...document.querySelectorAll("button, .button, .choose, select")]
        .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 24)
        .map(({ outerHTML }) => outerHTML.slice(0, 120)),
    ]);
    assert.ok(overflow <= 0, `${moment}: ${overflow} px too wide`);
    assert.deepEqual(small, [], `${moment}: too small to touch`);
    // An element that sticks to an edge is put there when the next frame is drawn.
    await page.page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))));
    const box = await page.page.locator("#go-bar").boundingBox();
    assert.ok(box.y >= 0 && box.y + box.height <= 741, `${moment}: the go bar is at ${box.y}, ${box.height} high`);
  };
  await fits("empty");
  await button("Astronaut").tap();
  await button("Hokusai, The Great Wave").tap();
  await page.waitForPicture(page.photo, "Astronaut · ");
  await page.waitForPicture(page.painting, "Hokusai, The Great Wave · ");
  await fits("filled");
  await page.set({ steps: 1 });
  await page.go.tap();
  await page.page.getByText("A rough preview").first().waitFor();
  await fits("running");
  assert.match(await page.waitForEnd(), /^Done in /);
  await fits("done");
  assert.ok(await page.page.getByRole("link", { name: "Download PNG" }).isVisible());
  page.assertClean();
});

test("after a run, γ re-uses both inversions: 60 UNet evaluations, then 20, foretold beside go", async () => {
  await open();
  await page.set({ size: "keep", steps: 20 });
  assert.equal(await estimate().innerText(), "", "nothing is known yet");
  await run();
  assert.match(await caption().innerText(), / · 60 UNet evaluations · /);
  await form(/^Content kept/).fill("0.2");
  assert.match(await estimate().innerText(), /^Re-uses both inversions: (about|less than) .*\.$/);
  await run();
  assert.match(await caption().innerText(), / · 20 UNet evaluations, both inversions re-used · /);
  await form(/^Steps/).fill("19");
  assert.match(await estimate().innerText(), /^Needs new inversions: (about|less than) /);
  await form(/^Steps/).fill("20");
  await page.drop(page.painting, encodePng(golden.content), "other.png");
  await page.waitForPicture(page.painting, "other.png");
  assert.match(await estimate().innerText(), /^Re-uses the photo's inversion: /);
  // The pace that was learned is known on the next visit.
  await visitAgain();
  await page.choose(golden);
  await page.set({ size: "keep", steps: 20 });
  await estimate()
    .getByText(/^(About|Less than) /)
    .waitFor();
});

test("a link brings every setting and the model, and what it cannot bring gets a sentence", async () => {
  await open("?model=micro15", { permissions: ["clipboard-read", "clipboard-write"] });
  await page.set({ size: "keep", steps: 2 });
  await page.page.getByText("Published schedule").click();
  await form(/^Content kept/).fill("0.66");
  await page.page.getByRole("checkbox", { name: "6", exact: true }).check();
  await form("Keep the photo's colours").check();
  await run();
  await button("Copy a link to these settings").click();
  await page.page.getByText("The link is copied.").waitFor();
  const link = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.ok(link.startsWith(`${page.server.url}#model=micro15&`), link);
  assert.doesNotMatch(link, /content|style\.png/, "no word of the pictures");

  await page.page.goto("about:blank");
  await page.page.goto(link);
  await page.status.getByText("The settings of the link are set").waitFor();
  assert.equal(await page.model.inputValue(), "micro15");
  assert.equal(await form("Size").first().inputValue(), "keep");
  assert.equal(await form(/^Steps/).inputValue(), "2");
  assert.equal(await form(/^Content kept/).inputValue(), "0.66");
  assert.equal(await form("γ over the steps").inputValue(), "cosine");
  assert.ok(await form("Keep the photo's colours").isChecked());
  assert.equal(await page.tickedLayers(), "6,7,8,9,10,11");

  await page.page.goto(`${page.server.url}#gamma=0.5&steps=many&model=nonesuch`);
  await page.page.reload();
  await page.status.getByText("The link's steps is “many”").waitFor();
  assert.match(await page.status.innerText(), /nonesuch/);
  assert.equal(await form(/^Content kept/).inputValue(), "0.5", "the rest is kept");
});

test("a look runs at half the work and redraws, a style scale is foretold as more, and a link brings both", async () => {
  await open("?model=micro15", { permissions: ["clipboard-read", "clipboard-write"] });
  await page.set({ size: "keep", steps: 4 });
  await page.page.getByRole("radio", { name: "Bold", exact: true }).check();
  await run();
  assert.match(await caption().innerText(), / · 12 UNet evaluations · /);
  const bold = (await page.download()).bytes;
  await form(/^Redraw:/).fill("0");
  await estimate()
    .getByText(/^Re-uses both inversions/)
    .waitFor();
  await run();
  assert.match(await caption().innerText(), / · 4 UNet evaluations, both inversions re-used · /);
  assert.notDeepEqual((await page.download()).bytes, bold);
  await form(/^Style scale:/).fill("1.5");
  await run();
  assert.match(await caption().innerText(), / · 8 UNet evaluations, both inversions re-used · /);
  await button("Copy a link to these settings").click();
  await page.page.getByText("The link is copied.").waitFor();
  const link = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /version=fast&steps=4&redraw-band=0\.5&texture=1&style-scale=1\.5&size=keep$/);
  await page.page.goto("about:blank");
  await page.page.goto(link);
  await page.status.getByText("The settings of the link are set").waitFor();
  assert.equal(await page.page.getByLabel("Version", { exact: true }).inputValue(), "fast");
  assert.equal(await form(/^Style scale:/).inputValue(), "1.5");
  assert.equal(await form(/^Redraw:/).inputValue(), "0");

  // An address of a part of the page that has the name of a setting is not a link with settings.
  await page.page.goto(`${page.server.url}#redraw`);
  await page.page.reload();
  await page.model.locator("option:checked").waitFor({ state: "attached" });
  assert.equal(await page.status.innerText(), "");
});

test("the history shows what was made, and brings pictures and settings back", async () => {
  await open();
  await page.set({ size: "keep", steps: 1 });
  await run();
  const first = (await page.download()).bytes;
  await form(/^Content kept/).fill("0.1");
  await page.drop(page.painting, encodePng(golden.content), "other.png");
  await page.waitForPicture(page.painting, "other.png");
  await run();
  assert.equal(await history().count(), 2);
  assert.notDeepEqual((await page.download()).bytes, first);

  await button("content.png in the style of style.png").click();
  assert.deepEqual((await page.download()).bytes, first);
  await button("Use these settings").click();
  await page.waitForPicture(page.painting, "style.png · 64 × 96");
  assert.equal(await form(/^Content kept/).inputValue(), "0.75");
  await button("Run again").click();
  assert.match(await page.waitForEnd(), /^Done in /);
  assert.equal(await history().count(), 3);
  const again = decodePng((await page.download()).bytes);
  assert.ok(largestDifference(again.rgb, decodePng(first).rgb) <= 1);
});

test("a paused run stands still, goes on, and is cancelled while it is paused", async () => {
  await open();
  await page.set({ size: "keep", steps: 60 });
  await page.go.click();
  const step = page.page.locator("#detail", { hasText: /step \d+ of/ });
  await step.waitFor({ timeout: RUN_TIMEOUT_MS });
  await button("Pause").click();
  await page.status.getByText("Paused.").waitFor();
  assert.match(await page.page.title(), /^Paused/);
  await page.page.waitForTimeout(1500); // until the step under way is done
  const calls = () => page.page.evaluate(() => window.events);
  await page.page.evaluate(() => {
    window.events = 0;
    new MutationObserver(() => window.events++).observe(document.querySelector("#detail"), { childList: true });
  });
  await page.page.waitForTimeout(1500);
  assert.equal(await calls(), 0);
  await button("Go on", true).click();
  await page.page.waitForFunction(() => window.events > 1, null, { timeout: 60_000 });
  await button("Pause").click();
  await page.status.getByText("Paused.").waitFor();
  const began = performance.now();
  await page.cancel.click();
  assert.equal(await page.waitForEnd(), "Cancelled. Nothing was lost.");
  assert.ok(performance.now() - began < 9000);
  assert.equal(await page.page.title(), "StyleID in the browser");
  await page.set({ steps: 1 });
  await run();
});

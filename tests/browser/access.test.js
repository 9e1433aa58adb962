// Accessibility and speed of the page: what axe-core finds, how many bytes it has, and when it can be used.

import assert from "node:assert/strict";
import { access, readFile, readdir } from "node:fs/promises";
import { after, afterEach, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { assertAccessible } from "./axe.js";
import { encodePng, readGolden } from "./goldens.js";
import { dist, start } from "./page.js";

/** Most bytes of HTML, CSS and JavaScript, compressed as servers do. */
const BUDGET = 150_000;
/** Most milliseconds from the navigation until the page can be used. */
const USABLE_MS = 1000;
/** Limits of the layout shift without user input, and of the Largest Contentful Paint in milliseconds. */
const MOST_SHIFT = 0.02;
const LARGEST_MS = 1800;

let browser;
let page;
before(async () => {
  browser = await start();
});
afterEach(() => page?.close());
after(() => browser?.close());

/** @param {string} state */
const assertNothingGrave = (state) => assertAccessible(page.page, state);

for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
  test(`nothing serious in the page's states, ${colorScheme}`, async () => {
    // This model is only selected, never fetched: nobody agrees to its download here.
    page = await browser.open("?model=sd15-q8", { colorScheme });
    await assertNothingGrave("as it opens");
    await page.page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await assertNothingGrave("all unfolded");
    await page.drop(page.photo, Buffer.from("no picture"), "diary.txt", "text/plain");
    await page.photo.getByRole("alert").filter({ hasText: "." }).waitFor();
    await assertNothingGrave("with a problem");
    const { content, style } = await readGolden("micro15.diffusers.n4.rect");
    await page.drop(page.photo, encodePng(content), "content.png");
    await page.drop(page.painting, encodePng(style), "style.png");
    await page.waitForPicture(page.photo, "content.png · ");
    await page.waitForPicture(page.painting, "style.png · ");
    await page.go.click();
    await page.consent.waitFor();
    await assertNothingGrave("with a question");
    await page.page.keyboard.press("Escape");
    await page.waitForEnd();
    await page.page.setViewportSize({ width: 360, height: 740 });
    await assertNothingGrave("on a phone");
  });

  for (const name of ["how.html", "example.html"]) {
    test(`nothing serious in ${name}, ${colorScheme}`, async (t) => {
      if (
        !(await access(`${dist}/${name}`).then(
          () => true,
          () => false,
        ))
      )
        return t.skip("there is none");
      page = await browser.open("", { colorScheme });
      await page.page.goto(page.server.url + name);
      await assertNothingGrave(name);
    });
  }
}

test("HTML, CSS and JavaScript together keep within the budget", async (t) => {
  const names = (await readdir(dist, { recursive: true })).filter((name) => /\.(html|css|js)$/.test(name));
  const sizes = await Promise.all(
    names.map(async (name) => ({ name, bytes: gzipSync(await readFile(`${dist}/${name}`)).length })),
  );
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = sizes.toSorted((a, b) => b.bytes - a.bytes).slice(0, 5);
  t.diagnostic(`${total} bytes; ${largest.map(({ name, bytes }) => `${name} ${bytes}`).join(", ")}`);
  assert.ok(total <= BUDGET, `${total} bytes gzipped, more than ${BUDGET}`);
});

test("it can be used within a second, before any model, and asks nobody else for anything", async (t) => {
  const times = [];
  for (let visit = 0; visit < 3; visit++) {
    page = await browser.open("", {});
    await page.page.addInitScript(() => {
      const look = () => {
        // The list of models is the last that the script makes before it waits for input.
        if (!document.querySelector("#model option")) return requestAnimationFrame(look);
        window.usable = performance.now();
      };
      requestAnimationFrame(look);
    });
    await page.goto("");
    times.push(await page.page.waitForFunction(() => window.usable).then((handle) => handle.jsonValue()));
    const summary = page.page.locator("footer summary");
    await summary.click();
    assert.ok(await summary.locator("..").evaluate((details) => details.open));
    await page.page.waitForTimeout(500);
    assert.deepEqual(
      page.requests.filter((url) => !url.startsWith(page.server.url) && !/^(blob|data):/.test(url)),
      [],
    );
    assert.ok(!page.requests.some((url) => /\/(models|metrics)\//.test(url)), "no model is fetched before a run");
    if (visit < 2) await page.close();
  }
  const [, median] = times.toSorted((a, b) => a - b);
  t.diagnostic(`usable after ${times.map(Math.round).join(", ")} ms`);
  assert.ok(median <= USABLE_MS, `usable after ${Math.round(median)} ms`);
});

test("nothing moves while the page opens, its pictures are there soon, and the program comes after them", async (t) => {
  const largest = [];
  for (let visit = 0; visit < 3; visit++) {
    page = await browser.open("", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    await page.page.addInitScript(() => {
      window.seen = { shift: 0, largest: 0 };
      const watch = (type, take) =>
        new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
      watch("layout-shift", ({ value, hadRecentInput }) => (window.seen.shift += hadRecentInput ? 0 : value));
      watch("largest-contentful-paint", ({ startTime }) => (window.seen.largest = startTime));
    });
    await page.page.goto("about:blank");
    await page.page.waitForTimeout(500); // for the requests of the first page
    page.requests.length = 0;
    await page.page.goto(page.server.url, { waitUntil: "load" });
    const isProgram = (url) => url.endsWith(".wasm");
    assert.ok(!page.requests.some(isProgram), "the program is fetched before the page is there");
    await page.page.locator("#doors details").waitFor();
    await page.page.waitForTimeout(1500);
    assert.ok(page.requests.some(isProgram), "it is fetched before it is needed");
    const { shift, largest: at } = await page.page.evaluate(() => window.seen);
    t.diagnostic(`moved by ${shift.toFixed(3)}, largest picture after ${Math.round(at)} ms`);
    assert.ok(shift <= MOST_SHIFT, `moved by ${shift}`);
    largest.push(at);
    if (visit < 2) await page.close();
  }
  const [, median] = largest.toSorted((a, b) => a - b);
  assert.ok(median < LARGEST_MS, `the largest picture is there after ${Math.round(median)} ms`);
});

// Measures of results, compared with published code (tests/fixtures/metrics), and as a person gets them on the page.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertAccessible } from "./axe.js";
import { encodePng, readGolden } from "./goldens.js";
import { RUN_TIMEOUT_MS, start } from "./page.js";

const WEIGHTS = "metrics/lpips-alex-f16.safetensors";
const figures = JSON.parse(
  await readFile(fileURLToPath(new URL("../fixtures/metrics/figures.json", import.meta.url)), "utf8"),
);

/** @param {number} width @param {number} height @param {(x: number, y: number, c: number) => number} value */
function picture(width, height, value) {
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) rgb[3 * (y * width + x) + c] = value(x, y, c) % 256;
  }
  return { width, height, rgb };
}

// The pictures that the figures were measured on, by the formulas of reference.py.
const waves = (x, y, c) => x * 3 + y * 5 + c * 70 + ((x * y) % 37) * 2;
const tiles = (x, y, c) => Math.floor(x / 8) * 31 + Math.floor(y / 6) * 17 + c * c * 40 + ((x + y) % 5) * 9;

const base64 = (picture) => encodePng(picture).toString("base64");

let browser;
let golden;
/** A page with a loaded model as `styleid`: one worker for all calls of the API. */
let shared;
let page;
before(async () => {
  golden = await readGolden("micro15.diffusers.n4.rect");
  browser = await start();
  shared = await browser.open();
  await shared.page.goto(`${shared.server.url}example.html`);
  await shared.page.evaluate(async () => {
    const { StyleID } = await import("./api.js");
    window.styleid = await StyleID.load({ model: "micro15", device: "gpu" });
    window.bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  });
});
afterEach(async () => {
  await page?.close();
  page = null;
});
after(() => browser?.close());

/** Measures through the API. Pictures are in base64, crops in pixels. */
const measure = (request) =>
  shared.page.evaluate(
    ({ content, crop, styles, result }) =>
      window.styleid.measure({
        content: window.bytes(content),
        crop,
        styles: styles.map(({ picture, crop }) => ({ picture: window.bytes(picture), crop })),
        result: window.bytes(result),
      }),
    request,
  );

function near(value, expected, tolerance, what) {
  assert.ok(Math.abs(value - expected) <= tolerance, `${what}: ${value} against ${expected}`);
}

for (const [name, width, height] of /** @type {const} */ ([
  ["small", 96, 80],
  ["large", 300, 260],
])) {
  test(`${name} pictures have the published code's distances, each style its own`, async () => {
    const [photo, other] = [picture(width, height, waves), picture(width, height, tiles)].map(base64);
    const whole = { picture: photo };
    const { lpips, styles } = await measure({ content: photo, styles: [whole, { picture: other }], result: other });
    near(lpips, figures[name].lpips, 1e-3, "LPIPS");
    near(styles[0].histogram, figures[name].histogram, 1e-4, "histogram");
    near(styles[0].styleDistance / figures[name].style_distance, 1, 2e-3, "style distance, relative");
    assert.equal(styles.length, 2);
    near(styles[1].histogram, 0, 1e-9, "histogram to itself");
    near(styles[1].styleDistance, 0, 1e-6, "style distance to itself");
  });
}

test("crops are what is measured, and another size is fitted to the result's", async () => {
  const [width, height] = [96, 80];
  const [left, top] = [17, 9];
  const around = picture(160, 120, (x, y, c) => {
    const isInside = x >= left && x < left + width && y >= top && y < top + height;
    return isInside ? waves(x - left, y - top, c) : 255 * c;
  });
  const crop = { x: left, y: top, width, height };
  const photo = base64(around);
  const result = base64(picture(width, height, tiles));
  const { lpips, styles } = await measure({ content: photo, crop, styles: [{ picture: photo, crop }], result });
  near(lpips, figures.small.lpips, 1e-3, "LPIPS");
  near(styles[0].histogram, figures.small.histogram, 1e-4, "histogram");
  const uncropped = await measure({ content: photo, styles: [{ picture: photo }], result });
  assert.ok(Math.abs(uncropped.lpips - lpips) > 0.01 && uncropped.styles[0].histogram > 0);
});

test("what cannot be measured gets a kind and a sentence, and the next call works", async () => {
  const [photo, tiny] = [picture(64, 64, waves), picture(20, 100, waves)].map(base64);
  const failure = (request) => measure(request).then(() => "none", String);
  const styles = [{ picture: photo }];
  assert.match(await failure({ content: photo, styles, result: tiny }), /20 × 100 pixels is too small to be measured/);
  assert.match(await failure({ content: photo, styles, result: Buffer.from("x").toString("base64") }), /The result/);
  assert.match(await failure({ content: photo, styles: [], result: photo }), /Give one style/);
  const cancelled = await shared.page.evaluate((photo) => {
    const picture = window.bytes(photo);
    const signal = AbortSignal.abort();
    return window.styleid.measure({ content: picture, style: picture, result: picture }, { signal }).catch(String);
  }, photo);
  assert.match(cancelled, /Cancelled/);
  const [first, second] = await Promise.all([1, 2].map(() => measure({ content: photo, styles, result: photo })));
  assert.ok(first.lpips < 1e-6);
  assert.deepEqual(first, second);
});

const button = (name) => page.page.getByRole("button", { name, exact: true });
const said = () => page.page.getByRole("status", { name: "About the result" });
const values = (part) => page.page.locator(`#result [data-part=${part}]`);
const numbers = async (part) => [...(await values(part).innerText()).matchAll(/\d+\.\d{3}/g)].map(Number);
const fetched = () => page.requests.filter((url) => url.endsWith(WEIGHTS)).length;

async function run() {
  await page.go.click();
  assert.match(await page.waitForEnd(), /^Done/);
}

test("a press on Measure shows a result's measures, which stay with it", async () => {
  page = await browser.open("?model=micro15");
  await page.choose(golden);
  await page.set({ size: "keep", steps: 2 });
  await run();
  assert.equal(fetched(), 0, "nothing is fetched before the person asks");
  const made = (await page.download()).bytes.toString("base64");

  // Without a connection the page says so in a sentence, and a second press works.
  const file = `**/${WEIGHTS}`;
  await page.page.route(file, (route) => route.abort());
  await button("Measure").focus();
  await page.page.keyboard.press("Enter");
  await said()
    .getByText(/could not be fetched .*: check the connection and try again\.$/)
    .waitFor();
  assert.equal(await values("lpips").innerText(), "–");
  assert.equal(page.faults.splice(0).length, 1, "the browser's own word on the address");
  await page.page.unroute(file);

  const top = () => page.page.locator("#history").evaluate((element) => element.getBoundingClientRect().top + scrollY);
  const before = await top();
  await page.page.keyboard.press("Enter");
  assert.equal(await values("lpips").innerText(), "…");
  await said()
    .getByText(/^Measured: LPIPS \d/)
    .waitFor({ timeout: RUN_TIMEOUT_MS });
  near(await top(), before, 0.5, "where the history is: nothing jumps");
  assert.ok(await button("Measure").evaluate((element) => element === document.activeElement));
  const shown = [await numbers("lpips"), await numbers("styleDistance"), await numbers("histogram")];
  const { content, style } = golden;
  const independent = await measure({ content: base64(content), styles: [{ picture: base64(style) }], result: made });
  const [{ styleDistance, histogram }] = independent.styles;
  assert.deepEqual(
    shown,
    [independent.lpips, styleDistance, histogram].map((value) => [Number(value.toFixed(3))]),
  );
  assert.ok(shown.flat().every((value) => value > 0));
  await assertAccessible(page.page, "with measures");

  // A result of two paintings is measured against each.
  await page.page.getByLabel("Add paintings").setInputFiles({
    name: "other.png",
    mimeType: "image/png",
    buffer: encodePng(content),
  });
  await page.waitForPicture(page.painting, "other.png");
  await page.page.getByLabel("Blend them into one result").check();
  await run();
  assert.equal(await values("lpips").innerText(), "–", "this one is not measured yet");
  await button("Measure").click();
  // A run that begins meanwhile waits for the measurement.
  await run();
  await page.page.locator("#history").getByRole("button").nth(1).click();
  assert.match(
    await values("styleDistance").innerText(),
    /^\d+\.\d{3}\s+from style\.png\s+\d+\.\d{3}\s+from other\.png$/,
  );
  assert.equal((await numbers("histogram")).length, 2);
  await page.page.locator("#history").getByRole("button").nth(2).click();
  assert.deepEqual(await numbers("lpips"), shown[0], "kept with the result");
  await button("Measure").click();
  assert.match(await said().innerText(), /^Measured: /);
  assert.equal(fetched(), 2, "the one that failed, and the one that did not");
  page.assertClean();
});

// What the tests of the flow share: one browser, the page of the test that runs, and the elements on it.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before } from "node:test";
import { fileURLToPath } from "node:url";
import { readGolden } from "./goldens.js";
import { start } from "./page.js";

export const sample = (name) => fileURLToPath(new URL(`../../www/pictures/${name}.jpg`, import.meta.url));

let browser;
export let golden;
/** The page of the test that runs. @type {import("./page.js").PageUnderTest} */
export let page;
before(async () => {
  browser = await start();
  golden = await readGolden("micro15.diffusers.n4.rect");
});
afterEach(async () => {
  await page?.close();
  page = null;
});
after(() => browser?.close());

export const button = (name, exact = false) => page.page.getByRole("button", { name, exact });
export const queue = () => page.page.locator("#queue");
export const caption = () => page.page.locator("#result [data-part=caption]");
export const estimate = () => page.page.locator("#estimate");
export const history = () => page.page.locator("#history").getByRole("button");
export const form = (label) => page.page.locator("#run").getByLabel(label);

/** Opens a page without pictures. */
export async function visit(query = "?model=micro15", options = {}) {
  page = await browser.open(query, options);
}

/** Opens the page again, with what it has stored. */
export async function visitAgain(query = "?model=micro15") {
  page = await page.again(query);
}

/** Opens a page with the golden's pictures. */
export async function open(query = "?model=micro15", options = {}) {
  await visit(query, options);
  await page.choose(golden);
}

export async function run() {
  await page.go.click();
  const end = await page.waitForEnd();
  assert.match(end, /^Done/);
  return end;
}

/** The name and bytes of a download that a click begins. @param {import("playwright-core").Locator} what */
export async function download(what) {
  const [file] = await Promise.all([page.page.waitForEvent("download"), what.click()]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

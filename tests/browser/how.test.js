// "How it works": it loads all it shows, its links lead to fields that are there, and it fits every window.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { look, startTools } from "./tools.js";

const output = fileURLToPath(new URL("../output/", import.meta.url));
let tools;
before(async () => {
  tools = await startTools();
});
after(() => tools?.close());

async function open(options = {}) {
  const opened = await tools.open("shared/dom.js", options);
  await opened.page.goto(`${tools.url}www/how.html`);
  return opened;
}

test("all pictures load, each with words, and nothing else is fetched", async () => {
  const { page, faults, context } = await open();
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.reload();
  for (const image of await page.getByRole("img").all()) await image.scrollIntoViewIfNeeded();
  await page.waitForFunction(() =>
    [...document.images].every(({ complete, naturalWidth }) => complete && naturalWidth),
  );
  const images = await page.evaluate(() => [...document.images].map(({ alt, src }) => ({ alt, src })));
  assert.ok(images.length >= 14);
  for (const { alt, src } of images) assert.ok(alt.length > 10, src);
  assert.ok(
    requests.every((url) => url.startsWith(`${tools.url}www/`)),
    requests.join("\n"),
  );
  assert.deepEqual(faults, []);
  await context.close();
});

test("every link leads to something that is there", async () => {
  const { page, context } = await open();
  const links = await page.evaluate(() => [...document.links].map((link) => link.getAttribute("href")));
  const ids = async (file) => {
    const text = await readFile(new URL(`../../www/${file}`, import.meta.url), "utf8");
    return new Set([...text.matchAll(/\bid="([^"]+)"/g)].map(([, id]) => id));
  };
  for (const href of links) {
    const [file, fragment] = href.split("#");
    const there = await ids(file || "how.html");
    if (fragment) assert.ok(there.has(fragment), `${href}: there is no such id`);
  }
  assert.ok(links.filter((href) => href.startsWith("index.html#")).length >= 20);
  await context.close();
});

test("headings are in order, and the contents name every section", async () => {
  const { page, context } = await open();
  const levels = await page.evaluate(() =>
    [...document.querySelectorAll("h1, h2, h3")].map(({ tagName }) => Number(tagName[1])),
  );
  assert.equal(levels[0], 1);
  for (let i = 1; i < levels.length; i++) assert.ok(levels[i] <= levels[i - 1] + 1 && levels[i] > 1);
  const sections = await page.evaluate(() =>
    [...document.querySelectorAll("main > section")].map(({ id }) => `#${id}`),
  );
  const contents = await page.evaluate(() =>
    [...document.querySelectorAll("nav a")].map((link) => link.getAttribute("href")),
  );
  assert.deepEqual(contents, sections);
  await context.close();
});

test("how it looks", async () => {
  const { page, context } = await open();
  for (const image of await page.getByRole("img").all()) await image.scrollIntoViewIfNeeded();
  await look(page, "how");
  await mkdir(output, { recursive: true });
  await page.emulateMedia({ colorScheme: "light" });
  for (const [name, width] of [
    ["wide", 1100],
    ["narrow", 360],
  ]) {
    await page.setViewportSize({ width, height: 800 });
    await page.screenshot({ path: `${output}tool-how-all-${name}.png`, fullPage: true });
  }
  await context.close();
});

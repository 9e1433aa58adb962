// Files of every kind that people drop (tests/fixtures/pictures; list.json says what becomes of each): every file soon
// gives a picture or a sentence of its own. Files with `inBrowsers` are decoded only by browsers.
// tests/native/picture_files.rs runs the crate's decoder on the same files.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { start } from "./page.js";

const folder = fileURLToPath(new URL("../fixtures/pictures/", import.meta.url));

/** Most milliseconds from the drop to the page's answer. */
const LIMIT_MS = 2000;

/** The same for files that take a second by themselves, on two busy cores. @type {Record<string, number>} */
const PATIENCE_MS = { "108-million.jpg": 15_000 };

/** The types that browsers give to files by extension, which may be wrong. @type {Record<string, string>} */
const TYPES = { jpg: "image/jpeg", svg: "image/svg+xml", txt: "text/plain", mp4: "video/mp4", pdf: "application/pdf" };

let browser;
before(async () => {
  browser = await start();
});
after(() => browser?.close());

test("every kind of file gives a picture or a sentence of its own within two seconds", async (t) => {
  /** @type {{ name: string, size: string | null, says: string, inBrowsers?: string }[]} */
  const list = JSON.parse(await readFile(`${folder}list.json`, "utf8"));
  const page = await browser.open();
  const { photo } = page;
  const alert = photo.getByRole("alert");
  const drop = async (/** @type {string} */ name, shownAs = name) => {
    const extension = name.split(".").at(-1) ?? "";
    const type = TYPES[extension] ?? `image/${extension}`;
    await page.drop(photo, await readFile(folder + name), shownAs, type);
  };
  // The first picture waits until the wasm is compiled.
  await drop("plain.jpg", "first.jpg");
  await page.waitForPicture(photo, "first.jpg · 48 × 32");
  let kept = "first.jpg · 48 × 32";
  const sentences = new Map();
  let slowest = { name: "", took: 0 };
  for (const { name, inBrowsers, ...natively } of list) {
    const size = inBrowsers ?? natively.size;
    const says = inBrowsers ? "This browser has decoded it." : natively.says;
    const limit = PATIENCE_MS[name] ?? LIMIT_MS;
    const began = performance.now();
    await drop(name);
    const wanted = size ? photo.getByText(`${name} · ${size}`) : alert.filter({ hasText: says });
    await wanted.waitFor({ timeout: limit }).catch(async () => {
      assert.fail(`${name}: after ${limit} ms the slot says ${JSON.stringify(await photo.innerText())}`);
    });
    const took = performance.now() - began;
    assert.ok(took < limit, `${name} took ${Math.round(took)} ms`);
    if (took > slowest.took) slowest = { name, took };
    if (size) {
      kept = `${name} · ${size}`;
      const facts = await photo.getByText(kept).innerText();
      if (says) assert.ok(facts.includes(says), facts);
      else assert.equal(facts, kept);
      assert.equal(await alert.innerText(), "", name);
      // Browsers do not show every kind: if the browser refuses a picture, the crate makes a PNG of it.
      const shown = `img[alt="The chosen photo: ${name}"]`;
      await photo.page().waitForFunction(
        (/** @type {string} */ selector) => {
          const image = /** @type {HTMLImageElement | null} */ (document.querySelector(selector));
          return image !== null && !image.hidden && image.complete && image.naturalWidth > 0;
        },
        shown,
        { timeout: limit },
      );
    } else {
      const said = await alert.innerText();
      const [sentence, rest] = said.split(" The photo chosen before is kept.");
      assert.equal(rest, "", `${name}: ${said}`);
      assert.match(sentence, /^This file [^\n]*\.$/, name);
      assert.ok(await photo.getByText(kept).isVisible(), `${name} takes ${kept} away`);
      sentences.set(name, sentence);
    }
  }
  t.diagnostic(`${list.length} files; the slowest, ${slowest.name}, took ${Math.round(slowest.took)} ms`);
  // No two kinds share a sentence, except those that are damaged or too small in the same way.
  const refused = [...sentences.entries()].filter(([name]) => !name.startsWith("cut") && name !== "thread.png");
  const distinct = new Set(refused.map(([, sentence]) => sentence));
  assert.ok(refused.length >= 15 && distinct.size === refused.length, [...distinct].join("\n"));
  page.assertClean();
  await page.close();
});

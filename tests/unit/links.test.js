// The two pages' links to each other's parts: each leads to something that is there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (file) => readFileSync(new URL(`../../www/${file}`, import.meta.url), "utf8");
const PAGES = ["index.html", "how.html"];

for (const [from, to] of [PAGES, PAGES.toReversed()]) {
  test(`links of ${from} lead to parts of ${to}`, () => {
    const ids = new Set([...read(to).matchAll(/\bid="([^"]+)"/g)].map(([, id]) => id));
    const wanted = [...read(from).matchAll(/\bhref="([^"#]*)#([^"]+)"/g)].filter(([, file]) => file === to);
    assert.ok(wanted.length >= 4);
    for (const [link, , id] of wanted) assert.ok(ids.has(id), link);
  });
}

test("help that leads away from the page opens beside it: pictures and results of a visit are nowhere else", () => {
  const links = [...read("index.html").matchAll(/<a [^>]*href="how\.html#[^>]*>/g)].map(([link]) => link);
  for (const link of links) assert.match(link, /target="_blank"/);
});

// The documentation's links lead somewhere: files that are there, and headings that are in them.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const PAGES = [
  "README.md",
  "CHANGELOG.md",
  ".github/CONTRIBUTING.md",
  ".github/SECURITY.md",
  "crate/demo/README.md",
  "www/README.md",
  ...readdirSync(`${root}docs`, { recursive: true })
    .map((file) => `docs/${file}`)
    .filter((file) => file.endsWith(".md")),
];

const read = (/** @type {string} */ file) => readFileSync(root + file, "utf8");

/** A heading's name in links, as GitHub makes it. @param {string} heading */
const anchor = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

/** @param {string} file */
const anchors = (file) => [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchor(heading));

for (const page of PAGES) {
  test(`${page}: every link leads somewhere`, () => {
    const text = read(page).replace(/^```[^]*?^```/gm, "");
    for (const [, link] of text.matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)) {
      const [file, heading] = link.split("#");
      const target = file ? path.posix.join(path.posix.dirname(page), file) : page;
      assert.ok(existsSync(root + target), `${link}: there is no ${target}`);
      if (heading) assert.ok(anchors(target).includes(heading), `${link}: ${target} has no such heading`);
    }
  });
}

test("README stays a page that is read", () => {
  const lines = read("README.md").split("\n").length;
  assert.ok(lines <= 130, `${lines} lines: long tables belong into docs/`);
});

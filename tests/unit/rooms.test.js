// Where the page's files lie: nothing is forgotten, nothing is missing from the site, and imports go one way.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const www = fileURLToPath(new URL("../../www/", import.meta.url));
const read = (file) => readFileSync(path.join(www, file), "utf8");

/** Files outside the rooms: those with public addresses, and those that only people and the type checker read. */
const PUBLIC = [
  "api.js",
  "example.html",
  "example.js",
  "how.html",
  "index.html",
  "manifest.webmanifest",
  "models.json",
  "sw.js",
  "worker.js",
];
const UNPUBLISHED = ["README.md", "styleid.d.ts"];
/** Files that the build makes. */
const MADE = ["index.html", "styleid.js", "styleid_bg.wasm", "processor.js", "processor_bg.wasm", "files.js"];
/** Where a visit begins: the pages, and the API for other sites. The dialogs' styles are linked only later. */
const ENTRANCES = ["index.html", "how.html", "example.html", "api.js", "page/dialogs.css"];

/** The rooms in their order. */
const ROOMS = [...read("README.md").matchAll(/^\d+\. `(\w+)\/`/gm)].map(([, room]) => room);
/** The number of a file's room. Files of the root may import from all rooms, and no room may import them. */
const roomOf = (file) => (file.includes("/") ? ROOMS.indexOf(file.split("/")[0]) : ROOMS.length);

/** All files below a folder, by their paths in it. */
const filesOf = (folder) =>
  readdirSync(folder, { recursive: true }).filter((file) => statSync(path.join(folder, file)).isFile());
const SOURCES = filesOf(www).filter((file) => /\.(js|css)$/.test(file));
const SCRIPTS = SOURCES.filter((file) => file.endsWith(".js"));

/** The site's files, as trunk copies them: a map from their paths in the site to the files. */
function publish() {
  const site = new Map(MADE.map((file) => [file, null]));
  for (const [tag] of read("index.html").matchAll(/<link data-trunk rel="copy-(?:file|dir)"[^>]*>/g)) {
    const href = path.join(www, /href="([^"]+)"/.exec(tag)[1]);
    const target = /data-target-path="([^"]+)"/.exec(tag)?.[1];
    assert.ok(existsSync(href), `index.html copies ${href}, which is not there`);
    if (tag.includes("copy-file")) site.set(path.posix.join(target ?? "", path.basename(href)), href);
    else
      for (const file of filesOf(href))
        site.set(path.posix.join(target ?? path.basename(href), file), path.join(href, file));
  }
  return site;
}
const SITE = publish();

const from = (file, to) => path.posix.join(path.posix.dirname(file), to);

/** The files that a style sheet imports. @param {string} file */
const importsOf = (file) => [...read(file).matchAll(/^@import "([^"]+)";/gm)].map(([, to]) => from(file, to));

/** Whether a match is within a comment: only types are imported there. */
function isComment(text, index) {
  const line = text.slice(text.lastIndexOf("\n", index) + 1, index);
  return line.includes("/**") || /^\s*(\*|\/\/)/.test(line);
}

/** The files that a script names: modules it imports, modules whose types it uses, files whose addresses it makes. */
function namesOf(file) {
  const text = read(file);
  const names = { imports: [], types: [], addresses: [] };
  for (const [, to] of text.matchAll(/^(?:import|export)\b[^;"]*?"(\.[^"]+)";$/gm)) names.imports.push(from(file, to));
  for (const { 1: to, index } of text.matchAll(/\bimport\("(\.[^"]+)"\)/g)) {
    names[isComment(text, index) ? "types" : "imports"].push(from(file, to));
  }
  for (const [, to] of text.matchAll(/new URL\("(\.{1,2}\/[^"]+)", import\.meta\.url\)/g)) {
    names.addresses.push(from(file, to));
  }
  return names;
}

/** The files that a page names, as its links and pictures. */
const linksOf = (page) =>
  [...read(page).matchAll(/<(?!link data-trunk)[^>]*\s(?:href|src)="([^"#:?]+)(?:[#?][^"]*)?"/g)].map(([, to]) =>
    from(page, to),
  );

test("only what has an address for others lies outside the rooms", () => {
  assert.ok(ROOMS.length > 1, "README.md lists the rooms");
  const there = readdirSync(www, { withFileTypes: true });
  const names = (isFolder) =>
    there
      .filter((entry) => entry.isDirectory() === isFolder)
      .map(({ name }) => name)
      .sort();
  assert.deepEqual(names(false), [...PUBLIC, ...UNPUBLISHED].sort());
  assert.deepEqual(names(true), [...ROOMS, "icons"].sort());
});

test("the build copies every file of the page to its own place", () => {
  for (const file of [...PUBLIC, ...SOURCES]) assert.ok(SITE.has(file), `index.html copies no ${file}`);
  for (const [at, file] of SITE) {
    if (file?.startsWith(www)) assert.equal(path.relative(www, file), at);
  }
});

test("all that is named is there", () => {
  for (const page of PUBLIC.filter((file) => file.endsWith(".html"))) {
    for (const to of linksOf(page)) assert.ok(to === "./" || SITE.has(to), `${page} names ${to}, which is not there`);
  }
  for (const file of SOURCES.filter((file) => file.endsWith(".css"))) {
    for (const to of importsOf(file)) assert.ok(SITE.has(to), `${file} imports ${to}, which is not there`);
  }
  for (const file of SCRIPTS) {
    const { imports, types, addresses } = namesOf(file);
    for (const to of [...imports, ...addresses]) assert.ok(SITE.has(to), `${file} names ${to}, which is not there`);
    for (const to of types) {
      const isThere = existsSync(path.join(www, to)) || to === "styleid.js";
      assert.ok(isThere, `${file} takes types from ${to}, which is not there`);
    }
  }
});

test("every script and style sheet is used", () => {
  const used = new Set(ENTRANCES);
  for (const file of used) {
    if (file.endsWith(".html")) for (const to of linksOf(file)) used.add(to);
    else if (file.endsWith(".css")) for (const to of importsOf(file)) used.add(to);
    else if (SCRIPTS.includes(file)) {
      const { imports, addresses } = namesOf(file);
      for (const to of [...imports, ...addresses]) used.add(to);
    }
  }
  assert.deepEqual(
    SOURCES.filter((file) => !used.has(file)),
    [],
    "files that nothing leads to",
  );
});

test("a room imports only from rooms before it", () => {
  for (const file of SCRIPTS) {
    const { imports, types } = namesOf(file);
    for (const to of [...imports, ...types]) {
      if (to === "styleid.js") continue; // what the crate exports
      assert.ok(roomOf(to) <= roomOf(file), `${file} imports ${to}`);
      // The API for other sites' pages loads nothing of this site's page.
      if (!file.includes("/")) assert.ok(to === "api.js" || to.startsWith("engine/"), `${file} imports ${to}`);
    }
  }
});

test("no file imports itself by way of others", () => {
  const names = new Map(SCRIPTS.map((file) => [file, namesOf(file)]));
  const done = new Set();
  const visit = (file, way) => {
    const start = way.indexOf(file);
    assert.equal(start, -1, `a circle: ${[...way.slice(start), file].join(" → ")}`);
    if (done.has(file) || !names.has(file)) return;
    const { imports, types } = names.get(file);
    for (const to of new Set([...imports, ...types])) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of SCRIPTS) visit(file, []);
});

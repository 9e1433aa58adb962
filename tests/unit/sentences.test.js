// The command line and the page show the same sentences of the program: they name no flag, because the page has none.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const crate = fileURLToPath(new URL("../../crate/", import.meta.url));

/** Sources whose sentences only the command line shows. */
const COMMAND_LINE = /^(src\/(cli|bench|eval)\/|src\/main\.rs|weights\/src\/source\/token\.rs)|(^|\/)tests(\.rs|\/)/;

/** The texts in a Rust source, without its comments and its tests. */
function textsOf(source) {
  const [code] = source.split(/#\[cfg\((?:all\()?test\b[^\n]*\nmod tests \{/);
  const lines = code.split("\n").filter((line) => !line.trim().startsWith("//"));
  return [...lines.join("\n").matchAll(/"((?:[^"\\]|\\[^])*)"/g)].map(([, text]) => text);
}

/** Texts that name a flag or a command. */
const flagsIn = (source) => textsOf(source).filter((text) => /(^|[\s`(])--[a-z]|`styleid /.test(text));

test("a flag in a sentence is found", () => {
  assert.deepEqual(flagsIn('fail("say --prediction epsilon if not")'), ["say --prediction epsilon if not"]);
  assert.deepEqual(flagsIn('fail(\n"use `styleid models`"\n)'), ["use `styleid models`"]);
  assert.deepEqual(flagsIn('// "--vae"\nlet dash = "a -- b";\n#[cfg(test)]\nmod tests { "--rest" }'), []);
});

test("no sentence of what page and command line share names a flag of the command line", () => {
  const files = ["src", "weights/src"].flatMap((folder) =>
    readdirSync(path.join(crate, folder), { recursive: true }).map((file) => `${folder}/${file}`),
  );
  const shared = files.filter((file) => file.endsWith(".rs") && !COMMAND_LINE.test(file));
  assert.ok(shared.length > 100);
  const found = shared.flatMap((file) => {
    const flags = flagsIn(readFileSync(path.join(crate, file), "utf8"));
    return flags.map((text) => `${file}: ${text}`);
  });
  assert.deepEqual(found, []);
});

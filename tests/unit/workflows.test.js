// What the workflows name exists: files, patterns of files, and commands of ./dev.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (/** @type {string} */ file) => readFileSync(root + file, "utf8");
const workflows = readdirSync(`${root}.github/workflows`);

/** The commands of ./dev, from the task runner's own list: `PackSite` is `pack-site`. */
const tasks = /enum Task \{\n([^]*?)\n\}/.exec(read("crate/xtask/src/main.rs"))?.[1] ?? "";
const commands = [...tasks.matchAll(/^ {4}([A-Z]\w*)/gm)].map(([, name]) =>
  name.replace(/(?<!^)[A-Z]/g, "-$&").toLowerCase(),
);

/** Whether anything matches a pattern: up to its first star, it is a path. @param {string} pattern */
const isThere = (pattern) => existsSync(root + pattern.split("*")[0]);

test("the task runner has commands", () => {
  for (const command of ["serve", "test", "build", "pack-site", "bench"])
    assert.ok(commands.includes(command), command);
});

for (const file of workflows) {
  test(`${file}: what it names exists`, () => {
    const text = read(`.github/workflows/${file}`).replace(/(^|\s)#.*$/gm, "");
    for (const [, command] of text.matchAll(/\.\/dev ([\w-]+)/g))
      assert.ok(commands.includes(command), `./dev ${command}`);
    for (const [, path] of text.matchAll(/(?:node|run:) (\.ci\/[\w.]+)/g)) assert.ok(isThere(path), path);
    for (const [, list] of text.matchAll(/hashFiles\(([^)]*)\)/g))
      for (const [, pattern] of list.matchAll(/'([^']+)'/g)) assert.ok(isThere(pattern), pattern);
    for (const [, paths] of text.matchAll(/^ {4}paths:\n((?: {6}- .*\n)+)/gm))
      for (const [, pattern] of paths.matchAll(/- (.*)/g)) assert.ok(isThere(pattern), pattern);
    for (const [, name] of text.matchAll(/--package ([\w-]+)/g))
      assert.ok(
        ["crate", "crate/weights"].some((folder) => read(`${folder}/Cargo.toml`).includes(`name = "${name}"`)),
        name,
      );
  });

  test(`${file}: actions are pinned by their commits`, () => {
    for (const [, action] of read(`.github/workflows/${file}`).matchAll(/uses: (\S+)/g))
      assert.match(action, /@[0-9a-f]{40}$/, action);
  });
}

test("every place names the same toolchain", () => {
  const [, channel] = /^channel = "(.*)"$/m.exec(read("rust-toolchain.toml")) ?? [];
  for (const file of workflows)
    for (const [, version] of read(`.github/workflows/${file}`).matchAll(
      /rustup (?:toolchain install|default) ([\d.]+)/g,
    ))
      assert.equal(version, channel, file);
  assert.ok(channel.startsWith(/^rust-version = "(.*)"$/m.exec(read("Cargo.toml"))?.[1] ?? "?"), "Cargo.toml");
});

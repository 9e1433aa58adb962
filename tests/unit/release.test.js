// A tag becomes a release only where version and changelog say the same, and the package holds what a page needs.

import assert from "node:assert/strict";
import { mkdtemp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { makePackage, notesOf, versionOf } from "../../.ci/release.mjs";

const manifest = '[workspace]\nmembers = []\n\n[workspace.package]\nversion = "1.2.3"\nedition = "2024"\n';

test("a tag is the version of Cargo.toml, or a sentence says what differs", () => {
  assert.equal(versionOf("v1.2.3", manifest), "1.2.3");
  assert.throws(() => versionOf("v1.2.4", manifest), /The tag says 1\.2\.4 and Cargo\.toml 1\.2\.3/);
  for (const tag of ["1.2.3", "v1.2", "", "release"]) assert.throws(() => versionOf(tag, manifest), /no version's tag/);
});

test("the notes are one version's section, whole and alone", () => {
  const changelog =
    "# Changelog\n\n## Unreleased\n\n- c\n\n## [1.2.3] - 2026-01-01\n\n### Added\n\n- b\n\n## 1.2.2\n\n- a\n";
  assert.equal(notesOf(changelog, "1.2.3"), "### Added\n\n- b");
  assert.equal(notesOf(changelog, "1.2.2"), "- a");
  for (const version of ["1.2", "9.9.9"]) assert.throws(() => notesOf(changelog, version), /has no section/);
  assert.throws(() => notesOf("## 1.2.3\n\n## 1.2.2\n\n- a\n", "1.2.3"), /has no section/, "an empty section");
});

test("the package has the page's files, the licences, and api.js as its entrance", async () => {
  const work = await mkdtemp(path.join(tmpdir(), "styleid-release-"));
  try {
    const dist = path.join(work, "dist");
    await mkdir(path.join(dist, "engine"), { recursive: true });
    await writeFile(path.join(dist, "api.js"), "export {};\n");
    await writeFile(path.join(dist, "engine/engine.js"), "export {};\n");
    const out = path.join(work, "package");
    await makePackage(dist, out, "1.2.3");
    const { version, exports, type } = JSON.parse(await readFile(path.join(out, "package.json"), "utf8"));
    assert.deepEqual([version, exports["."], type], ["1.2.3", "./api.js", "module"]);
    for (const file of ["api.js", "engine/engine.js", "LICENSE-MIT", "LICENSE-APACHE", "README.md"]) {
      assert.ok((await readFile(path.join(out, file))).length > 0, file);
    }
    await assert.rejects(() => makePackage(dist, out, "1.2.3"), "a package that is there is not written over");
  } finally {
    await rm(work, { recursive: true, force: true });
  }
});

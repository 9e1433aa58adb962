// The samples: their files are there, and the page shows those it opens with before any script runs.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { PRESETS } from "../../www/engine/presets.js";
import { GIVEN, PAINTINGS, PHOTOS, exampleOf } from "../../www/page/samples.js";

const www = new URL("../../www/", import.meta.url);
const index = readFileSync(new URL("index.html", www), "utf8");
const assertThere = (file) => assert.ok(existsSync(new URL(file, www)), `${file} is not there`);

test("every sample has its file and its small picture", () => {
  for (const { file, thumb } of [...PHOTOS, ...PAINTINGS]) for (const name of [file, thumb]) assertThere(name);
});

test("what the page opens with is in its HTML", () => {
  for (const [what, { shown, title }] of Object.entries(GIVEN)) {
    assertThere(shown);
    assert.match(index, new RegExp(`src="${shown}"[^>]* alt="The chosen ${what}: ${title}"`));
    assert.ok(index.includes(`${title} · a sample`));
  }
});

test("every look of the page has its picture, and an example for the place of the result", () => {
  const looks = [...index.matchAll(/name="look" value="(\w+)"[^>]*><img src="([^"]+)"/g)];
  assert.equal(looks.length, 4);
  for (const [, id, picture] of looks) {
    assert.ok(PRESETS.some((preset) => preset.id === id));
    assertThere(picture);
    const { before, after } = exampleOf(id);
    assertThere(before);
    assertThere(after);
  }
});

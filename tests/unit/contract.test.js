// What the page and the crate both define: a test of the crate writes tests/contract.json from the values that it uses.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ERROR_KINDS } from "../../www/engine/engine.js";
import { identityOf, keyOf } from "../../www/engine/kept-key.js";
import { HUB_HOSTS, WEIGHT_TYPES, isWeights, parseReference } from "../../www/engine/models.js";
import {
  DEFAULTS,
  MOST_STYLES,
  PRESETS,
  STABLE_DIFFUSION,
  VERSIONS,
  lookOf,
  stepsOf,
  usualLayers,
} from "../../www/engine/presets.js";
import { PHASES } from "../../www/engine/progress.js";
import { CURVE_NAMES, curvePoints } from "../../www/forms/curve.js";
import { waysOf } from "../../www/forms/ways.js";
import { LEAST } from "../../www/pictures/crop-geometry.js";

const contract = JSON.parse(await readFile(new URL("../contract.json", import.meta.url), "utf8"));

test("the page's defaults are the crate's", () => {
  assert.deepEqual(DEFAULTS, contract.defaults);
});

test("the page knows the steps and layers of every version", () => {
  const known = Object.keys(VERSIONS).map((preset) => {
    const version = { steps: stepsOf({ steps: null, preset }), layers: usualLayers(preset, STABLE_DIFFUSION) };
    return [preset, version];
  });
  assert.deepEqual(Object.fromEntries(known), contract.presets);
});

test("the page's looks are the crate's, in the page and for programs", async () => {
  const named = Object.keys(contract.looks);
  const shown = PRESETS.filter(({ id }) => named.includes(id));
  assert.deepEqual(shown.map(({ id }) => id).sort(), named.sort(), "each has its preset");
  const settings = shown.map((preset) => [preset.id, { ...DEFAULTS, ...lookOf(preset) }]);
  assert.deepEqual(Object.fromEntries(settings), contract.looks);
  const { LOOKS } = await import("../../www/api.js");
  const forPrograms = Object.entries(LOOKS).map(([id, look]) => [id, { ...DEFAULTS, ...look }]);
  assert.deepEqual(Object.fromEntries(forPrograms), contract.looks);
});

test("the page's steps of the version fast are where the crate's are", () => {
  assert.ok(contract.fastWays.length > 2);
  for (const expected of contract.fastWays) {
    const ways = waysOf("fast", expected.length);
    for (const [i, way] of expected.entries()) assert.ok(Math.abs(ways[i] - way) < 1e-9, `${ways} for ${expected}`);
  }
  assert.deepEqual(waysOf("fast", 1), [0]);
});

test("the page draws the curves that the crate computes", () => {
  const names = new Set(contract.curves.map(({ curve }) => curve));
  assert.deepEqual(Object.keys(CURVE_NAMES).sort(), [...names].sort());
  for (const { curve, start, end, i, n, value } of contract.curves) {
    const drawn = curvePoints({ curve, end }, start, waysOf("diffusers", n))[i];
    assert.ok(
      Math.abs(drawn - value) < 1e-6,
      `${curve} from ${start} to ${end}, step ${i} of ${n}: ${drawn}, not ${value}`,
    );
  }
});

test("the page understands references to models as the crate does", () => {
  assert.ok(contract.references.some(({ parsed }) => parsed === null));
  for (const { text, parsed } of contract.references) {
    assert.deepEqual(parseReference(text.trim()), parsed, JSON.stringify(text));
  }
  for (const { url, identity } of contract.identities) assert.equal(identityOf(url), identity, url);
  for (const { path, isWeights: is } of contract.weightFiles) assert.equal(isWeights(path), is, path);
});

test("the page knows what a model is kept under, with what is taken for it from others", () => {
  const { cases, files } = contract.keys;
  const picked = files.map(({ path, bytes, changed }) => ({
    path,
    file: new File(["x".repeat(bytes)], path.split("/").at(-1), { lastModified: changed }),
  }));
  const named = (text) => text && (text === "files" ? { source: "m", place: "files", picked } : { source: text });
  assert.ok(cases.some(({ rest, vae }) => rest && vae));
  for (const { source, rest, vae, hub, key } of cases) {
    const { weights, ...expected } = key;
    const model = { ...named(source), rest: named(rest), vae: named(vae) };
    assert.deepEqual(keyOf(model, hub), expected, JSON.stringify([source, rest, vae, hub, weights]));
  }
});

test("words that go between the page and the crate are the same in both", () => {
  const same = (ours, theirs) => assert.deepEqual([...ours].sort(), [...theirs].sort());
  same(ERROR_KINDS, contract.errorKinds);
  same(PHASES, contract.phases);
  same(WEIGHT_TYPES, contract.weightTypes);
  same(HUB_HOSTS, contract.hubHosts);
});

test("limits are the same in both", () => {
  assert.equal(LEAST, contract.leastSide);
  assert.equal(MOST_STYLES, contract.mostStyles);
});

// Layers by their place in the decoder: which a model has, which are injected, and what becomes of those it lacks.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFAULTS,
  PRESETS,
  STABLE_DIFFUSION,
  defaultsOf,
  fitLayers,
  layersFor,
  layersOf,
  levelSize,
  lookOf,
  presetOf,
  settingsFor,
  usualLayers,
} from "../../www/engine/presets.js";

const decoder = (...levels) => ({
  decoder: levels.map((layers, i) => ({ stride: 8 << (levels.length - 1 - i), layers })),
  injectionLayers: null,
  nativeSize: 512,
});
const BASE = decoder([2, 3], [4, 5], [6, 7]);
const TINY = decoder([0, 1], [2, 3], [4, 5]);
const TEXTURE = PRESETS.find(({ id }) => id === "texture");

test("the usual layers are those of the two finest levels, whatever their numbers", () => {
  const both = (model) => ["diffusers", "ldm"].map((version) => usualLayers(version, model).join());
  assert.deepEqual(usualLayers("fast", BASE), usualLayers("diffusers", BASE));
  assert.deepEqual(both(STABLE_DIFFUSION), ["7,8,9,10,11", "6,7,8,9,10,11"]);
  assert.deepEqual(both(BASE), ["5,6,7", "4,5,6,7"]);
  assert.deepEqual(both(TINY), ["3,4,5", "2,3,4,5"]);
  assert.deepEqual(both(decoder([3, 4])), ["4", "3,4"], "a single level");
  assert.deepEqual(both(decoder()), ["", ""]);
  assert.deepEqual(both({ ...TINY, injectionLayers: [0, 5] }), ["0,5", "0,5"], "its makers chose");
  assert.deepEqual(layersOf(BASE), [2, 3, 4, 5, 6, 7]);
});

test("a level's size follows the picture's, rounded up as the network does", () => {
  assert.equal(levelSize(8, 512), "64 × 64");
  assert.equal(levelSize(32, 512), "16 × 16");
  assert.equal(levelSize(32, 300), "10 × 10");
  assert.equal(levelSize(16, null), "cells of 16 px");
});

test("a preset means levels: it is recognised in every model, and goes along to another", () => {
  for (const model of [STABLE_DIFFUSION, BASE, TINY, { ...TINY, injectionLayers: [0, 1] }]) {
    for (const preset of PRESETS) {
      assert.equal(presetOf({ ...DEFAULTS, ...lookOf(preset, model) }, model)?.id, preset.id);
    }
  }
  assert.deepEqual(lookOf(TEXTURE, TINY).layers, [4, 5]);
  const options = (changes) => ({ ...DEFAULTS, ...changes });
  const texture = options(lookOf(TEXTURE, STABLE_DIFFUSION));
  assert.deepEqual(layersFor(texture, STABLE_DIFFUSION, BASE), [6, 7]);
  assert.deepEqual(layersFor({ ...texture, layers: [6, 7] }, BASE, STABLE_DIFFUSION), [9, 10, 11]);
  assert.equal(layersFor(options({}), STABLE_DIFFUSION, TINY), null);
  assert.equal(layersFor(options({ layers: [7, 8, 9, 10, 11] }), STABLE_DIFFUSION, TINY), null, "the usual ones");
  assert.deepEqual(layersFor(options({ layers: [3, 9] }), STABLE_DIFFUSION, TINY), [3, 9], "a person's own numbers");
  assert.deepEqual(layersFor({ ...texture, gamma: 0.11 }, STABLE_DIFFUSION, TINY), [9, 10, 11], "no preset's look");
});

test("a model's own look is taken where nobody has chosen one, and goes with it again", () => {
  const demo = { model: { ...TINY, injectionLayers: [0, 5] }, look: "painted" };
  const [other, texture] = [{ model: BASE }, { model: TINY, look: "texture" }];
  const id = (options, { model }) => presetOf(options, model)?.id;
  const begun = { ...DEFAULTS, steps: 7, size: 256 };
  const painted = settingsFor(begun, { model: STABLE_DIFFUSION }, demo);
  assert.equal(id(painted, demo), "painted");
  assert.deepEqual([painted.preset, painted.redraw, painted.steps, painted.size], ["fast", 0.35, 7, 256]);
  assert.deepEqual(settingsFor(painted, demo, other), begun, "the usual look again");
  assert.deepEqual(settingsFor(painted, demo, texture).layers, [4, 5], "levels of the other model");

  const own = { ...painted, gamma: 0.4 };
  assert.deepEqual(settingsFor(own, demo, other), own, "a person's own settings stay");
  const chosen = { ...DEFAULTS, ...lookOf(PRESETS.find((preset) => preset.id === "bold")) };
  assert.deepEqual(settingsFor(chosen, demo, other), chosen, "so does a look that was chosen");
  assert.equal(id(settingsFor({ ...DEFAULTS }, demo, other), other), "balanced");

  assert.deepEqual(defaultsOf(undefined), DEFAULTS);
  assert.deepEqual(defaultsOf("no such look"), DEFAULTS, "of a list that is newer than the page");
  assert.deepEqual(defaultsOf("painted"), { ...DEFAULTS, preset: "fast", redraw: 0.35, texture: 1 });
});

test("numbers that a model lacks are named in one sentence, and not sent", () => {
  const fit = (layers, gammaByLayer, model) => {
    const { options, problem } = fitLayers({ gamma: 1, layers, gammaByLayer }, model);
    assert.equal(options.gamma, 1);
    return [options.layers, options.gammaByLayer, problem];
  };
  assert.deepEqual(fit(null, null, TINY), [null, null, null]);
  assert.deepEqual(fit([], null, TINY), [[], null, null], "none at all is a choice");
  assert.deepEqual(fit([0, 5], { 5: 0.5 }, TINY), [[0, 5], { 5: 0.5 }, null]);
  assert.deepEqual(fit([4, 7, 9], null, TINY), [
    [4],
    null,
    "This model has no layers 7 and 9, but 0 to 5: they are left out.",
  ]);
  assert.deepEqual(fit([9, 10, 11], null, TINY), [
    null,
    null,
    "This model has no layers 9 to 11, but 0 to 5: its usual ones are taken.",
  ]);
  assert.deepEqual(fit(null, { 5: 0.5, 11: 0.25 }, TINY), [
    null,
    { 5: 0.5 },
    "This model has no layer 11, but 0 to 5: it is left out.",
  ]);
  assert.deepEqual(fit([0], { 0: 0.5 }, BASE), [
    null,
    null,
    "This model has no layer 0, but 2 to 7: its usual ones are taken.",
  ]);
  assert.equal(fit([1], null, decoder())[2], "This model has no layer 1, but none: its usual ones are taken.");
  assert.deepEqual(fit([9], null, { ...TINY, isGuess: true }), [[9], null, null], "before anybody knows");
});

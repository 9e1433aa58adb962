import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, PRESETS, STABLE_DIFFUSION, lookOf, presetOf } from "../../www/engine/presets.js";
import { fromFragment, toFragment } from "../../www/forms/share.js";

const EVERYTHING = {
  model: "owner/repo@main/file.gguf",
  rest: "sd15-q8",
  vae: "owner/vae@v1/vae",
  weights: "q4",
  prediction: "v_prediction",
  several: "blend",
  mix: [1, 0.5],
  options: {
    preset: "ldm",
    steps: 33,
    layers: [3, 9, 10],
    initAdain: false,
    attnInjection: false,
    vaeSample: 7,
    gamma: 0.25,
    gammaCurve: { curve: "cosine", end: 0.375 },
    gammaByLayer: { 6: 0.75, 7: 0.6 },
    temperature: 1.25,
    temperatureCurve: { curve: "sqrt", end: 2 },
    blend: "average",
    keepColours: true,
    damping: 0.7,
    redraw: 0.55,
    redrawBand: 0.4,
    adainStrength: 0.5,
    tone: 0.4,
    texture: 0.3,
    styleScale: 1.5,
    contentShare: 0.35,
    size: 768,
    keepAspect: true,
    previewEvery: 0,
  },
};
const NOTHING = { model: null, rest: null, vae: null, weights: null, prediction: null, several: "each", mix: [] };

test("every setting survives a link", () => {
  const { shared, problems } = fromFragment(`#${toFragment(EVERYTHING)}`);
  assert.deepEqual(problems, []);
  assert.deepEqual({ ...shared, options: { ...DEFAULTS, ...shared.options } }, EVERYTHING);
  // A new setting must be added above, too: each one there, except the preview, differs from its default.
  const same = Object.keys(DEFAULTS).filter(
    (name) => name !== "previewEvery" && String(DEFAULTS[name]) === String(EVERYTHING.options[name]),
  );
  assert.deepEqual(same, []);
  assert.deepEqual(Object.keys(EVERYTHING.options).sort(), Object.keys(DEFAULTS).sort());
});

test("a link may name layers of any model", () => {
  const { shared, problems } = fromFragment("#layers=5-2-2&gamma-layers=0_0.5-2_0.25");
  assert.deepEqual(shared.options, { layers: [2, 5], gammaByLayer: { 0: 0.5, 2: 0.25 } });
  assert.deepEqual(problems, []);
  assert.deepEqual(fromFragment("#layers=").shared.options, { layers: [] });
});

test("a link holds only what differs, and reads well", () => {
  assert.equal(toFragment({ ...NOTHING, options: DEFAULTS }), "");
  assert.equal(
    toFragment({ ...NOTHING, model: "demo", options: { ...DEFAULTS, gamma: 0.3, size: "keep" } }),
    "model=demo&gamma=0.3&size=keep",
  );
  assert.ok(toFragment(EVERYTHING).startsWith("model=owner/repo@main/file.gguf&rest=sd15-q8&vae=owner/vae@v1/vae&"));
});

test("a look in a link says what it is made of, so that it means the same with every model", () => {
  const link = (id) =>
    toFragment({ ...NOTHING, options: { ...DEFAULTS, ...lookOf(PRESETS.find((preset) => preset.id === id)) } });
  assert.equal(link("painted"), "version=fast&redraw=0.35&texture=1");
  assert.equal(link("bold"), "version=fast&redraw=0.4&redraw-band=0.5&texture=1");
  assert.equal(link("tint"), "version=fast&adain-strength=0.5");
  assert.equal(link("balanced"), "");
});

test("what cannot be read gets a sentence, and the rest is kept", () => {
  const { shared, problems } = fromFragment(
    "#gamma=7&steps=12&layers=1-b&flavour=mint&size=300&t-curve=wave-2&damping=&seed=-1",
  );
  assert.deepEqual(shared, { ...NOTHING, options: { steps: 12, size: 300 } });
  assert.equal(problems.length, 6);
  assert.equal(problems[0], "The link's gamma is “7”, not a number from 0 to 1: it is left out.");
  assert.match(problems[2], /“flavour”, which this page does not know/);
  const long = fromFragment(`#gamma=${"9".repeat(500)}`);
  assert.ok(long.problems[0].length < 150);
});

test("a fragment that is no link is none", () => {
  for (const fragment of ["", "#", "#photo", "#how-it-works", "#gamma", "#layers", "#redraw"])
    assert.equal(fromFragment(fragment), null, fragment);
});

test("hostile fragments never throw", () => {
  for (const fragment of [
    "#gamma-layers=__proto___1",
    "#mix=1-2-3-4-5",
    "#gamma-curve=cosine",
    "#gamma-curve=constructor-1",
    "#layers=--",
    "#layers=9-100",
    "#layers=1.5",
    "#layers=-9",
    "#gamma-layers=_0.5",
    "#%E0%A4%A=1",
    "#mix=&gamma-layers=",
    "#redraw=1.01",
    "#redraw-band=0",
    "#adain-strength=-1",
    "#tone=2",
    "#texture=-0.1",
    "#style-scale=0.5",
    "#style-scale=6",
    "#content-share=1.01",
    "#version=toString",
  ]) {
    const { shared } = fromFragment(fragment);
    assert.deepEqual({ ...shared.options, mix: shared.mix }, { mix: [] }, fragment);
  }
});

test("each preset is recognised as itself, and own settings as none", () => {
  for (const preset of PRESETS) {
    const options = {
      ...DEFAULTS,
      gamma: 0.11,
      damping: 0.5,
      redraw: 0.9,
      styleScale: 2,
      contentShare: 0.2,
      steps: 7,
      size: 256,
      ...lookOf(preset),
    };
    assert.equal(presetOf(options)?.id, preset.id);
  }
  assert.equal(presetOf({ ...DEFAULTS, gamma: 0.31 }), null);
  assert.equal(
    presetOf({ ...DEFAULTS, layers: [7, 8, 9, 10, 11] })?.id,
    "balanced",
    "the version's own layers, chosen by hand",
  );
  const chosen = { ...STABLE_DIFFUSION, injectionLayers: [3, 4] };
  assert.equal(presetOf({ ...DEFAULTS, layers: [3, 4] }, chosen)?.id, "balanced", "the model's own layers");
  assert.equal(presetOf({ ...DEFAULTS, layers: [7, 8, 9, 10, 11] }, chosen), null);
});

test("the presets are what their descriptions say", () => {
  const look = Object.fromEntries(PRESETS.map((preset) => [preset.id, lookOf(preset)]));
  assert.equal(look.strong.gamma, 0.3);
  assert.equal(look.strong.temperature, 1.5);
  assert.equal(look.content.gamma, 0.9);
  assert.deepEqual(look.texture.layers, [9, 10, 11]);
  assert.deepEqual([look["no-colour"].initAdain, look["no-colour"].keepColours], [false, true]);
  assert.equal(look.paper.preset, "ldm");
  const looks = ["tint", "gentle", "painted", "bold"].map((id) => look[id]);
  assert.deepEqual(new Set(looks.map(({ preset }) => preset)), new Set(["fast"]));
  assert.deepEqual(
    looks.map(({ redraw, redrawBand, adainStrength, tone, texture }) => [
      redraw,
      redrawBand,
      adainStrength,
      tone,
      texture,
    ]),
    [
      [0, 0.6, 0.5, 0, 0],
      [0.25, 0.6, 0.5, 0, 1],
      [0.35, 0.6, 1, 0, 1],
      [0.4, 0.5, 1, 0, 1],
    ],
  );
  assert.deepEqual([look.schedule.gamma, look.schedule.gammaCurve], [0.75, { curve: "cosine", end: 0.375 }]);
});

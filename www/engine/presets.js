// The parameters' defaults, the presets (named looks) that set several of them at once, and the decoder layers that
// these select in a model.

/**
 * @typedef {Required<import("../styleid.js").Options>} Options
 * @typedef {{ id: string, name: string, note: string, options: Partial<Options>, finestLevels?: number }} Preset if
 *   `finestLevels` is set, all layers at that many of the decoder's finest levels are injected
 * @typedef {object} Decoder what is known of a model's layers
 * @property {import("../styleid.js").LevelInfo[]} decoder its levels with self-attention, from the coarsest to the finest
 * @property {number[] | null} injectionLayers layers that its makers chose for injection
 * @property {number} nativeSize side of its training pictures, in pixels
 * @property {boolean} [isGuess] whether its layers are unknown until it is loaded
 */

/** The crate's defaults. @type {Options} */
export const DEFAULTS = {
  preset: "diffusers",
  steps: null,
  layers: null,
  initAdain: true,
  attnInjection: true,
  vaeSample: null,
  gamma: 0.75,
  gammaCurve: null,
  gammaByLayer: null,
  temperature: 1.5,
  temperatureCurve: null,
  blend: "together",
  keepColours: false,
  damping: 1,
  redraw: 0,
  redrawBand: 0.6,
  adainStrength: 1,
  tone: 0,
  texture: 0,
  styleScale: 1,
  contentShare: 0,
  size: null,
  keepAspect: false,
  previewEvery: 0,
};

/** Assumed of a model until it is loaded. @type {Decoder} */
export const STABLE_DIFFUSION = {
  decoder: [
    { stride: 32, layers: [3, 4, 5] },
    { stride: 16, layers: [6, 7, 8] },
    { stride: 8, layers: [9, 10, 11] },
  ],
  injectionLayers: null,
  nativeSize: 512,
};

/**
 * Each version's defaults for empty fields. They are shown but never sent, because the crate decides. The first
 * `skipped` layers of the two finest levels are not injected; `leastSteps` is the version's minimum.
 */
export const VERSIONS = {
  diffusers: { steps: 20, skipped: 1, leastSteps: 1 },
  ldm: { steps: 50, skipped: 0, leastSteps: 2 },
  fast: { steps: 10, skipped: 1, leastSteps: 2 },
};

/** Where the two finest levels start in a decoder's list of levels, for `slice`. */
const FINEST = -2;

/** The steps of a run. @param {Pick<Options, "steps" | "preset">} options */
export const stepsOf = ({ steps, preset }) => steps ?? VERSIONS[preset].steps;

/**
 * UNet evaluations in a reverse step: a style scale needs the predictions with and without injection.
 * @param {Pick<Options, "attnInjection" | "styleScale" | "layers">} options
 */
export const callsAStep = ({ attnInjection, styleScale, layers }) =>
  attnInjection && styleScale !== 1 && layers?.length !== 0 ? 2 : 1;

/**
 * Whether a run needs the paintings' inversions: their noise or their features.
 * @param {Pick<Options, "initAdain" | "redraw" | "tone" | "texture">} options @param {number[]} layers the injected layers
 */
export const needsStyle = ({ initAdain, redraw, tone, texture }, layers) =>
  initAdain || Math.max(redraw, tone, texture) > 0 || layers.length > 0;

/** The most paintings that the engine blends. */
export const MOST_STYLES = 4;

/** The settings that a look consists of; the others set size, quality and speed. @type {(keyof Options)[]} */
const LOOK = [
  "preset",
  "layers",
  "initAdain",
  "attnInjection",
  "gamma",
  "gammaCurve",
  "gammaByLayer",
  "temperature",
  "temperatureCurve",
  "keepColours",
  "damping",
  "redraw",
  "redrawBand",
  "adainStrength",
  "tone",
  "texture",
  "styleScale",
  "contentShare",
];

/** The look of a model whose list entry names none. */
const USUAL_LOOK = "balanced";

/** From closest to the photo to closest to the painting; then the published versions. @type {Preset[]} */
export const PRESETS = [
  {
    id: "tint",
    name: "Tint",
    note: "The photo as it is, with a touch of the painting's colours.",
    options: { preset: "fast", adainStrength: 0.5 },
  },
  {
    id: "gentle",
    name: "Gentle",
    note: "The photo's drawing in the painting's strokes, half in its own colours.",
    options: { preset: "fast", redraw: 0.25, adainStrength: 0.5, texture: 1 },
  },
  {
    id: "painted",
    name: "Painted",
    note: "The photo as a painting: the painting's strokes and all its colours.",
    options: { preset: "fast", redraw: 0.35, texture: 1 },
  },
  {
    id: "bold",
    name: "Bold",
    note: "A painting for which the photo is only a sketch: broad strokes, little detail.",
    options: { preset: "fast", redraw: 0.4, redrawBand: 0.5, texture: 1 },
  },
  { id: USUAL_LOOK, name: "Balanced", note: "The method's own values, by which it is known.", options: {} },
  {
    id: "strong",
    name: "Strong style",
    note: "Much of the painting, less of the photo's detail (γ 0.3).",
    options: { gamma: 0.3 },
  },
  {
    id: "content",
    name: "Keep content",
    note: "Stays close to the photo; the painting lends its surface (γ 0.9).",
    options: { gamma: 0.9 },
  },
  {
    id: "texture",
    name: "Subtle texture",
    note: "Only the finest layers, in Stable Diffusion 9 to 11: strokes and grain, hardly any forms.",
    options: {},
    finestLevels: 1,
  },
  {
    id: "no-colour",
    name: "No colour",
    note: "The painting's strokes in the photo's own colours.",
    options: { initAdain: false, keepColours: true },
  },
  {
    id: "paper",
    name: "Paper",
    note: "The version that the paper's numbers come from: 50 steps and, with Stable Diffusion, layers 6 to 11. It takes more than twice as long.",
    options: { preset: "ldm" },
  },
  {
    id: "schedule",
    name: "Published schedule",
    note: "Begins close to the photo and lets go of it (γ from 0.75 to 0.375 along a cosine): more style at the same layout.",
    options: { gammaCurve: { curve: "cosine", end: 0.375 } },
  },
];

/**
 * The settings of a preset.
 * @param {Preset} preset @param {Decoder} [model] the model whose layers it selects
 * @returns {Partial<Options>} all of a look's settings
 */
export function lookOf({ options, finestLevels }, model = STABLE_DIFFUSION) {
  const layers = finestLevels ? layersOf({ decoder: model.decoder.slice(-finestLevels) }) : null;
  const asked = { ...DEFAULTS, ...options, layers };
  return Object.fromEntries(LOOK.map((name) => [name, asked[name]]));
}

/** A model's default preset. @param {string} [look] the preset's id in the model's list entry */
const ownPreset = (look) =>
  /** @type {Preset} */ (PRESETS.find(({ id }) => id === look) ?? PRESETS.find(({ id }) => id === USUAL_LOOK));

/** A model's default settings. @param {string | undefined} look id of its preset @param {Decoder} [model] */
export const defaultsOf = (look, model) => ({ ...DEFAULTS, ...lookOf(ownPreset(look), model) });

/**
 * Adapts settings to another model: replaces the old model's default look with the new one's, and keeps any other look.
 * @param {Options} options @param {{ model: Decoder, look?: string }} from @param {{ model: Decoder, look?: string }} to
 * @returns {Options}
 */
export function settingsFor(options, from, to) {
  return presetOf(options, from.model) === ownPreset(from.look)
    ? { ...options, ...lookOf(ownPreset(to.look), to.model) }
    : { ...options, layers: layersFor(options, from.model, to.model) };
}

/** All layers of a decoder that have self-attention. @param {Pick<Decoder, "decoder">} model */
export const layersOf = ({ decoder }) => decoder.flatMap(({ layers }) => layers);

/** The layers injected by default. @param {Options["preset"]} version @param {Decoder} model */
export const usualLayers = (version, { decoder, injectionLayers }) =>
  injectionLayers ?? layersOf({ decoder: decoder.slice(FINEST) }).slice(VERSIONS[version].skipped);

/**
 * The preset whose look these settings are.
 * @param {Options} options @param {Decoder} [model] the model whose layers `options` selects
 * @returns {Preset | null} null for custom settings
 */
export function presetOf(options, model = STABLE_DIFFUSION) {
  const look = (/** @type {Partial<Options>} */ of) => JSON.stringify(LOOK.map((name) => of[name] ?? null));
  const wanted = look({ ...options, layers: ownLayers(options, model) });
  return PRESETS.find((preset) => look(lookOf(preset, model)) === wanted) ?? null;
}

/**
 * The layers, or null if they are the default ones.
 * @param {Pick<Options, "preset" | "layers">} options @param {Decoder} model
 */
export const ownLayers = ({ preset, layers }, model) =>
  layers && String(layers) !== String(usualLayers(preset, model)) ? layers : null;

/**
 * Adapts a choice of layers to another model. A preset's layers and the default ones become that model's layers at the
 * same levels; numbers that the user chose stay.
 * @param {Options} options @param {Decoder} from @param {Decoder} to @returns {number[] | null}
 */
export function layersFor(options, from, to) {
  if (!ownLayers(options, from)) return null;
  const preset = presetOf(options, from);
  return preset?.finestLevels ? (lookOf(preset, to).layers ?? null) : options.layers;
}

/**
 * Restricts the requested layers to the ones that a model has.
 * @template {Pick<Options, "layers" | "gammaByLayer">} T
 * @param {T} options @param {Decoder} model
 * @returns {{ options: T, problem: string | null }} the options with existing layers only, or with the default ones if
 *   none exists; `problem` is a sentence on the layers left out
 */
export function fitLayers(options, model) {
  const there = layersOf(model);
  const { layers, gammaByLayer } = options;
  const gammas = Object.entries(gammaByLayer ?? {}).filter(([layer]) => there.includes(Number(layer)));
  const asked = [...(layers ?? []), ...Object.keys(gammaByLayer ?? {}).map(Number)];
  const missing = [...new Set(asked)].filter((layer) => !there.includes(layer)).sort((a, b) => a - b);
  if (model.isGuess || missing.length === 0) return { options, problem: null };
  const left = layers?.filter((layer) => there.includes(layer)) ?? [];
  const hasNone = layers !== null && layers.length > 0 && left.length === 0;
  const what = hasNone ? "its usual ones are taken" : missing.length === 1 ? "it is left out" : "they are left out";
  return {
    options: {
      ...options,
      layers: layers === null || hasNone ? null : left,
      gammaByLayer: gammas.length > 0 ? Object.fromEntries(gammas) : null,
    },
    problem: `This model has no ${missing.length === 1 ? "layer" : "layers"} ${list(missing)}, but ${list(there)}: ${what}.`,
  };
}

/** Numbers in words; three or more in a row become a range. @param {number[]} numbers ascending */
function list(numbers) {
  /** @type {number[][]} */
  const runs = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && last[last.length - 1] === number - 1) last.push(number);
    else runs.push([number]);
  }
  const parts = runs.flatMap((run) => (run.length > 2 ? [`${run[0]} to ${run[run.length - 1]}`] : run.map(String)));
  return parts.length > 1 ? `${parts.slice(0, -1).join(", ")} and ${parts[parts.length - 1]}` : (parts[0] ?? "none");
}

/**
 * A level's resolution in words.
 * @param {number} stride @param {number | null} size of the picture; null if not known yet
 */
export function levelSize(stride, size) {
  if (size === null) return `cells of ${stride} px`;
  const side = Math.ceil(size / stride);
  return `${side} × ${side}`;
}

// The parameters' values when nobody has touched them, the named looks that set several of them at once, and which layers of a
// model's decoder that means.

/**
 * @typedef {Required<import("../styleid.js").Options>} Options
 * @typedef {{ id: string, name: string, note: string, options: Partial<Options>, finestLevels?: number }} Preset with
 *   `finestLevels`, all layers at so many of the decoder's levels are injected
 * @typedef {object} Decoder what is known of a model's layers
 * @property {import("../styleid.js").LevelInfo[]} decoder its levels with self-attention, from the coarsest to the finest
 * @property {number[] | null} injectionLayers those that its makers chose
 * @property {number} nativeSize pixels along each side of the pictures that it was trained on
 * @property {boolean} [isGuess] nobody knows before it is loaded
 */

/** The crate's. @type {Options} */
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
  styleScale: 1,
  contentShare: 0,
  size: null,
  keepAspect: false,
  previewEvery: 0,
};

/** What a model is taken to be until it says otherwise. @type {Decoder} */
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
 * What an empty field stands for in each version: shown, and never sent, so that the crate alone decides. Of the layers at
 * the two finest levels, as many as `skipped` are left out; `leastSteps` is what the version needs.
 */
export const VERSIONS = {
  diffusers: { steps: 20, skipped: 1, leastSteps: 1 },
  ldm: { steps: 50, skipped: 0, leastSteps: 2 },
  fast: { steps: 10, skipped: 1, leastSteps: 2 },
};

/** Where the two finest levels begin, among a decoder's levels. */
const FINEST = -2;

/** The steps of a run. @param {Pick<Options, "steps" | "preset">} options */
export const stepsOf = ({ steps, preset }) => steps ?? VERSIONS[preset].steps;

/**
 * Calls of the UNet in a reverse step: beside the injected prediction, a style scale takes the plain one.
 * @param {Pick<Options, "attnInjection" | "styleScale" | "layers">} options
 */
export const callsAStep = ({ attnInjection, styleScale, layers }) =>
  attnInjection && styleScale !== 1 && layers?.length !== 0 ? 2 : 1;

/**
 * Whether a run needs anything of the paintings: their noise or their features.
 * @param {Pick<Options, "initAdain" | "redraw" | "tone">} options @param {number[]} layers that are injected
 */
export const needsStyle = ({ initAdain, redraw, tone }, layers) =>
  initAdain || redraw > 0 || tone > 0 || layers.length > 0;

/** The most paintings that the engine blends. */
export const MOST_STYLES = 4;

/** The settings that make up a look; the others say how large, how fine and how fast. @type {(keyof Options)[]} */
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
  "styleScale",
  "contentShare",
];

/** The look of a model that names none of its own. */
const USUAL_LOOK = "balanced";

/** From the nearest to the photo to the nearest to the painting; then what the published versions do. @type {Preset[]} */
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
    options: { preset: "fast", redraw: 0.5, adainStrength: 0.5 },
  },
  {
    id: "painted",
    name: "Painted",
    note: "The photo as a painting: the painting's strokes and all its colours.",
    options: { preset: "fast", redraw: 0.35 },
  },
  {
    id: "bold",
    name: "Bold",
    note: "A painting for which the photo is only a sketch: broad strokes, little detail.",
    options: { preset: "fast", redraw: 0.4, redrawBand: 0.4 },
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
 * What a preset asks for.
 * @param {Preset} preset @param {Decoder} [model] whose layers are meant
 * @returns {Partial<Options>} all of a look's settings
 */
export function lookOf({ options, finestLevels }, model = STABLE_DIFFUSION) {
  const layers = finestLevels ? layersOf({ decoder: model.decoder.slice(-finestLevels) }) : null;
  const asked = { ...DEFAULTS, ...options, layers };
  return Object.fromEntries(LOOK.map((name) => [name, asked[name]]));
}

/** The preset of a model that nobody has chosen another for. @param {string} [look] the id that the model names */
const ownPreset = (look) =>
  /** @type {Preset} */ (PRESETS.find(({ id }) => id === look) ?? PRESETS.find(({ id }) => id === USUAL_LOOK));

/** The parameters of a model when nobody has touched them. @param {string | undefined} look that it names @param {Decoder} [model] */
export const defaultsOf = (look, model) => ({ ...DEFAULTS, ...lookOf(ownPreset(look), model) });

/**
 * The settings for another model than they were made for: its own look where nobody has chosen another one.
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

/** The layers where nobody asks for others. @param {Options["preset"]} version @param {Decoder} model */
export const usualLayers = (version, { decoder, injectionLayers }) =>
  injectionLayers ?? layersOf({ decoder: decoder.slice(FINEST) }).slice(VERSIONS[version].skipped);

/**
 * The preset whose look these settings are.
 * @param {Options} options @param {Decoder} [model] whose layers are meant
 * @returns {Preset | null} null for settings of one's own
 */
export function presetOf(options, model = STABLE_DIFFUSION) {
  const look = (/** @type {Partial<Options>} */ of) => JSON.stringify(LOOK.map((name) => of[name] ?? null));
  const wanted = look({ ...options, layers: ownLayers(options, model) });
  return PRESETS.find((preset) => look(lookOf(preset, model)) === wanted) ?? null;
}

/** The layers where they are not the usual ones anyway. @param {Pick<Options, "preset" | "layers">} options @param {Decoder} model */
export const ownLayers = ({ preset, layers }, model) =>
  layers && String(layers) !== String(usualLayers(preset, model)) ? layers : null;

/**
 * The layers for another model than the one they were chosen for: a preset's and the usual ones are the same levels there,
 * and numbers that a person gave stay what they are.
 * @param {Options} options @param {Decoder} from @param {Decoder} to @returns {number[] | null}
 */
export function layersFor(options, from, to) {
  if (!ownLayers(options, from)) return null;
  const preset = presetOf(options, from);
  return preset?.finestLevels ? (lookOf(preset, to).layers ?? null) : options.layers;
}

/**
 * What a model has of the layers that are asked for.
 * @template {Pick<Options, "layers" | "gammaByLayer">} T
 * @param {T} options @param {Decoder} model
 * @returns {{ options: T, problem: string | null }} with the layers that it has, or its usual ones where it has none of them;
 *   and what was left out, as a sentence
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

/** @param {number[]} numbers ascending; of three and more in a row, only the first and last are named */
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

/** How large a level is, for people. @param {number} stride @param {number | null} size of the picture; null where nobody knows yet */
export function levelSize(stride, size) {
  if (size === null) return `cells of ${stride} px`;
  const side = Math.ceil(size / stride);
  return `${side} × ${side}`;
}

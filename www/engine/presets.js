// The parameters' values when nobody has touched them, and the named looks that set several of them at once.

/**
 * @typedef {Required<import("../styleid.js").Options>} Options
 * @typedef {{ id: string, name: string, note: string, options: Partial<Options> }} Preset
 */

/** @type {Options} */
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
  size: null,
  keepAspect: false,
  previewEvery: 0,
};

/**
 * What an empty field stands for in each version, where the model does not say otherwise: shown as placeholder, never sent, so
 * that the crate alone decides.
 */
export const VERSIONS = {
  diffusers: { steps: 20, layers: [7, 8, 9, 10, 11] },
  ldm: { steps: 50, layers: [6, 7, 8, 9, 10, 11] },
};

/** The steps of a run. @param {Pick<Options, "steps" | "preset">} options */
export const stepsOf = ({ steps, preset }) => steps ?? VERSIONS[preset].steps;

/** The most paintings that the engine blends. */
export const MOST_STYLES = 4;

/** Decoder layers of the family that have self-attention; a loaded model may have fewer. */
export const LAYERS = [3, 4, 5, 6, 7, 8, 9, 10, 11];

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
];

/** @type {Preset[]} */
export const PRESETS = [
  { id: "balanced", name: "Balanced", note: "The method's own values: a good place to begin.", options: {} },
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
    note: "Only the finest layers, 9 to 11: strokes and grain, hardly any forms.",
    options: { layers: [9, 10, 11] },
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

/** What a preset asks for. @param {Preset} preset @returns {Partial<Options>} all of a look's settings */
export const lookOf = ({ options }) =>
  Object.fromEntries(LOOK.map((name) => [name, options[name] !== undefined ? options[name] : DEFAULTS[name]]));

/** The layers where nobody asks for others. @param {Options["preset"]} version @param {number[] | null} ofModel the model's own choice */
export const usualLayers = (version, ofModel) => ofModel ?? VERSIONS[version].layers;

/**
 * The preset whose look these settings are.
 * @param {Options} options @param {number[] | null} [ofModel] the model's own choice of layers
 * @returns {Preset | null} null for settings of one's own
 */
export function presetOf(options, ofModel = null) {
  const look = (/** @type {Partial<Options>} */ of) => JSON.stringify(LOOK.map((name) => of[name] ?? null));
  const wanted = look({ ...options, layers: ownLayers(options, ofModel) });
  return PRESETS.find((preset) => look(lookOf(preset)) === wanted) ?? null;
}

/** The layers where they are not the usual ones anyway. @param {Options} options @param {number[] | null} ofModel */
const ownLayers = ({ preset, layers }, ofModel) =>
  layers && String(layers) !== String(usualLayers(preset, ofModel)) ? layers : null;

// Settings as a URL fragment, and back. Only values that differ from the defaults are written. A value that cannot be
// read is reported in a sentence, and the rest of the link is used.

import { DEVICE_CHOICES } from "../engine/adapter.js";
import { WEIGHT_TYPES } from "../engine/models.js";
import { DEFAULTS, MOST_STYLES, VERSIONS } from "../engine/presets.js";
import { CURVE_NAMES } from "./curve.js";

/**
 * @typedef {import("../engine/presets.js").Options} Options
 * @typedef {import("../styleid.js").Curve} Curve
 * @typedef {import("../styleid.js").WeightType} WeightType
 * @typedef {object} Shared
 * @property {Partial<Options>} options options in the link; the others are the defaults
 * @property {string | null} model its id or a reference to it; null if the link names none
 * @property {string | null} rest reference to the model that supplies the parts it lacks
 * @property {string | null} vae reference to the VAE that replaces its own
 * @property {WeightType | null} weights
 * @property {"epsilon" | "v_prediction" | null} prediction
 * @property {import("../engine/adapter.js").DeviceChoice} [device] what to compute on, if the link says it
 * @property {"each" | "blend"} several one result for each painting, or a blend
 * @property {number[]} mix the paintings' weights, in their order
 */

/**
 * Writes and reads one setting; `read` returns undefined for an invalid text.
 * @typedef {{ write: (value: any) => string, read: (text: string) => any, expects: string }} Kind
 */

/** @param {number} min @param {number} max @param {boolean} [whole] @returns {Kind} */
const number = (min, max, whole = false) => ({
  write: String,
  read: (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    return value >= min && value <= max && (!whole || Number.isInteger(value)) ? value : undefined;
  },
  expects: `a ${whole ? "whole number" : "number"} from ${min} to ${max}`,
});
/** @param {string[]} values @returns {Kind} */
const oneOf = (...values) => ({
  write: String,
  read: (text) => (values.includes(text) ? text : undefined),
  expects: `one of ${values.join(", ")}`,
});
/** @type {Kind} */
const yesNo = {
  write: (value) => (value ? "1" : "0"),
  read: (text) => (text === "1" ? true : text === "0" ? false : undefined),
  expects: "1 or 0",
};

/** @param {number} min @param {number} max @returns {Kind} */
const curve = (min, max) => ({
  write: ({ curve, end }) => `${curve}-${end}`,
  read: (text) => {
    const [name, rest = ""] = text.split(/-(.*)/s);
    const end = number(min, max).read(rest);
    return Object.hasOwn(CURVE_NAMES, name) && end !== undefined ? { curve: name, end } : undefined;
  },
  expects: `a curve and its end, such as cosine-${min === 0 ? 0.375 : 1}`,
});
/** A decoder layer's number; which layers exist depends on the model. */
const layer = number(0, 99, true);
/** @type {Kind} */
const layers = {
  write: (value) => value.join("-"),
  read: (text) => {
    const list = text === "" ? [] : text.split("-").map(layer.read);
    return list.includes(undefined) ? undefined : [...new Set(list)].sort((a, b) => a - b);
  },
  expects: "numbers of layers, such as 9-10-11",
};
/** @type {Kind} */
const byLayer = {
  write: (value) =>
    Object.entries(value)
      .map(([layer, gamma]) => `${layer}_${gamma}`)
      .join("-"),
  read: (text) => {
    const pairs = text.split("-").map((pair) => pair.split("_"));
    const fits = pairs.every(
      ([name, gamma = ""]) => layer.read(name) !== undefined && number(0, 1).read(gamma) !== undefined,
    );
    return fits ? Object.fromEntries(pairs.map(([name, gamma]) => [String(Number(name)), Number(gamma)])) : undefined;
  },
  expects: "layers with their γ, such as 6_0.75-7_0.6",
};
/** @type {Kind} */
const size = {
  write: String,
  read: (text) => (text === "keep" ? "keep" : number(64, 1024, true).read(text)),
  expects: "a whole number from 64 to 1024, or keep",
};
/** @type {Kind} */
const mix = {
  write: (value) => value.join("-"),
  read: (text) => {
    const values = text.split("-").map(number(0.05, 10).read);
    return values.includes(undefined) || values.length > MOST_STYLES ? undefined : values;
  },
  expects: "up to four weights, such as 1-0.5",
};

/** Names of the settings in a link. @type {[name: string, setting: keyof Options, kind: Kind][]} */
const SETTINGS = [
  ["version", "preset", oneOf(...Object.keys(VERSIONS))],
  ["steps", "steps", number(1, 999, true)],
  ["layers", "layers", layers],
  ["adain", "initAdain", yesNo],
  ["injection", "attnInjection", yesNo],
  ["seed", "vaeSample", number(0, 4294967295, true)],
  ["gamma", "gamma", number(0, 1)],
  ["gamma-curve", "gammaCurve", curve(0, 1)],
  ["gamma-layers", "gammaByLayer", byLayer],
  ["t", "temperature", number(0.1, 10)],
  ["t-curve", "temperatureCurve", curve(0.1, 10)],
  ["together", "blend", oneOf("together", "average")],
  ["colours", "keepColours", yesNo],
  ["damping", "damping", number(0, 1)],
  ["redraw", "redraw", number(0, 1)],
  ["redraw-band", "redrawBand", number(0.05, 1)],
  ["adain-strength", "adainStrength", number(0, 1)],
  ["tone", "tone", number(0, 1)],
  ["texture", "texture", number(0, 1)],
  ["style-scale", "styleScale", number(1, 5)],
  ["content-share", "contentShare", number(0, 1)],
  ["size", "size", size],
  ["shape", "keepAspect", yesNo],
];
/** @param {string} expects @returns {Kind} */
const naming = (expects) => ({ write: String, read: (text) => text.trim() || undefined, expects });
/** The other parameters of a link. @type {[name: string, field: Exclude<keyof Shared, "options">, kind: Kind][]} */
const OTHERS = [
  ["model", "model", naming("a model")],
  ["rest", "rest", naming("a model")],
  ["vae", "vae", naming("a VAE")],
  ["weights", "weights", oneOf(...WEIGHT_TYPES)],
  ["predicts", "prediction", oneOf("epsilon", "v_prediction")],
  ["device", "device", oneOf(...DEVICE_CHOICES)],
  ["several", "several", oneOf("each", "blend")],
  ["mix", "mix", mix],
];

/** @param {Omit<Shared, "options"> & { options: Options }} shared @returns {string} what follows the # */
export function toFragment(shared) {
  const parameters = new URLSearchParams();
  for (const [name, field, kind] of OTHERS) {
    const value = shared[field];
    const isDefault =
      value == null ||
      value === "auto" ||
      value === "each" ||
      (Array.isArray(value) && value.every((each) => each === 1));
    if (!isDefault) parameters.set(name, kind.write(value));
  }
  for (const [name, setting, kind] of SETTINGS) {
    const value = shared.options[setting];
    if (value !== null && JSON.stringify(value) !== JSON.stringify(DEFAULTS[setting])) {
      parameters.set(name, kind.write(value));
    }
  }
  return parameters.toString().replaceAll("%2F", "/").replaceAll("%40", "@").replaceAll("%3A", ":");
}

/**
 * @param {string} fragment with or without its #
 * @returns {{ shared: Shared, problems: string[] } | null} null if the fragment holds no settings
 */
export function fromFragment(fragment) {
  if (!fragment.includes("=")) return null; // an element's id, which may equal a setting's name
  const parameters = new URLSearchParams(fragment.replace(/^#/, ""));
  const known = new Map([...SETTINGS, ...OTHERS].map(([name, field, kind]) => [name, { field, kind }]));
  if (![...parameters].some(([name, value]) => known.has(name) || value !== "")) return null;
  /** @type {string[]} */
  const problems = [];
  /** @type {Record<string, any>} */
  const found = {};
  for (const [name, text] of parameters) {
    const entry = known.get(name);
    const value = entry?.kind.read(text);
    if (!entry) problems.push(`The link names “${brief(name)}”, which this page does not know: it is left out.`);
    else if (value !== undefined) found[entry.field] = value;
    else problems.push(`The link's ${name} is “${brief(text)}”, not ${entry.kind.expects}: it is left out.`);
  }
  const { model = null, rest = null, vae = null, weights = null, prediction = null, ...others } = found;
  const { device, several = "each", mix = [], ...options } = others;
  return {
    shared: { options, model, rest, vae, weights, prediction, several, mix, ...(device && { device }) },
    problems,
  };
}

/** @param {string} text */
const brief = (text) => (text.length > 40 ? `${text.slice(0, 40)}…` : text);

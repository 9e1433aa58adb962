// What to do after a failure: try again by itself, once, with what is likelier to work; else say what the person can do. An
// error's kind decides; its sentence is for people alone.

/**
 * @typedef {import("../styleid.js").WeightType} WeightType
 * @typedef {object} Circumstances
 * @property {WeightType} weights what the model's weights are kept as
 * @property {number | "keep" | null} size as asked for
 * @property {number | null} [side] pixels of the longer side that is computed, where known: for "keep", and the model's own
 * @property {boolean} [isFree] whether other weights can be had without a download: a model of the page's own, picked files
 * @property {boolean} [isLoading] whether it failed while the model was loaded, on which no size has a bearing
 * @property {boolean} [isRetry] whether this was the second try already
 * @typedef {{ weights?: WeightType, size?: number }} Change nothing in it: the same again
 * @typedef {object} Advice
 * @property {string} sentence for the person: what happened, and what is done or can be done about it
 * @property {Change | null} retry what to try again with by itself; null where nothing is
 * @property {Change[]} offers what the person may be offered instead
 */

/** Sides that are worth computing, in pixels. */
const SIZES = [256, 384, 512, 640, 768, 896, 1024];

/**
 * A job's settings at another size. Pictures that were to be kept as they are keep their shape.
 * @template {{ size?: number | "keep" | null, keepAspect?: boolean }} Settings
 * @param {Settings} settings @param {number} size @returns {Settings}
 */
export const atSize = (settings, size) =>
  settings.size === "keep" ? { ...settings, size, keepAspect: true } : { ...settings, size };

/**
 * A job with other weights or another size, which its link says too.
 * @template {{ loading: import("../styleid.js").ModelOptions, options: import("./presets.js").Options, fragment: string }} Job
 * @param {Job} job @param {Change} change @returns {Job}
 */
export function changed(job, { weights, size }) {
  const link = new URLSearchParams(job.fragment);
  if (weights) link.set("weights", weights);
  if (size) link.set("size", String(size));
  if (size && job.options.size === "keep") link.set("shape", "1");
  return {
    ...job,
    loading: { ...job.loading, weights: weights ?? job.loading.weights },
    options: size ? atSize(job.options, size) : job.options,
    fragment: String(link),
  };
}

/** The next smaller size. @param {number} side @returns {number | null} null where there is none */
export const smallerSize = (side) => SIZES.findLast((size) => size < side) ?? null;

/** @param {Change} change */
function describe({ weights, size }) {
  if (weights) return "with weights of 4 bits, which take the least memory";
  return `at ${size} pixels, which take less memory`;
}

/**
 * What follows from a failure. Faults that trying again does not mend have their own sentence and no retry.
 * @param {unknown} error @param {Circumstances} circumstances @returns {Advice}
 */
export function adviceAfter(error, circumstances) {
  if (!(error instanceof Error)) return { sentence: String(error), retry: null, offers: [] };
  const { kind = "", message } = /** @type {Error & { kind?: string }} */ (error);
  if (kind === "memory") return afterMemory(circumstances);
  const what = STOPPED[kind];
  if (!what) return { sentence: message, retry: null, offers: [] };
  if (circumstances.isRetry) {
    const sentence = `${message} It has been tried twice; reload the page if it happens again.`;
    return { sentence, retry: null, offers: [] };
  }
  return { sentence: `${what} stopped; trying once more with a new start of it.`, retry: {}, offers: [] };
}

/** Kinds of errors that a new worker may well be without. @type {Record<string, string | undefined>} */
const STOPPED = { device: "The GPU", internal: "The program" };

/** @param {Circumstances} circumstances @returns {Advice} */
function afterMemory({ weights, size, side = null, isFree = false, isLoading = false, isRetry = false }) {
  const pixels = typeof size === "number" ? size : side;
  const smaller = isLoading || pixels === null ? null : smallerSize(pixels);
  /** @type {Change[]} */
  const offers = [];
  if (weights !== "q4") offers.push({ weights: "q4" });
  if (smaller !== null) offers.push({ size: smaller });
  // Other weights cost nobody the picture's size, but may be a download, to which only the person can say yes.
  const retry = isRetry ? null : (offers.find(({ weights }) => !weights || isFree) ?? null);
  if (retry) return { sentence: `The memory ran out; trying once more ${describe(retry)}.`, retry, offers };
  if (offers.length === 0) {
    const least = isLoading ? "Choose a smaller model" : "This is the smallest there is: choose a smaller model";
    return { sentence: `The memory ran out. ${least}, or close other tabs and programs.`, retry, offers };
  }
  const ways = offers.map(({ weights, size }) => (weights ? "weights of 4 bits" : `${size} pixels`)).join(" or ");
  return { sentence: `The memory ran out. Try ${ways}, or close other tabs and programs.`, retry, offers };
}

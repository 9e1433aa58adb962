// What to do after a failure: retry automatically, once, with settings more likely to work, or else tell the user what
// to try. After a GPU that stopped twice or cannot run the program, the processor may go on. The error's kind decides;
// its message is only shown.

/**
 * @typedef {import("../styleid.js").WeightType} WeightType
 * @typedef {object} Circumstances
 * @property {WeightType} weights what the model's weights are kept as
 * @property {number | "keep" | null} size as asked for
 * @property {number | null} [side] longer side in pixels for "keep" or the native size, if known
 * @property {boolean} [isFree] whether other weight types need no download: the page's own models, picked files
 * @property {boolean} [isLoading] whether it failed while the model was loaded, when the size does not matter
 * @property {boolean} [isRetry] whether this was already the second try
 * @property {boolean} [canProcess] whether the processor may take the place of a GPU
 * @typedef {{ weights?: WeightType, size?: number, device?: "cpu" }} Change empty: the same again
 * @typedef {object} Advice
 * @property {string} sentence for the user: what happened, and what is done or can be done about it
 * @property {Change | null} retry the change for an automatic retry; null for none
 * @property {Change[]} offers changes to offer to the user instead
 */

/** Sizes to step down through, in pixels. */
const SIZES = [256, 384, 512, 640, 768, 896, 1024];

/**
 * A job's settings at another size. If the size was "keep", the aspect ratio is kept.
 * @template {{ size?: number | "keep" | null, keepAspect?: boolean }} Settings
 * @param {Settings} settings @param {number} size @returns {Settings}
 */
export const atSize = (settings, size) =>
  settings.size === "keep" ? { ...settings, size, keepAspect: true } : { ...settings, size };

/**
 * A job with other weights or another size, in its link too.
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

/** The next smaller size. @param {number} side @returns {number | null} null if there is none */
export const smallerSize = (side) => SIZES.findLast((size) => size < side) ?? null;

/** @param {Change} change */
function describe({ weights, size }) {
  if (weights) return "with weights of 4 bits, which take the least memory";
  return `at ${size} pixels, which take less memory`;
}

/**
 * The advice after a failure. An error that a retry cannot fix keeps its own message and gets no retry.
 * @param {unknown} error @param {Circumstances} circumstances @returns {Advice}
 */
export function adviceAfter(error, circumstances) {
  if (!(error instanceof Error)) return { sentence: String(error), retry: null, offers: [] };
  const { kind = "", message } = /** @type {Error & { kind?: string }} */ (error);
  if (kind === "memory") return afterMemory(circumstances);
  if (circumstances.canProcess && (kind === "unsupported" || (kind === "device" && circumstances.isRetry))) {
    const sentence = `${message} The processor goes on, which takes longer.`;
    return { sentence, retry: { device: "cpu" }, offers: [] };
  }
  const what = STOPPED[kind];
  if (!what) return { sentence: message, retry: null, offers: [] };
  if (circumstances.isRetry) {
    const sentence = `${message} It has been tried twice; reload the page if it happens again.`;
    return { sentence, retry: null, offers: [] };
  }
  return { sentence: `${what} stopped; trying once more with a new start of it.`, retry: {}, offers: [] };
}

/** Kinds of errors that a new worker may fix. @type {Record<string, string | undefined>} */
const STOPPED = { device: "The GPU", internal: "The program" };

/** @param {Circumstances} circumstances @returns {Advice} */
function afterMemory({ weights, size, side = null, isFree = false, isLoading = false, isRetry = false }) {
  const pixels = typeof size === "number" ? size : side;
  const smaller = isLoading || pixels === null ? null : smallerSize(pixels);
  /** @type {Change[]} */
  const offers = [];
  if (weights !== "q4") offers.push({ weights: "q4" });
  if (smaller !== null) offers.push({ size: smaller });
  // Other weights keep the picture's size, but may need a download, which only the user can allow.
  const retry = isRetry ? null : (offers.find(({ weights }) => !weights || isFree) ?? null);
  if (retry) return { sentence: `The memory ran out; trying once more ${describe(retry)}.`, retry, offers };
  if (offers.length === 0) {
    const least = isLoading ? "Choose a smaller model" : "This is the smallest there is: choose a smaller model";
    return { sentence: `The memory ran out. ${least}, or close other tabs and programs.`, retry, offers };
  }
  const ways = offers.map(({ weights, size }) => (weights ? "weights of 4 bits" : `${size} pixels`)).join(" or ");
  return { sentence: `The memory ran out. Try ${ways}, or close other tabs and programs.`, retry, offers };
}

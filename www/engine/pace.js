// How long each phase takes on this machine, measured in runs and stored for the next visit; and estimates for a run.

import { callsAStep, stepsOf } from "./presets.js";
import { formatDuration } from "../shared/format.js";

/**
 * @typedef {import("./adapter.js").DeviceChoice} DeviceChoice
 * @typedef {import("./presets.js").Options} Options
 * @typedef {import("../styleid.js").Phase} Phase
 * @typedef {{ seconds: number | null, photoKept: boolean, newStyles: number, isFirst: boolean }} Forecast time, and
 *   what is reused of an earlier run; `isFirst`: there is none
 * @typedef {Partial<Record<Phase, number>>} Pace seconds per UNet evaluation of one picture if the phase has steps,
 *   else per phase
 */

const KEY = "styleid-pace";
/** Entries to store; the least recently measured are dropped. */
const MOST = 24;
/** Weight of the newest run in the moving average. */
const NEWS = 0.6;

/** Storage key of the rates of a chosen device. @param {DeviceChoice} [device] */
const ratesKey = (device) => (device === "cpu" ? "styleid-rates-cpu" : "styleid-rates");
/** Multiplications in a second, in billions, that a processor does in wasm at least, before any was measured. */
const LEAST_RATE = 10;
/**
 * Work ratio above which a smaller model's rate is only an upper bound: a GPU is more efficient with large products.
 */
const FAR = 4;

/**
 * Runs with the same key take the same time.
 * @param {string} model key of the model and its weights @param {Options} options
 * @param {{ width: number, height: number }} photo
 */
export const paceKey = (model, { size, keepAspect, preset }, { width, height }) =>
  [model, preset, size, size === "keep" || keepAspect ? `${width}×${height}` : "square"].join(" ");

/** @param {Pick<Storage, "getItem">} [storage] @returns {Record<string, Pace>} */
function readAll(storage) {
  try {
    // If a browser forbids storage, even accessing `localStorage` throws.
    const all = JSON.parse((storage ?? localStorage).getItem(KEY) ?? "{}");
    return all && typeof all === "object" && !Array.isArray(all) ? all : {};
  } catch {
    return {}; // no storage, or not our data
  }
}

/** @param {string} key @param {Pick<Storage, "getItem">} [storage] @returns {Pace | null} null if nothing is known */
export function knownPace(key, storage) {
  const pace = readAll(storage)[key];
  if (!pace || typeof pace !== "object") return null;
  const sound = Object.entries(pace).filter(([, seconds]) => Number.isFinite(seconds) && seconds >= 0);
  return sound.length > 0 ? Object.fromEntries(sound) : null;
}

/** @param {string} key @param {Pace} measured @param {Pick<Storage, "getItem" | "setItem">} [storage] */
export function learnPace(key, measured, storage) {
  const known = knownPace(key, storage) ?? {};
  /** @type {Pace} */
  const pace = { ...known };
  for (const [phase, seconds] of /** @type {[Phase, number][]} */ (Object.entries(measured))) {
    const before = known[phase];
    pace[phase] = Number((before === undefined ? seconds : before + NEWS * (seconds - before)).toPrecision(3));
  }
  const { [key]: _, ...others } = readAll(storage);
  const kept = Object.fromEntries([...Object.entries(others), [key, pace]].slice(-MOST));
  try {
    (storage ?? localStorage).setItem(KEY, JSON.stringify(kept));
  } catch {
    // A private window, or no space: the next visit measures again.
  }
}

/** @typedef {[work: number, secondsPerUnit: number][]} Rates measured, with the work of one UNet evaluation */

/** @param {Pick<Storage, "getItem">} [storage] @param {DeviceChoice} [device] @returns {Rates} */
function readRates(storage, device) {
  try {
    const all = JSON.parse((storage ?? localStorage).getItem(ratesKey(device)) ?? "[]");
    const isSound = (/** @type {unknown} */ each) =>
      Array.isArray(each) && each.length === 2 && each.every((value) => Number.isFinite(value) && value > 0);
    return Array.isArray(all) ? all.filter(isSound) : [];
  } catch {
    return [];
  }
}

/**
 * Work of one evaluation of a model's UNet at a size, in billions of multiplications. Attention, taken as 20 % of it,
 * is quadratic in the number of pixels.
 * @param {{ work?: number, nativeSize?: number }} model @param {Options["size"]} size
 * @returns {number | null} null if unknown
 */
export function workOf({ work, nativeSize = 512 }, size) {
  if (!work) return null;
  const share = typeof size === "number" ? (size / nativeSize) ** 2 : 1;
  return work * share * (0.8 + 0.2 * share);
}

/**
 * Stores the measured rate of UNet evaluations with this much work.
 * @param {number | null} work @param {Pace} measured @param {Pick<Storage, "getItem" | "setItem">} [storage]
 * @param {DeviceChoice} [device]
 */
export function learnRate(work, measured, storage, device) {
  const seconds = measured.stylize ?? measured["invert-content"] ?? measured["invert-style"];
  if (!work || !seconds) return;
  const [at, rate] = [work, seconds / work].map((value) => Number(value.toPrecision(3)));
  const others = readRates(storage, device).filter(([other]) => other !== at);
  try {
    (storage ?? localStorage).setItem(ratesKey(device), JSON.stringify([...others, [at, rate]].slice(-MOST)));
  } catch {
    // A private window, or no space: it is measured again.
  }
}

/**
 * Predicts the time of one UNet evaluation from the measured rate with the nearest work.
 * @param {number | null} work @param {Pick<Storage, "getItem">} [storage] @param {DeviceChoice} [device]
 * @returns {{ pace: Pace, isBound: boolean } | null} `isBound`: only an upper bound; null before anything is measured
 */
export function ratedPace(work, storage, device) {
  if (!work) return null;
  const apart = (/** @type {number} */ other) => Math.abs(Math.log(other / work));
  const [nearest] = readRates(storage, device).sort(([a], [b]) => apart(a) - apart(b));
  return nearest ? { pace: { stylize: work * nearest[1] }, isBound: work > nearest[0] * FAR } : null;
}

/** The pace of a processor that was never measured. @param {number | null} work @returns {Pace | null} null if unknown */
export const guessedPace = (work) => (work === null ? null : { stylize: work / LEAST_RATE });

/**
 * Estimates the seconds of a run, without loading the model.
 * @param {Pace | null} pace @param {{ options: Options, photoKept: boolean, newStyles: number, isWarm: boolean }} run
 *   `newStyles`: paintings that have to be inverted
 * @returns {number | null} null if unknown
 */
export function estimate(pace, { options, photoKept, newStyles, isWarm }) {
  const steps = stepsOf(options);
  const step = pace?.stylize ?? pace?.["invert-content"] ?? pace?.["invert-style"];
  if (!pace || step === undefined) return null;
  const encoding = pace["encode-content"] ?? pace["encode-style"] ?? step;
  let seconds =
    steps * callsAStep(options) * step + (pace.decode ?? 2 * encoding) + (isWarm ? 0 : (pace["warm-up"] ?? 0));
  if (!photoKept) seconds += (pace["encode-content"] ?? encoding) + steps * (pace["invert-content"] ?? step);
  seconds += newStyles * ((pace["encode-style"] ?? encoding) + steps * (pace["invert-style"] ?? step));
  return seconds;
}

/** A time in words, such as "about 40 s" or "at most 5 min". @param {{ seconds: number, isBound: boolean }} found */
export const approximately = ({ seconds, isBound }) =>
  seconds < 1 ? formatDuration(seconds) : `${isBound ? "at most" : "about"} ${formatDuration(seconds)}`;

/** A forecast as a sentence, or empty. @param {Forecast} forecast @param {number} count of results */
export function foretold({ seconds, photoKept, newStyles, isFirst }, count) {
  const results = count > 1 ? `${count} results` : "";
  const time = seconds === null ? "" : `${seconds < 1 ? "" : "about "}${formatDuration(seconds)}`;
  if (count > 1 || isFirst) {
    const text = [results, time].filter(Boolean).join(", ");
    return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
  }
  const what = !photoKept
    ? "Needs new inversions"
    : newStyles > 0
      ? "Re-uses the photo's inversion"
      : "Re-uses both inversions";
  return time ? `${what}: ${time}.` : `${what}.`;
}

// Turns the engine's events into progress for the user: the current phase, the fraction done and the time left.

import { formatBytesOf } from "../shared/format.js";

/** @typedef {import("../styleid.js").ProgressEvent} ProgressEvent @typedef {import("../styleid.js").Phase} Phase @typedef {import("./pace.js").Pace} Pace */

/** @type {Record<Phase, string>} */
const LABELS = {
  load: "Loading the model",
  "encode-content": "Encoding the photo",
  "warm-up": "Preparing the GPU",
  "encode-style": "Encoding the painting",
  "invert-content": "Inverting the photo",
  "invert-style": "Inverting the painting",
  "invert-both": "Inverting the photo and the painting",
  stylize: "Repainting",
  decode: "Decoding the picture",
};

/** All phases of a run, loading included. */
export const PHASES = /** @type {Phase[]} */ (Object.keys(LABELS));

/**
 * Phases that are done, or not needed, once a phase begins. Photo and painting may come in either order.
 * @type {Record<Phase, Phase[]>}
 */
const BEFORE = {
  load: [],
  "encode-content": [],
  "encode-style": [],
  "warm-up": [],
  "invert-content": ["encode-content"],
  "invert-style": ["encode-style"],
  "invert-both": ["encode-content", "encode-style"],
  stylize: ["encode-content", "encode-style", "invert-content", "invert-style"],
  decode: ["encode-content", "encode-style", "invert-content", "invert-style", "stylize"],
};

/** @type {Phase[]} */
const INVERSIONS = ["invert-content", "invert-style"];

/** Approximate work of the VAE's phases, in units of a UNet step; replaced by measured seconds once there are any. */
const WORK = /** @type {Record<Phase, number>} */ ({ "encode-content": 1, "encode-style": 1, decode: 2 });

/** @param {Phase} phase @returns {phase is "invert-content" | "invert-style" | "invert-both" | "stylize"} */
const isSampling = (phase) => phase.startsWith("invert") || phase === "stylize";

/** @param {number[]} values at least one */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

/** Window over which the loading rate is averaged, and the time and share of the download needed before it is used. */
const PACE_MS = 15_000;
const PACE_FROM_MS = 2000;
const PACE_FROM_SHARE = 0.01;

/**
 * The progress of one run; create one per run. It measures the time per step itself. Work is counted in seconds if this
 * machine's pace is known, else in UNet steps.
 */
export class RunProgress {
  #isLocal;
  #pace;
  #styles;
  #calls;
  #skipped;
  /** @type {{ bytes: number, at: number }[]} bytes loaded by time, over the averaging window */ #arrivals = [];
  /** @type {Map<Phase, number>} each phase's progress, in pictures */ #done = new Map();
  /** Whether a painting was inverted together with the photo. */ #hasPair = false;
  /** @type {number | null} */ #stepsPerPhase;
  /** @type {{ phase: Phase, step: number, at: number } | null} */ #last = null;
  /** @type {Map<Phase, number[]>} milliseconds */ #times = new Map();
  /** @type {number[]} milliseconds that a unit of work takes */ #unitMs = [];
  #largest = 0;

  /**
   * @param {{ isLocal?: boolean, pace?: Pace | null, steps?: number | null, photoKept?: boolean, styles?: number, calls?: number }} [run]
   *   `isLocal`: whether the model is read from this computer's disk; `photoKept`: whether the photo's inversion is
   *   reused; `styles`: number of paintings to invert; `calls`: UNet evaluations in a reverse step
   */
  constructor({ isLocal = false, pace = null, steps = null, photoKept = false, styles = 1, calls = 1 } = {}) {
    this.#isLocal = isLocal;
    this.#pace = pace;
    this.#stepsPerPhase = steps;
    this.#styles = styles;
    this.#calls = calls;
    this.#skipped = new Set([
      ...(photoKept ? ["encode-content", "invert-content"] : []),
      ...(styles === 0 ? ["encode-style", "invert-style"] : []),
    ]);
  }

  /** The cached copy turned out to be unusable. */
  notLocal() {
    this.#isLocal = false;
  }

  /** The measured times. @returns {Pace} */
  get measured() {
    /** @type {Pace} */
    const pace = {};
    for (const [phase, times] of this.#times) {
      if (times.length === 0) continue;
      const seconds = median(times) / 1000;
      for (const part of phase === "invert-both" ? INVERSIONS : [phase]) pace[part] = seconds;
    }
    return pace;
  }

  /**
   * @param {ProgressEvent} event @param {number} now milliseconds, from any origin
   * @returns {{ label: string, detail: string, fraction: number | null, secondsLeft: number | null }} `fraction` is null
   *   if unknown
   */
  update(event, now) {
    const { phase, step, steps } = event;
    const label = LABELS[phase];
    const share = steps > 0 ? Math.min(1, step / steps) : 0;
    if (phase === "load") {
      if (steps === 0) return { label, detail: "", fraction: null, secondsLeft: null };
      const secondsLeft = this.#secondsToLoad(step, steps, now);
      const where = this.#isLocal ? " from this computer's disk" : "";
      return { label: label + where, detail: formatBytesOf(step, steps), fraction: share, secondsLeft };
    }
    // If both pictures are inverted in one batch, a step counts for each of them.
    const pictures = phase === "invert-both" ? 2 : 1;
    this.#time(event, phase === "stylize" ? this.#calls : pictures, now);
    if (isSampling(phase)) this.#stepsPerPhase ??= steps;
    // All paintings form one phase; the first of them may already have been inverted together with the photo.
    const rounds = isSampling(phase) ? steps / (this.#stepsPerPhase ?? steps) : phase.endsWith("style") ? steps : 1;
    const earlier = phase === "invert-style" && this.#hasPair ? 1 : 0;
    if (phase === "invert-both") this.#hasPair = true;
    for (const part of pictures === 2 ? INVERSIONS : [phase]) this.#advance(part, earlier + share * rounds);
    for (const over of BEFORE[phase]) this.#advance(over, this.#pictures(over));
    this.#last = { phase, step, at: now };

    const { done, total } = this.#work();
    // The median, because the first step also compiles the shaders and takes many times longer.
    const unitMs = this.#unitMs.length > 0 ? median(this.#unitMs) : this.#pace ? 1000 : null;
    const secondsLeft = unitMs === null ? null : ((total - done) * unitMs) / 1000;
    // Events report finished steps; the user sees the current one.
    const detail = isSampling(phase) ? `step ${Math.min(step + 1, steps)} of ${steps}` : "";
    this.#largest = Math.max(this.#largest, total > 0 ? Math.min(1, done / total) : 0); // the bar never moves back
    return { label, detail, fraction: this.#largest, secondsLeft };
  }

  /** @param {number} bytes @param {number} total @param {number} now @returns {number | null} */
  #secondsToLoad(bytes, total, now) {
    const arrivals = this.#arrivals;
    if (arrivals.length > 0 && bytes < arrivals[arrivals.length - 1].bytes) arrivals.length = 0; // it restarted
    arrivals.push({ bytes, at: now });
    while (arrivals.length > 2 && now - arrivals[1].at > PACE_MS) arrivals.shift();
    const took = now - arrivals[0].at;
    const came = bytes - arrivals[0].bytes;
    if (took < PACE_FROM_MS || came < PACE_FROM_SHARE * total || bytes === total) return null;
    return (((total - bytes) / came) * took) / 1000;
  }

  /**
   * Times steps within one phase only: the time between two phases belongs to no step.
   * @param {ProgressEvent} event @param {number} calls UNet evaluations in a step @param {number} now
   */
  #time({ phase, step }, calls, now) {
    const last = this.#last;
    if (last?.phase !== phase || step <= last.step) return;
    const took = (now - last.at) / (step - last.step) / calls;
    this.#times.set(phase, [...(this.#times.get(phase) ?? []), took]);
    if (isSampling(phase)) this.#unitMs.push(took / this.#unit(phase === "invert-both" ? "invert-content" : phase));
  }

  /** Raises a phase's progress. @param {Phase} phase @param {number} pictures */
  #advance(phase, pictures) {
    this.#done.set(phase, Math.max(pictures, this.#done.get(phase) ?? 0));
  }

  /** How many pictures a phase processes. @param {Phase} phase */
  #pictures(phase) {
    return phase.endsWith("style") ? Math.max(1, this.#styles) : 1;
  }

  /** Work of one UNet evaluation, or of a phase without steps. @param {Phase} phase */
  #unit(phase) {
    const pace = this.#pace;
    if (!pace) return isSampling(phase) ? 1 : WORK[phase];
    const step = pace.stylize ?? pace["invert-content"] ?? pace["invert-style"] ?? 1;
    return Math.max(pace[phase] ?? (isSampling(phase) ? step : WORK[phase] * step), 1e-4);
  }

  #work() {
    let done = 0;
    let total = 0;
    for (const phase of [...BEFORE.decode, /** @type {const} */ ("decode")]) {
      if (this.#skipped.has(phase)) continue;
      const pictures = this.#pictures(phase);
      const calls = phase === "stylize" ? this.#calls : 1;
      const work = this.#unit(phase) * calls * (isSampling(phase) ? (this.#stepsPerPhase ?? 20) : 1);
      total += work * pictures;
      done += work * Math.min(pictures, this.#done.get(phase) ?? 0);
    }
    return { done, total };
  }
}

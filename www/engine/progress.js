// Turns the engine's events into what a person wants to know: what is going on, how far it is, how long it will take.

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

/** What is over, or was not needed, once a phase begins. The two pictures may come in either order. @type {Record<Phase, Phase[]>} */
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

/** Work of a whole phase, in UNet steps: what the VAE takes beside a UNet step, roughly. Learned seconds take its place. */
const WORK = /** @type {Record<Phase, number>} */ ({ "encode-content": 1, "encode-style": 1, decode: 2 });

/** @param {Phase} phase @returns {phase is "invert-content" | "invert-style" | "invert-both" | "stylize"} */
const isSampling = (phase) => phase.startsWith("invert") || phase === "stylize";

/** @param {number[]} values at least one */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

/** Loading's pace is that of the last so many milliseconds. Before so much time and so large a share it says nothing. */
const PACE_MS = 15_000;
const PACE_FROM_MS = 2000;
const PACE_FROM_SHARE = 0.01;

/**
 * How far one run is. A fresh one per run: it measures the time per step itself. Work is counted in seconds where this
 * machine's pace is known, else in UNet steps.
 */
export class RunProgress {
  #isLocal;
  #pace;
  #styles;
  #calls;
  #skipped;
  /** @type {{ bytes: number, at: number }[]} what was loaded by when, of the last few seconds */ #arrivals = [];
  /** @type {Map<Phase, number>} how many pictures' worth of each phase is done */ #done = new Map();
  /** Whether a painting was inverted together with the photo. */ #hasPair = false;
  /** @type {number | null} */ #stepsPerPhase;
  /** @type {{ phase: Phase, step: number, at: number } | null} */ #last = null;
  /** @type {Map<Phase, number[]>} milliseconds */ #times = new Map();
  /** @type {number[]} milliseconds that a unit of work takes */ #unitMs = [];
  #largest = 0;

  /**
   * @param {{ isLocal?: boolean, pace?: Pace | null, steps?: number | null, photoKept?: boolean, styles?: number, calls?: number }} [run]
   *   `isLocal`: whether the model is read from this computer's disk; `photoKept`: whether the photo's inversion is there
   *   already; `styles`: how many paintings have to be inverted; `calls`: of the UNet in a reverse step
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

  /** The copy on the disk turned out to be of no use. */
  notLocal() {
    this.#isLocal = false;
  }

  /** What each phase took. @returns {Pace} */
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
   *   where nobody can say
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
    // In one batch, a step is one of each picture.
    const pictures = phase === "invert-both" ? 2 : 1;
    this.#time(event, phase === "stylize" ? this.#calls : pictures, now);
    if (isSampling(phase)) this.#stepsPerPhase ??= steps;
    // Several paintings are one phase, of which the first may have been done together with the photo.
    const rounds = isSampling(phase) ? steps / (this.#stepsPerPhase ?? steps) : phase.endsWith("style") ? steps : 1;
    const earlier = phase === "invert-style" && this.#hasPair ? 1 : 0;
    if (phase === "invert-both") this.#hasPair = true;
    for (const part of pictures === 2 ? INVERSIONS : [phase]) this.#advance(part, earlier + share * rounds);
    for (const over of BEFORE[phase]) this.#advance(over, this.#pictures(over));
    this.#last = { phase, step, at: now };

    const { done, total } = this.#work();
    // The median, since the first step also compiles the shaders and takes many times as long.
    const unitMs = this.#unitMs.length > 0 ? median(this.#unitMs) : this.#pace ? 1000 : null;
    const secondsLeft = unitMs === null ? null : ((total - done) * unitMs) / 1000;
    // Steps are reported as they are finished; a person wants to know the one that is under way.
    const detail = isSampling(phase) ? `step ${Math.min(step + 1, steps)} of ${steps}` : "";
    this.#largest = Math.max(this.#largest, total > 0 ? Math.min(1, done / total) : 0); // a bar never goes back
    return { label, detail, fraction: this.#largest, secondsLeft };
  }

  /** @param {number} bytes @param {number} total @param {number} now @returns {number | null} */
  #secondsToLoad(bytes, total, now) {
    const arrivals = this.#arrivals;
    if (arrivals.length > 0 && bytes < arrivals[arrivals.length - 1].bytes) arrivals.length = 0; // it began anew
    arrivals.push({ bytes, at: now });
    while (arrivals.length > 2 && now - arrivals[1].at > PACE_MS) arrivals.shift();
    const took = now - arrivals[0].at;
    const came = bytes - arrivals[0].bytes;
    if (took < PACE_FROM_MS || came < PACE_FROM_SHARE * total || bytes === total) return null;
    return (((total - bytes) / came) * took) / 1000;
  }

  /** Only steps within one phase are timed: whatever comes between two phases is no step. @param {ProgressEvent} event @param {number} calls of the UNet in a step @param {number} now */
  #time({ phase, step }, calls, now) {
    const last = this.#last;
    if (last?.phase !== phase || step <= last.step) return;
    const took = (now - last.at) / (step - last.step) / calls;
    this.#times.set(phase, [...(this.#times.get(phase) ?? []), took]);
    if (isSampling(phase)) this.#unitMs.push(took / this.#unit(phase === "invert-both" ? "invert-content" : phase));
  }

  /** So many pictures' worth of a phase is done. @param {Phase} phase @param {number} pictures */
  #advance(phase, pictures) {
    this.#done.set(phase, Math.max(pictures, this.#done.get(phase) ?? 0));
  }

  /** How many pictures a phase is about. @param {Phase} phase */
  #pictures(phase) {
    return phase.endsWith("style") ? Math.max(1, this.#styles) : 1;
  }

  /** Work of a call of the UNet, or of a phase without steps. @param {Phase} phase */
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

// Turns the engine's events into what a person wants to know: what is going on, how far it is, how long it will take.

/** @typedef {import("./styleid.js").ProgressEvent} ProgressEvent @typedef {import("./styleid.js").Phase} Phase */

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

/** Work of a whole phase, in UNet steps: what the VAE takes beside a UNet step, roughly. */
const VAE_WORK = { "encode-content": 1, "encode-style": 1, decode: 2 };

/** @param {Phase} phase @returns {phase is "invert-content" | "invert-style" | "invert-both" | "stylize"} */
const isSampling = (phase) => phase.startsWith("invert") || phase === "stylize";

/** @param {number} seconds */
export const formatTimeLeft = (seconds) =>
  seconds < 1 ? "less than a second left" : `about ${formatDuration(seconds)} left`;

/** @param {number} seconds */
export function formatDuration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  const [unit, size] = bytes < 1e9 ? ["MB", bytes / 1e6] : ["GB", bytes / 1e9];
  return `${size.toFixed(unit === "GB" || size < 10 ? 1 : 0)} ${unit}`;
}

/** Two sizes in one unit: "123 of 560 MB". @param {number} done @param {number} total */
export function formatBytesOf(done, total) {
  const [unit, size, digits] = total < 1e9 ? ["MB", 1e6, total < 1e7 ? 1 : 0] : ["GB", 1e9, 2];
  return `${(done / size).toFixed(digits)} of ${(total / size).toFixed(digits)} ${unit}`;
}

/** @param {number[]} values at least one */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Loading's pace is that of the last so many milliseconds. Before so much time and so large a share it says nothing. */
const PACE_MS = 15_000;
const PACE_FROM_MS = 2000;
const PACE_FROM_SHARE = 0.01;

/** How far one run is. A fresh one per run: it measures the time per step itself. */
export class RunProgress {
  #isLocal;
  /** @type {{ bytes: number, at: number }[]} what was loaded by when, of the last few seconds */ #arrivals = [];
  /** @type {Map<Phase, number>} share of each phase that is done */ #done = new Map();
  /** @type {number | null} */ #stepsPerPhase = null;
  /** @type {{ phase: Phase, step: number, at: number } | null} */ #last = null;
  /** @type {number[]} */ #stepMs = [];

  /** @param {{ isLocal?: boolean }} [options] whether the model is read from this computer's disk */
  constructor({ isLocal = false } = {}) {
    this.#isLocal = isLocal;
  }

  /** The copy on the disk turned out to be of no use. */
  notLocal() {
    this.#isLocal = false;
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
    for (const part of pictures === 2 ? INVERSIONS : [phase]) this.#advance(part, share);
    for (const earlier of BEFORE[phase]) this.#advance(earlier, 1);
    if (isSampling(phase)) {
      this.#stepsPerPhase ??= steps;
      // Only whole steps within one phase are timed: whatever comes between two phases is no step.
      if (this.#last?.phase === phase && step > this.#last.step) {
        this.#stepMs.push((now - this.#last.at) / (step - this.#last.step) / pictures);
      }
    }
    this.#last = { phase, step, at: now };

    const { done, total } = this.#work();
    // The median, since the first step also compiles the shaders and takes many times as long.
    const secondsLeft = this.#stepMs.length > 0 ? ((total - done) * median(this.#stepMs)) / 1000 : null;
    // Steps are reported as they are finished; a person wants to know the one that is under way.
    const detail = isSampling(phase) ? `step ${Math.min(step + 1, steps)} of ${steps}` : "";
    return { label, detail, fraction: done / total, secondsLeft };
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

  /** @param {Phase} phase @param {number} share */
  #advance(phase, share) {
    this.#done.set(phase, Math.max(share, this.#done.get(phase) ?? 0));
  }

  #work() {
    let done = 0;
    let total = 0;
    for (const phase of [...BEFORE.decode, /** @type {const} */ ("decode")]) {
      const work = isSampling(phase)
        ? (this.#stepsPerPhase ?? 20)
        : VAE_WORK[/** @type {keyof typeof VAE_WORK} */ (phase)];
      total += work;
      done += work * (this.#done.get(phase) ?? 0);
    }
    return { done, total };
  }
}

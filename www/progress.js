// Turns the engine's events into what a person wants to know: what is going on, how far it is, how long it will take.

/** @typedef {import("./styleid.js").ProgressEvent} ProgressEvent @typedef {import("./styleid.js").Phase} Phase */

/** @type {Record<Phase, string>} */
const LABELS = {
  load: "Loading the model",
  "encode-content": "Encoding the photo",
  "encode-style": "Encoding the painting",
  "invert-content": "Inverting the photo",
  "invert-style": "Inverting the painting",
  stylize: "Repainting",
  decode: "Decoding the picture",
};

/** What is over, or was not needed, once a phase begins. The two pictures may come in either order. @type {Record<Phase, Phase[]>} */
const BEFORE = {
  load: [],
  "encode-content": [],
  "encode-style": [],
  "invert-content": ["encode-content"],
  "invert-style": ["encode-style"],
  stylize: ["encode-content", "encode-style", "invert-content", "invert-style"],
  decode: ["encode-content", "encode-style", "invert-content", "invert-style", "stylize"],
};

/** Work of a whole phase, in UNet steps: what the VAE takes beside a UNet step, roughly. */
const VAE_WORK = { "encode-content": 1, "encode-style": 1, decode: 2 };

/** @param {Phase} phase @returns {phase is "invert-content" | "invert-style" | "stylize"} */
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

/** @param {number[]} values at least one */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** How far one run is. A fresh one per run: it measures the time per step itself. */
export class RunProgress {
  /** @type {Map<Phase, number>} share of each phase that is done */ #done = new Map();
  /** @type {number | null} */ #stepsPerPhase = null;
  /** @type {{ phase: Phase, step: number, at: number } | null} */ #last = null;
  /** @type {number[]} */ #stepMs = [];

  /**
   * @param {ProgressEvent} event @param {number} now milliseconds, from any origin
   * @returns {{ label: string, detail: string, fraction: number, secondsLeft: number | null }}
   */
  update(event, now) {
    const { phase, step, steps } = event;
    const label = LABELS[phase];
    const share = steps > 0 ? Math.min(1, step / steps) : 0;
    if (phase === "load") {
      return { label, detail: `${Math.round(100 * share)} %`, fraction: share, secondsLeft: null };
    }
    this.#advance(phase, share);
    for (const earlier of BEFORE[phase]) this.#advance(earlier, 1);
    if (isSampling(phase)) {
      this.#stepsPerPhase ??= steps;
      // Only whole steps within one phase are timed: whatever comes between two phases is no step.
      if (this.#last?.phase === phase && step > this.#last.step) {
        this.#stepMs.push((now - this.#last.at) / (step - this.#last.step));
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

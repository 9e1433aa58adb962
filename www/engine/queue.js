// The results to come: jobs with their states, worked off one after the other. It knows nothing of the page.

/** @typedef {"waiting" | "running" | "done" | "failed" | "cancelled"} State */

/**
 * @template Job, Result
 * @typedef {{ id: number, job: Job, state: State, problem: string, result: Result | null }} Item
 */

/** @template Job, Result */
export class Queue {
  /** @type {Item<Job, Result>[]} */ items = [];
  #lastId = 0;
  #onChange;

  /** @param {() => void} [onChange] */
  constructor(onChange = () => {}) {
    this.#onChange = onChange;
  }

  /** Adds jobs behind what still waits; what is over goes when nothing waits. @param {Job[]} jobs */
  add(jobs) {
    if (this.waiting.length === 0) this.items = this.items.filter(({ state }) => state === "running");
    this.items.push(
      ...jobs.map((job) => ({
        id: ++this.#lastId,
        job,
        state: /** @type {const} */ ("waiting"),
        problem: "",
        result: null,
      })),
    );
    this.#onChange();
  }

  get waiting() {
    return this.items.filter(({ state }) => state === "waiting");
  }

  get done() {
    return this.items.filter(({ state }) => state === "done");
  }

  get running() {
    return this.items.find(({ state }) => state === "running") ?? null;
  }

  /** Takes the next one in hand. @returns {Item<Job, Result> | null} */
  start() {
    const item = this.waiting[0] ?? null;
    if (item) this.#set(item, "running");
    return item;
  }

  /** @param {Item<Job, Result>} item @param {Result} result */
  finish(item, result) {
    item.result = result;
    this.#set(item, "done");
  }

  /** @param {Item<Job, Result>} item @param {string} problem one sentence */
  fail(item, problem) {
    item.problem = problem;
    this.#set(item, "failed");
  }

  /** @param {Item<Job, Result>} item */
  cancel(item) {
    if (item.state === "waiting" || item.state === "running") this.#set(item, "cancelled");
  }

  /**
   * Back to those that wait, as when the whole queue is halted, or to try it again.
   * @param {Item<Job, Result>} item @param {Job} [job] in place of its own
   */
  putBack(item, job = item.job) {
    item.job = job;
    item.problem = "";
    this.#set(item, "waiting");
  }

  /** Gives up what still waits. */
  cancelWaiting() {
    for (const item of this.waiting) item.state = "cancelled";
    this.#onChange();
  }

  /** @param {Item<Job, Result>} item @param {State} state */
  #set(item, state) {
    item.state = state;
    this.#onChange();
  }
}

/**
 * Every photo with every painting, or with all of them at once.
 * @template Photo, Style @param {Photo[]} photos @param {Style[]} styles @param {"each" | "blend"} several
 * @returns {{ photo: Photo, styles: Style[] }[]}
 */
export function combine(photos, styles, several) {
  return several === "blend"
    ? photos.map((photo) => ({ photo, styles }))
    : photos.flatMap((photo) => styles.map((style) => ({ photo, styles: [style] })));
}

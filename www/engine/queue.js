// The queue of jobs with their states, processed one after the other. It is independent of the page.

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

  /** Appends jobs. If none is waiting, finished ones are removed first. @param {Job[]} jobs */
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

  /** Starts the next waiting item. @returns {Item<Job, Result> | null} */
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
   * Sets an item back to waiting, when the whole queue is stopped or to retry it.
   * @param {Item<Job, Result>} item @param {Job} [job] replaces its own
   */
  putBack(item, job = item.job) {
    item.job = job;
    item.problem = "";
    this.#set(item, "waiting");
  }

  /** Cancels all waiting items. */
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
 * Pairs every photo with each painting, or with all of them at once.
 * @template Photo, Style @param {Photo[]} photos @param {Style[]} styles @param {"each" | "blend"} several
 * @returns {{ photo: Photo, styles: Style[] }[]}
 */
export function combine(photos, styles, several) {
  return several === "blend"
    ? photos.map((photo) => ({ photo, styles }))
    : photos.flatMap((photo) => styles.map((style) => ({ photo, styles: [style] })));
}

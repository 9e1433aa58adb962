// The queue on the page: its items with their states, and the actions for each.

import { build, button } from "../shared/dom.js";
import { isRunning } from "./run-state.js";

/**
 * @typedef {import("../engine/queue.js").Item<import("../engine/runner.js").Job, import("../results/history.js").Entry>} Item
 * @typedef {import("../engine/queue.js").State} State
 * @typedef {object} Actions
 * @property {(item: Item) => void} cancel
 * @property {(item: Item) => void} retry
 * @property {(item: Item) => void} open
 * @property {() => void} resume
 * @property {() => void} clear
 * @property {() => void} zip
 */

/** @type {Record<State, string>} */
const STATES = {
  waiting: "waits",
  running: "is being painted",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
};

export class QueueView {
  #root;
  #actions;

  /** @param {HTMLElement} root holding the elements marked `data-part` @param {Actions} actions */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
    for (const name of /** @type {const} */ (["resume", "clear", "zip"])) {
      this.#part(name).addEventListener("click", () => actions[name]());
    }
  }

  /** @param {Item[]} items @param {import("./run-state.js").RunState} run */
  show(items, run) {
    const runs = isRunning(run);
    const count = (/** @type {State} */ state) => items.filter((item) => item.state === state).length;
    const [waiting, done] = [count("waiting"), count("done")];
    this.#root.hidden = items.length < 2 && waiting === 0;
    const held = this.#root.contains(document.activeElement) ? document.activeElement?.getAttribute("data-key") : null;
    this.#part("title").textContent = `Queue: ${done} of ${items.length} done`;
    this.#part("list").replaceChildren(...items.map((item) => this.#row(item, run)));
    this.#part("resume").hidden = runs || waiting === 0;
    this.#part("clear").hidden = waiting === 0;
    this.#part("zip").hidden = done < 2;
    if (held) /** @type {HTMLElement | null} */ (this.#root.querySelector(`[data-key="${held}"]`))?.focus();
  }

  /** @param {Item} item @param {import("./run-state.js").RunState} run */
  #row(item, run) {
    const { state, problem, id, job } = item;
    const name = `${job.photo.name} × ${job.styles.map(({ picture }) => picture.name).join(" + ")}`;
    const { cancel, retry, open } = this.#actions;
    const make = (/** @type {string} */ text, /** @type {(item: Item) => void} */ act) =>
      button(text, () => act(item), { "aria-label": `${text}: ${name}`, "data-key": `${text}-${id}` });
    const actions = {
      waiting: [make("Cancel this", cancel)],
      running: [make("Cancel this", cancel)],
      done: [make("Show", open)],
      failed: isRunning(run) ? [] : [make("Try again", retry)],
      cancelled: isRunning(run) ? [] : [make("Try again", retry)],
    };
    return build(
      "li",
      { "data-state": state },
      build("span", { class: "queue-name" }, name),
      build("span", { class: "facts" }, problem || (state === "running" && run.isPaused ? "is paused" : STATES[state])),
      ...actions[state],
    );
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

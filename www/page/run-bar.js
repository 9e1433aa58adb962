// The bar that stays in view: go, pause, cancel, the progress, and the page's last message. It holds and shows a run's
// state (run-state.js).

import { button } from "../shared/dom.js";
import { foretold } from "../engine/pace.js";
import { formatTimeLeft } from "../shared/format.js";
import { titleProgress } from "./notify.js";
import { IDLE, cancelling, isRunning, noticed, offersOf, paused, resumed, said, titleOf } from "./run-state.js";

/**
 * @typedef {import("./run-state.js").RunState} RunState
 * @typedef {object} Actions
 * @property {() => void} cancel
 * @property {() => void} pause
 * @property {() => void} resume
 * @property {(item: import("./run-state.js").Item, change: import("../engine/recovery.js").Change) => void} take
 *   accepts an offer
 * @property {() => void} onChange the run starts, pauses, resumes or ends
 */

export class RunBar {
  #root;
  #actions;
  /** @type {RunState} */ #state = IDLE;

  /** @param {HTMLElement} root @param {Actions} actions */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
    this.#button("cancel").addEventListener("click", () => {
      this.change(cancelling);
      actions.cancel();
    });
    this.#button("pause").addEventListener("click", () => {
      const { isPaused } = this.#state;
      this.change(isPaused ? resumed : paused);
      if (isPaused) actions.resume();
      else actions.pause();
    });
  }

  get state() {
    return this.#state;
  }

  /**
   * Applies a transition to the state.
   * @template {unknown[]} What
   * @param {(state: RunState, ...what: What) => RunState} transition @param {What} what
   */
  change(transition, ...what) {
    const before = this.#state;
    this.#state = transition(before, ...what);
    if (this.#state === before) return;
    this.#render(before);
    const { stage, isPaused } = this.#state;
    if (stage !== before.stage || isPaused !== before.isPaused) this.#actions.onChange();
  }

  /** Puts a message into the live region. @param {string} text @param {"problem"} [tone] */
  say(text, tone) {
    this.change(said, text, tone);
  }

  /** Shows a notice: something unusual, but no failure. @param {string} sentence */
  notice(sentence) {
    this.change(noticed, sentence);
  }

  /**
   * Shows the forecast for the next run.
   * @param {import("../engine/pace.js").Forecast | null} forecast @param {number} count of results
   */
  foretell(forecast, count) {
    this.#part("estimate").textContent = forecast ? foretold(forecast, count) : "";
  }

  /** @param {RunState} before */
  #render(before) {
    const state = this.#state;
    const { stage, isPaused, canPause, progress, place, word } = state;
    if (isRunning(before) !== isRunning(state)) this.#renderRunning();
    this.#button("cancel").disabled = stage === "cancelling";
    this.#button("pause").disabled = !canPause;
    this.#button("pause").textContent = isPaused ? "Go on" : "Pause";
    const status = this.#part("status");
    if (status.textContent !== word.text) status.textContent = word.text;
    status.dataset.tone = word.tone ?? "plain";
    // Not in the live region: a screen reader would read every step aloud.
    const left = progress && progress.secondsLeft !== null ? formatTimeLeft(progress.secondsLeft) : "";
    this.#part("detail").textContent = progress ? [place, progress.detail, left].filter(Boolean).join(" · ") : "";
    if (!isRunning(state)) this.#bar.value = 0;
    else if (progress && progress.fraction !== null) this.#bar.value = progress.fraction;
    else this.#bar.removeAttribute("value");
    const { fraction, label } = titleOf(state);
    titleProgress(fraction, label);
    if (before.notices !== state.notices) this.#renderNotices();
    if (offersOf(before) !== offersOf(state)) this.#renderOffers();
  }

  #renderRunning() {
    const runs = isRunning(this.#state);
    const [go, cancel, pause] = ["go", "cancel", "pause"].map((id) => this.#button(id));
    const held = document.activeElement;
    go.hidden = runs;
    cancel.hidden = pause.hidden = !runs;
    cancel.disabled = false; // or it could not take the focus
    // If the focused button is now hidden, its counterpart gets the focus.
    if (held === go || held === cancel || held === pause) (runs ? cancel : go).focus({ preventScroll: true });
    this.#root.toggleAttribute("data-running", runs);
    this.#part("estimate").hidden = runs;
    this.#part("detail").hidden = !runs;
  }

  /** A screen reader reads each new line of the log once, so lines that stay are not replaced. */
  #renderNotices() {
    const { notices } = this.#state;
    const log = this.#part("notices");
    const lines = [...log.children];
    for (const line of lines) if (!notices.includes(line.textContent ?? "")) line.remove();
    const shown = lines.map(({ textContent }) => textContent);
    for (const notice of notices.filter((notice) => !shown.includes(notice))) {
      const line = document.createElement("p");
      line.textContent = notice;
      log.append(line);
    }
  }

  /** Buttons for the changes offered after a failure. */
  #renderOffers() {
    const { offers } = this.#state;
    const changes = offersOf(this.#state);
    const place = this.#part("offers");
    place.hidden = changes.length === 0;
    place.replaceChildren(
      ...changes.map((change) =>
        button(
          change.weights ? "Try with weights of 4 bits" : `Try at ${change.size} pixels`,
          () => offers && this.#actions.take(offers.item, change),
        ),
      ),
    );
  }

  get #bar() {
    return /** @type {HTMLProgressElement} */ (this.#part("bar"));
  }

  /** @param {string} id */
  #button(id) {
    return /** @type {HTMLButtonElement} */ (this.#part(id));
  }

  /** @param {string} id */
  #part(id) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`#${id}`));
  }
}

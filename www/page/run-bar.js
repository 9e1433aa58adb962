// The bar that goes with the person: go, pause, cancel, how far it is, and the page's last word.

import { button } from "../shared/dom.js";
import { foretold } from "../engine/pace.js";
import { formatTimeLeft } from "../shared/format.js";
import { titleProgress } from "./notify.js";

/** How many notices are shown; the oldest go first. */
const NOTICES = 4;

export class RunBar {
  #root;
  #isPaused = false;
  #pause;
  #resume;

  /** @param {HTMLElement} root @param {{ cancel: () => void, pause: () => void, resume: () => void }} options */
  constructor(root, { cancel, pause, resume }) {
    this.#root = root;
    this.#pause = pause;
    this.#resume = resume;
    this.#button("cancel").addEventListener("click", () => {
      this.#button("cancel").disabled = true;
      this.#button("pause").disabled = true;
      this.say("Cancelling.");
      cancel();
    });
    this.#button("pause").addEventListener("click", () => this.#setPaused(!this.#isPaused));
  }

  /** Says one thing in the live region. @param {string} text @param {"plain" | "problem"} [tone] */
  say(text, tone = "plain") {
    const status = this.#part("status");
    if (status.textContent !== text) status.textContent = text;
    status.dataset.tone = tone;
  }

  /** Shows something unusual that is no failure; being a log, the place is read out once per line. @param {string} sentence */
  notice(sentence) {
    const log = this.#part("notices");
    if ([...log.children].some(({ textContent }) => textContent === sentence)) return;
    const line = document.createElement("p");
    line.textContent = sentence;
    log.append(line);
    if (log.children.length > NOTICES) log.children[0].remove();
  }

  forgetNotices() {
    this.#part("notices").replaceChildren();
    this.offer([], () => {});
  }

  /**
   * Buttons for what the person may try after a failure.
   * @param {import("../engine/recovery.js").Change[]} changes @param {(change: import("../engine/recovery.js").Change) => void} take
   */
  offer(changes, take) {
    const place = this.#part("offers");
    place.hidden = changes.length === 0;
    place.replaceChildren(
      ...changes.map((change) =>
        button(change.weights ? "Try with weights of 4 bits" : `Try at ${change.size} pixels`, () => take(change)),
      ),
    );
  }

  /** @param {boolean} isRunning */
  setRunning(isRunning) {
    const [go, cancel, pause] = ["go", "cancel", "pause"].map((id) => this.#button(id));
    const held = document.activeElement;
    go.hidden = isRunning;
    cancel.hidden = pause.hidden = !isRunning;
    cancel.disabled = false;
    this.begin();
    // Whoever pressed a button that goes away is not left nowhere.
    if (held === go || held === cancel || held === pause) (isRunning ? cancel : go).focus({ preventScroll: true });
    this.#root.toggleAttribute("data-running", isRunning);
    this.#part("detail").textContent = "";
    this.#part("estimate").hidden = isRunning;
    this.#part("detail").hidden = !isRunning;
    if (isRunning) this.#bar.removeAttribute("value");
    else this.#bar.value = 0;
    titleProgress(null, isRunning ? "Starting" : "");
  }

  /** One result's turn: only its painting can be paused, not what comes before. */
  begin() {
    this.#isPaused = false;
    this.#button("pause").textContent = "Pause";
    this.#button("pause").disabled = true;
  }

  /**
   * @param {import("../engine/runner.js").State} state @param {import("../styleid.js").Phase} phase
   * @param {string} place of a queue, such as "2 of 4"; empty for a single run
   */
  show({ label, detail, fraction, secondsLeft }, phase, place) {
    if (this.#isPaused || this.#button("cancel").disabled) return;
    this.#button("pause").disabled = phase === "load";
    const left = secondsLeft === null ? "" : formatTimeLeft(secondsLeft);
    this.say(`${label}.`);
    // Not in the live region: a screen reader would read every step aloud.
    this.#part("detail").textContent = [place, detail, left].filter(Boolean).join(" · ");
    if (fraction === null) this.#bar.removeAttribute("value");
    else this.#bar.value = fraction;
    titleProgress(fraction, label);
  }

  /**
   * What going on from here will take.
   * @param {import("../engine/pace.js").Forecast | null} forecast @param {number} count of results
   */
  foretell(forecast, count) {
    this.#part("estimate").textContent = forecast ? foretold(forecast, count) : "";
  }

  /** @param {boolean} isPaused */
  #setPaused(isPaused) {
    this.#isPaused = isPaused;
    this.#button("pause").textContent = isPaused ? "Go on" : "Pause";
    if (isPaused) {
      this.#pause();
      this.say("Paused.");
      titleProgress(null, "Paused");
    } else {
      this.#resume();
      this.say("Going on.");
    }
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

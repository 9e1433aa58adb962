// A result's measures, when the person asks for them: how much of the photo is left in it, how near its paintings it came.

import { build } from "../shared/dom.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("./history.js").Entry} Entry
 * @typedef {import("../styleid.js").Measures} Measures
 * @typedef {object} Options
 * @property {(entry: Entry) => Promise<Measures>} measure
 * @property {(sentence: string) => void} say
 */

/** Every measure's number has as many digits, so that results can be compared at a glance. @param {number} value */
const digits = (value) => value.toFixed(3);

export class MeasuresView {
  /** @type {Entry | null} */ #entry = null;
  /** Those being measured. @type {Set<Entry>} */ #pending = new Set();
  /** Whether the person has asked: then every result shows its own, or that it has none yet. */ #isOpen = false;
  #root;
  #measure;
  #say;

  /** @param {HTMLElement} root holding the elements marked `data-part` @param {Options} options */
  constructor(root, { measure, say }) {
    this.#root = root;
    this.#measure = measure;
    this.#say = say;
    this.#part("measure").addEventListener("click", () => this.#entry && void this.#ask(this.#entry));
  }

  /** @param {Entry} entry */
  show(entry) {
    this.#entry = entry;
    this.#part("measures").hidden = !this.#isOpen;
    const { measures, styles } = entry;
    const open = this.#pending.has(entry) ? "…" : "–";
    this.#part("lpips").textContent = measures ? digits(measures.lpips) : open;
    for (const name of /** @type {const} */ (["styleDistance", "histogram"])) {
      const values = styles.map(({ picture }, i) => {
        const value = measures ? digits(measures.styles[i][name]) : open;
        const from = styles.length > 1 ? [build("small", {}, `from ${picture.name}`)] : [];
        return build("span", {}, value, ...from);
      });
      this.#part(name).replaceChildren(...values);
    }
  }

  /** @param {Entry} entry */
  async #ask(entry) {
    this.#isOpen = true;
    if (!entry.measures && !this.#pending.has(entry)) {
      this.#pending.add(entry);
      this.show(entry);
      this.#say("Measuring takes some seconds; the first time, 4.9 MB are fetched.");
      let problem = "";
      try {
        entry.measures = await this.#measure(entry);
      } catch (error) {
        problem = messageOf(error);
      }
      this.#pending.delete(entry);
      // The person may have gone on to another result.
      if (entry !== this.#entry) return;
      if (problem) this.#say(problem);
    }
    this.show(entry);
    if (entry.measures) this.#say(summary(entry.measures));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

/** One sentence for who does not see the figures. @param {Measures} measures */
function summary({ lpips, styles }) {
  const [{ styleDistance, histogram }] = styles;
  return styles.length > 1
    ? `Measured: LPIPS ${digits(lpips)}; the distances from ${styles.length} paintings are below.`
    : `Measured: LPIPS ${digits(lpips)}, style distance ${digits(styleDistance)}, colours ${digits(histogram)}.`;
}

// A result's measures, on request: how much of the photo is preserved, and how close it is to its paintings.

import { build } from "../shared/dom.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("./history.js").Entry} Entry
 * @typedef {import("../styleid.js").Measures} Measures
 * @typedef {object} Options
 * @property {(entry: Entry) => Promise<Measures>} measure
 * @property {(sentence: string) => void} say
 */

/** A fixed number of decimals, so that results can be compared at a glance. @param {number} value */
const digits = (value) => value.toFixed(3);

export class MeasuresView {
  /** @type {Entry | null} */ #entry = null;
  /** Entries being measured. @type {Set<Entry>} */ #pending = new Set();
  /** Whether measures have been requested: then every result shows its own, or a placeholder. */ #isOpen = false;
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
      // Another result may be shown by now.
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

/** The figures as one sentence for screen readers. @param {Measures} measures */
function summary({ lpips, styles }) {
  const [{ styleDistance, histogram }] = styles;
  return styles.length > 1
    ? `Measured: LPIPS ${digits(lpips)}; the distances from ${styles.length} paintings are below.`
    : `Measured: LPIPS ${digits(lpips)}, style distance ${digits(styleDistance)}, colours ${digits(histogram)}.`;
}

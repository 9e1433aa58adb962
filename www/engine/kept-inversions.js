// What the engine still has of the last run, so that the page can say beforehand what a change will cost. The crate decides
// what it re-uses; this follows its rules: an inversion serves again for the same picture, model, size, version, steps and
// seed, if all layers wanted are among those it was made with, and a photo's with its keys and values if these have a share. A painting of which nothing is needed is not inverted; one that was
// inverted before is kept.

import { needsStyle, stepsOf } from "./presets.js";

/**
 * @typedef {import("./presets.js").Options} Options
 * @typedef {{ model: string, options: Options, layers: number[], photo: string, styles: string[] }} Run `model`, `photo`, `styles`
 *   tell theirs apart, crops included; `layers` are those that are injected
 */

/** What an inversion depends on beside its picture and layers. @param {Run} run */
const basis = ({ model, options }) => {
  const { preset, vaeSample, size, keepAspect } = options;
  return JSON.stringify([model, preset, stepsOf(options), vaeSample, size, keepAspect]);
};

/** Whether a run needs the photo's own keys and values. @param {Run} run */
const sharesContent = ({ options, layers }) => options.contentShare > 0 && layers.length > 0;

export class KeptInversions {
  /** @type {Run | null} */ #last = null;
  /** Whether the photo is kept with its keys and values. */ #hasKeys = false;

  /** A run has succeeded. @param {Run} run */
  note(run) {
    // An inversion that was re-used keeps the layers that it was made with.
    const kept = this.#last && this.#serves(run) ? this.#last : null;
    this.#hasKeys = sharesContent(run) || (this.#hasKeys && this.of(run).photoKept);
    const isThere = (/** @type {string} */ style) =>
      needsStyle(run.options, run.layers) || kept?.styles.includes(style);
    this.#last = {
      ...run,
      layers: [...new Set([...run.layers, ...(kept?.layers ?? [])])],
      styles: run.styles.filter(isThere),
    };
  }

  /** The engine began anew. */
  forget() {
    this.#last = null;
  }

  /** What will be there is foretold with a copy. */
  copy() {
    const copy = new KeptInversions();
    copy.#last = this.#last;
    copy.#hasKeys = this.#hasKeys;
    return copy;
  }

  get hasAny() {
    return this.#last !== null;
  }

  /** What a run could re-use. @param {Run} run @returns {{ photoKept: boolean, newStyles: number }} */
  of(run) {
    const serves = this.#serves(run);
    const kept = serves && this.#last ? this.#last.styles : [];
    const hasKeys = this.#hasKeys || !sharesContent(run);
    return {
      photoKept: serves && hasKeys && this.#last?.photo === run.photo,
      newStyles: needsStyle(run.options, run.layers) ? run.styles.filter((style) => !kept.includes(style)).length : 0,
    };
  }

  /** @param {Run} run */
  #serves(run) {
    if (!this.#last || basis(this.#last) !== basis(run)) return false;
    const had = this.#last.layers;
    return run.layers.every((layer) => had.includes(layer));
  }
}

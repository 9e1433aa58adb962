// Mirrors which inversions the crate has cached, so that the page can predict the cost of a change. The crate decides
// what it reuses, and this model follows its rules. An inversion is reused for the same picture, model, size, version,
// steps and seed, if it was made with all layers wanted. A photo's inversion also needs its keys and values if the
// content share is above 0. A painting that a run does not need is not inverted, but its earlier inversion is kept.

import { needsStyle, stepsOf } from "./presets.js";

/**
 * @typedef {import("./presets.js").Options} Options
 * @typedef {{ model: string, options: Options, layers: number[], photo: string, styles: string[] }} Run `model`,
 *   `photo` and `styles` are identities, crops included; `layers` are the injected ones
 */

/** What an inversion depends on in addition to its picture and layers. @param {Run} run */
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
    // A reused inversion keeps the layers that it was made with.
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

  /** The engine has lost its inversions. */
  forget() {
    this.#last = null;
  }

  /** A copy, for predicting the state after several runs. */
  copy() {
    const copy = new KeptInversions();
    copy.#last = this.#last;
    copy.#hasKeys = this.#hasKeys;
    return copy;
  }

  get hasAny() {
    return this.#last !== null;
  }

  /** What a run can reuse. @param {Run} run @returns {{ photoKept: boolean, newStyles: number }} */
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

// Which model to use on this computer, and each model's time per picture.

import { isSmall, recommended } from "../engine/models.js";
import { approximately } from "../engine/pace.js";
import { defaultsOf } from "../engine/presets.js";
import { stepUp, stepUpSentence } from "./step-up.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {import("./doors.js").Computer} Computer
 * @typedef {object} Parts
 * @property {import("../forms/model-form.js").ModelForm} modelForm
 * @property {import("../forms/settings.js").Settings} settings
 * @property {import("../engine/runner.js").Runner} runner
 * @property {import("../forms/gpu-form.js").GpuForm} gpu
 */

export class Advice {
  #parts;
  /** The computer, once examined. @type {Computer | null} */ #computer = null;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * A model's time per picture on this computer, in words; empty before anything was measured.
   * @param {Model} model @param {import("../engine/presets.js").Options} [settled] settings; by default the form's for
   *   the selected model, and a model's own for others
   */
  timeOf(model, settled) {
    const { modelForm, settings, runner } = this.#parts;
    const isSelected = modelForm.selected?.id === model.id;
    const options = settled ?? (isSelected ? settings.read() : defaultsOf(model.look));
    const weights = isSelected ? modelForm.weights : model.weights;
    const found = runner.aPicture(model, { ...modelForm.options(model), weights }, options);
    return found ? approximately(found) : "";
  }

  /**
   * Marks the model that suits this computer and the GPU memory budget.
   * @param {Computer | null} [computer] as examined
   */
  recommend(computer = this.#computer) {
    this.#computer = computer;
    if (computer) this.#parts.modelForm.recommend(this.#suited);
  }

  /**
   * The full model to offer after the demonstration model, with a sentence; null for other models.
   * @param {Model} model
   */
  stepUp(model) {
    const { modelForm, settings } = this.#parts;
    const next = isSmall(model) ? stepUp(modelForm.models, this.#suited) : null;
    if (!next) return null;
    const isKept = modelForm.copyOf(next, next.weights)?.complete ?? false;
    const options = { ...settings.read(), size: null };
    return { next, sentence: stepUpSentence(next, this.timeOf(next, options), isKept) };
  }

  get #suited() {
    const { modelForm, gpu } = this.#parts;
    const device = this.#computer && { ...this.#computer, gpuBytes: gpu.options.gpuBytes ?? null };
    return device && recommended(modelForm.models, device);
  }
}

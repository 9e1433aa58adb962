// What the user allows on this visit: large downloads, and large models on the processor.

import { needsConsent, partsOf } from "../engine/models.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {import("../styleid.js").WeightType} WeightType
 * @typedef {object} Parts
 * @property {import("./consent.js").Consent} consent
 * @property {import("./waiting.js").Waiting} waiting
 * @property {string | null} hub
 * @property {() => Promise<import("./consent.js").Room>} room refreshes the list of kept models, and gives the storage
 * @property {(model: Model, weights: WeightType) => import("../styleid.js").KeptModel | null} copyOf the model's kept copy
 */

export class Permission {
  #parts;
  /** Downloads that the user has agreed to. @type {Set<string>} */ #agreed = new Set();
  /** Ids of models that may run on the processor. @type {Set<string>} */ #patient = new Set();

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * Whether the model may be loaded: large downloads need the user's consent.
   * @param {Model} model @param {import("../styleid.js").ModelOptions} loading
   */
  async mayLoad(model, { weights }) {
    const { consent, hub, copyOf } = this.#parts;
    const room = await this.#parts.room();
    const partial = copyOf(model, weights);
    const download = [hub, ...partsOf(model).map(({ source }) => source), weights].join(" ");
    if (!needsConsent(model, partial) || this.#agreed.has(download)) return true;
    if (!(await consent.ask(model, { weights, hub, partial, room }))) return false;
    this.#agreed.add(download);
    // Workers cannot request persistent storage. The download does not depend on the answer, so nothing waits for it.
    void navigator.storage?.persist?.().catch(() => false);
    return true;
  }

  /**
   * Whether a large model may take so long on the processor.
   * @param {Model} model @param {number | null} seconds a picture
   */
  async mayTake(model, seconds) {
    if (this.#patient.has(model.id)) return true;
    if (!(await this.#parts.waiting.ask(model, seconds))) return false;
    this.#patient.add(model.id);
    return true;
  }
}

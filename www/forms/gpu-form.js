// The GPU settings: memory budget and precision of a run. They are stored for the next visit but not put in links,
// because other computers have other GPUs.

/** @typedef {Pick<import("../styleid.js").ModelOptions, "gpuBytes" | "halfPrecision">} GpuOptions */

const KEY = "styleid-gpu";

export class GpuForm {
  #memory;
  #half;
  #note;
  /** Whether the GPU has `shader-f16`; null until it has been queried. @type {boolean | null} */
  #hasHalf = null;

  /**
   * @param {HTMLElement} root holding the elements marked `data-part`
   * @param {{ onChange: () => void }} options
   */
  constructor(root, { onChange }) {
    const part = (/** @type {string} */ name) => root.querySelector(`[data-part=${name}]`);
    this.#memory = /** @type {HTMLSelectElement} */ (part("memory"));
    this.#half = /** @type {HTMLInputElement} */ (part("half"));
    this.#note = /** @type {HTMLElement} */ (part("half-note"));
    this.#restore();
    for (const field of [this.#memory, this.#half]) {
      field.addEventListener("change", () => {
        this.#keep();
        onChange();
      });
    }
  }

  /** Takes the GPU's features. @param {Iterable<string>} features empty without a GPU */
  setFeatures(features) {
    this.#hasHalf = new Set(features).has("shader-f16");
    this.#half.disabled = !this.#hasHalf;
    if (!this.#hasHalf) this.#note.textContent = "This GPU does not compute in half precision.";
  }

  /** @returns {GpuOptions} */
  get options() {
    const gigabytes = Number(this.#memory.value);
    return {
      gpuBytes: gigabytes > 0 ? gigabytes * 2 ** 30 : null,
      halfPrecision: this.#half.checked && this.#hasHalf === true,
    };
  }

  #restore() {
    try {
      // If a browser forbids storage, even accessing `localStorage` throws.
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      const offered = [...this.#memory.options].map(({ value }) => value);
      if (offered.includes(kept.memory)) this.#memory.value = kept.memory;
      this.#half.checked = kept.half === true;
    } catch {
      // no storage, or not our data
    }
  }

  #keep() {
    try {
      const kept = JSON.stringify({ memory: this.#memory.value, half: this.#half.checked });
      localStorage.setItem(KEY, kept);
    } catch {
      // A private window, or no space: it applies to this visit only.
    }
  }
}

// What a run computes on, and the GPU settings: memory budget and precision. They are stored for the next visit; links
// take only the device, because other computers have other GPUs.

import { DEVICE_CHOICES } from "../engine/adapter.js";

/**
 * @typedef {Pick<import("../styleid.js").ModelOptions, "gpuBytes" | "halfPrecision">} GpuOptions
 * @typedef {import("../engine/adapter.js").DeviceChoice} DeviceChoice
 */

const KEY = "styleid-gpu";

export class GpuForm {
  #device;
  #memory;
  #half;
  #note;
  #onChange;
  /** Whether the GPU has `shader-f16`; null until it has been queried. @type {boolean | null} */
  #hasHalf = null;

  /**
   * @param {HTMLElement} root holding the elements marked `data-part`
   * @param {{ device?: DeviceChoice, onChange: () => void }} options `device`: for this visit, whatever was stored
   */
  constructor(root, { device, onChange }) {
    const part = (/** @type {string} */ name) => root.querySelector(`[data-part=${name}]`);
    this.#device = /** @type {HTMLSelectElement} */ (part("device"));
    this.#memory = /** @type {HTMLSelectElement} */ (part("memory"));
    this.#half = /** @type {HTMLInputElement} */ (part("half"));
    this.#note = /** @type {HTMLElement} */ (part("half-note"));
    this.#onChange = onChange;
    this.#restore();
    if (device) this.#device.value = device;
    for (const field of [this.#device, this.#memory, this.#half]) {
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

  /** What to compute on. */
  get device() {
    return /** @type {DeviceChoice} */ (this.#device.value);
  }

  /** Sets the device for this visit, as a link asks for it. @param {DeviceChoice} choice */
  setDevice(choice) {
    this.#device.value = choice;
    this.#onChange();
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
      if (DEVICE_CHOICES.includes(kept.device)) this.#device.value = kept.device;
    } catch {
      // no storage, or not our data
    }
  }

  #keep() {
    try {
      const kept = JSON.stringify({ device: this.device, memory: this.#memory.value, half: this.#half.checked });
      localStorage.setItem(KEY, kept);
    } catch {
      // A private window, or no space: it applies to this visit only.
    }
  }
}

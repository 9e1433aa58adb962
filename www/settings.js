// The parameters form: what the presets stand for, and reading the form as the engine's options.

/** @typedef {import("./styleid.js").Options} Options */

/** What an empty field means: shown as placeholder, never sent, so that the crate stays the one place that decides. */
const PRESETS = {
  diffusers: { steps: 20, layers: [7, 8, 9, 10, 11] },
  ldm: { steps: 50, layers: [6, 7, 8, 9, 10, 11] },
};

/** Decoder layers of the family that have self-attention; a loaded model may have fewer. */
const LAYERS = [3, 4, 5, 6, 7, 8, 9, 10, 11];

export class Settings {
  #form;
  #layers;
  #ownLayers = false;

  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.#form = form;
    this.#layers = LAYERS.map((layer) => {
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", name: "layers", value: String(layer) });
      const label = document.createElement("label");
      label.append(box, ` ${layer}`);
      form.querySelector("[data-part=layers]")?.append(label);
      box.addEventListener("input", () => (this.#ownLayers = true)); // before the form hears of it
      return box;
    });
    form.addEventListener("reset", () => {
      this.#ownLayers = false;
      setTimeout(() => this.#refresh()); // the fields take their values only after this event
    });
    form.addEventListener("input", () => this.#refresh());
    this.#refresh();
  }

  /** Greys out the layers that the loaded model does not have. @param {number[]} layers */
  setAvailableLayers(layers) {
    for (const box of this.#layers) box.disabled = !layers.includes(Number(box.value));
  }

  /** The first wrong field as one sentence, and the focus on it; null where all are well. @returns {string | null} */
  problem() {
    const field = /** @type {HTMLInputElement | null} */ (this.#form.querySelector("input:invalid"));
    if (!field) return null;
    field.closest("details")?.setAttribute("open", "");
    field.focus();
    return field.title;
  }

  /** @returns {Options} */
  read() {
    const layers = this.#layers.filter((box) => box.checked && !box.disabled).map((box) => Number(box.value));
    const size = this.#field("size").value;
    return {
      preset: this.#preset(),
      steps: this.#number("steps"),
      gamma: this.#number("gamma") ?? 0.75,
      temperature: this.#number("temperature") ?? 1.5,
      layers: this.#ownLayers ? layers : null,
      size: size === "native" ? null : size === "keep" ? "keep" : Number(size),
      initAdain: /** @type {HTMLInputElement} */ (this.#field("initAdain")).checked,
      attnInjection: /** @type {HTMLInputElement} */ (this.#field("attnInjection")).checked,
      vaeSample: this.#number("vaeSample"),
    };
  }

  #refresh() {
    const preset = PRESETS[this.#preset()];
    /** @type {HTMLInputElement} */ (this.#field("steps")).placeholder = String(preset.steps);
    if (!this.#ownLayers) {
      for (const box of this.#layers) box.checked = preset.layers.includes(Number(box.value));
    }
    const output = /** @type {HTMLOutputElement} */ (this.#form.querySelector("output[name=gammaValue]"));
    output.value = Number(this.#field("gamma").value).toFixed(2);
  }

  #preset() {
    return /** @type {NonNullable<Options["preset"]>} */ (this.#field("preset").value);
  }

  /** @param {string} name @returns {number | null} null where the field is empty */
  #number(name) {
    const { value } = this.#field(name);
    return value === "" ? null : Number(value);
  }

  /** @param {string} name */
  #field(name) {
    return /** @type {HTMLInputElement | HTMLSelectElement} */ (this.#form.elements.namedItem(name));
  }
}

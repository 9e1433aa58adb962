// The parameters form: the engine's options into its fields and out of them, the presets, and what depends on what.

import { curvePoints, drawCurve } from "./curve.js";
import { DEFAULTS, LAYERS, PRESETS, VERSIONS, lookOf, presetOf, stepsOf, usualLayers } from "../engine/presets.js";

/** @typedef {import("../engine/presets.js").Options} Options @typedef {import("../styleid.js").Curve} Curve */

/** The most steps that a drawing of a curve marks. */
const MOST_DRAWN = 50;
/** What the layers do, in chips of their own group. @type {[name: string, layers: number[]][]} */
const LAYER_GROUPS = [
  ["Shapes", [3, 4, 5]],
  ["Forms and strokes", [6, 7, 8]],
  ["Texture", [9, 10, 11]],
];

export class Settings {
  #form;
  /** @type {HTMLInputElement[]} */ #layers = [];
  /** @type {Map<number, HTMLInputElement>} */ #layerGammas = new Map();
  #ownLayers = false;
  /** The model's choice. @type {number[] | null} */ #modelLayers = null;

  /** @param {HTMLFormElement} form holding the elements marked `data-part` */
  constructor(form) {
    this.#form = form;
    this.#part("presets").append(...PRESETS.map(presetChip));
    this.#part("layers").append(...LAYER_GROUPS.map(([name, layers]) => this.#layerGroup(name, layers)));
    this.#part("layer-gammas").append(...LAYERS.map((layer) => this.#layerGamma(layer)));
    for (const chip of form.querySelectorAll("input[name=look]")) {
      chip.addEventListener("input", () => this.#choosePreset(/** @type {HTMLInputElement} */ (chip).value));
    }
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.write(DEFAULTS);
    });
    form.addEventListener("input", () => this.#refresh());
    this.write(DEFAULTS);
  }

  /**
   * Greys out the layers that the model does not have, and ticks those that it has chosen itself.
   * @param {Pick<import("../styleid.js").ModelInfo, "layers" | "injectionLayers">} info
   */
  setModel({ layers, injectionLayers }) {
    this.#modelLayers = injectionLayers;
    for (const box of this.#layers) box.disabled = !layers.includes(Number(box.value));
    this.#refresh();
  }

  /** The first wrong field as one sentence, and the focus on it; null where all are well. @returns {string | null} */
  problem() {
    const field = /** @type {HTMLInputElement | null} */ (this.#form.querySelector("input:invalid"));
    if (!field) return null;
    for (let fold = field.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) {
      fold.open = true;
    }
    field.focus();
    return field.title;
  }

  /** @returns {Options} */
  read() {
    const size = this.#field("size").value;
    const ownGammas = this.#isChecked("ownGammas");
    const gammas = this.#activeLayers().map((layer) => [layer, Number(this.#layerGammas.get(layer)?.value)]);
    return {
      preset: this.#version(),
      steps: this.#number("steps"),
      layers: this.#ownLayers ? this.#activeLayers() : null,
      initAdain: this.#isChecked("initAdain"),
      attnInjection: this.#isChecked("attnInjection"),
      vaeSample: this.#number("vaeSample"),
      gamma: this.#number("gamma") ?? DEFAULTS.gamma,
      gammaCurve: this.#curve("gamma"),
      gammaByLayer: ownGammas && gammas.length > 0 ? Object.fromEntries(gammas) : null,
      temperature: this.#number("temperature") ?? DEFAULTS.temperature,
      temperatureCurve: this.#curve("temperature"),
      blend: /** @type {Options["blend"]} */ (this.#field("blend").value),
      keepColours: this.#isChecked("keepColours"),
      damping: this.#number("damping") ?? DEFAULTS.damping,
      size: size === "native" ? null : size === "keep" ? "keep" : Number(size),
      keepAspect: this.#isChecked("keepAspect"),
      previewEvery: DEFAULTS.previewEvery,
    };
  }

  /** @param {Partial<Options>} changes those not named are the defaults */
  write(changes) {
    /** @type {Options} */
    const options = { ...DEFAULTS, ...changes };
    /** @param {string} name @param {string | number | null} value */
    const set = (name, value) => (this.#field(name).value = String(value ?? ""));
    /** @param {string} name @param {boolean} value */
    const check = (name, value) => {
      /** @type {HTMLInputElement} */ (this.#field(name)).checked = value;
    };
    for (const name of /** @type {const} */ ([
      "preset",
      "steps",
      "vaeSample",
      "gamma",
      "temperature",
      "blend",
      "damping",
    ])) {
      set(name, options[name]);
    }
    for (const name of /** @type {const} */ (["initAdain", "attnInjection", "keepColours", "keepAspect"])) {
      check(name, options[name]);
    }
    this.#writeSize(options.size);
    for (const name of /** @type {const} */ (["gamma", "temperature"])) {
      const curve = options[`${name}Curve`];
      set(`${name}Curve`, curve?.curve ?? "constant");
      set(`${name}End`, curve?.end ?? (name === "gamma" ? 0.375 : 1));
    }
    this.#ownLayers = options.layers !== null;
    for (const box of this.#layers) if (options.layers) box.checked = options.layers.includes(Number(box.value));
    check("ownGammas", options.gammaByLayer !== null);
    for (const [layer, slider] of this.#layerGammas) {
      slider.value = String(options.gammaByLayer?.[layer] ?? options.gamma);
    }
    this.#refresh();
    this.#form.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** A size that the list lacks, as a link may name, is offered too. @param {Options["size"]} size */
  #writeSize(size) {
    const field = /** @type {HTMLSelectElement} */ (this.#field("size"));
    const value = size === null ? "native" : String(size);
    if (![...field.options].some((option) => option.value === value)) field.add(new Option(`${value} pixels`, value));
    field.value = value;
  }

  /** @param {string} id */
  #choosePreset(id) {
    const preset = PRESETS.find((each) => each.id === id);
    if (preset) this.write({ ...this.read(), ...lookOf(preset) });
  }

  #refresh() {
    const version = VERSIONS[this.#version()];
    /** @type {HTMLInputElement} */ (this.#field("steps")).placeholder = String(version.steps);
    if (!this.#ownLayers) {
      const usual = usualLayers(this.#version(), this.#modelLayers);
      for (const box of this.#layers) box.checked = usual.includes(Number(box.value));
    }
    for (const output of this.#form.querySelectorAll("output[for]")) {
      const { value } = /** @type {HTMLInputElement} */ (this.#form.querySelector(`#${output.getAttribute("for")}`));
      output.textContent = Number(value).toFixed(2);
    }
    const active = this.#activeLayers();
    for (const [layer, slider] of this.#layerGammas) {
      const row = /** @type {HTMLElement} */ (slider.closest("label"));
      row.hidden = !active.includes(layer);
    }
    this.#part("layer-gammas").hidden = !this.#isChecked("ownGammas");
    this.#showCurve("gamma", "γ");
    this.#showCurve("temperature", "T");

    const options = this.read();
    const preset = presetOf(options, this.#modelLayers);
    for (const chip of /** @type {NodeListOf<HTMLInputElement>} */ (this.#form.querySelectorAll("input[name=look]"))) {
      chip.checked = chip.value === preset?.id;
    }
    this.#part("preset-note").textContent = preset
      ? preset.note
      : "Your own settings. Choose a preset to go back to one of these.";
  }

  /** @param {"gamma" | "temperature"} name @param {string} symbol */
  #showCurve(name, symbol) {
    const curve = this.#curve(name);
    const place = this.#part(`${name}-end`);
    place.hidden = curve === null;
    if (!curve) return;
    const steps = Math.max(2, Math.min(stepsOf({ steps: this.#number("steps"), preset: this.#version() }), MOST_DRAWN));
    const points = curvePoints(curve, this.#number(name) ?? DEFAULTS[name], steps);
    drawCurve(/** @type {SVGSVGElement} */ (place.querySelector("svg")), { points, name: symbol });
  }

  /** @param {"gamma" | "temperature"} name @returns {Curve | null} */
  #curve(name) {
    const curve = /** @type {Curve["curve"]} */ (this.#field(`${name}Curve`).value);
    return curve === "constant" ? null : { curve, end: this.#number(`${name}End`) ?? 0 };
  }

  #activeLayers() {
    return this.#layers.filter((box) => box.checked && !box.disabled).map((box) => Number(box.value));
  }

  /** @param {string} name @param {number[]} layers */
  #layerGroup(name, layers) {
    const group = document.createElement("div");
    group.className = "chips";
    const title = document.createElement("span");
    title.className = "chips-title";
    title.textContent = `${layers[0]}–${layers[layers.length - 1]} ${name.toLowerCase()}`;
    group.append(title);
    for (const layer of layers) {
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", name: "layers", value: String(layer) });
      const label = document.createElement("label");
      label.className = "chip";
      label.title = name;
      label.append(box, ` ${layer}`);
      group.append(label);
      this.#layers.push(box);
      box.addEventListener("input", () => (this.#ownLayers = true)); // before the form hears of it
    }
    return group;
  }

  /** @param {number} layer */
  #layerGamma(layer) {
    const label = document.createElement("label");
    const slider = document.createElement("input");
    const id = `layer-gamma-${layer}`;
    label.htmlFor = id; // an output can have a label too, and comes first
    Object.assign(slider, { id, type: "range", min: "0", max: "1", step: "any", name: "layerGamma" });
    const output = document.createElement("output");
    output.htmlFor.add(id);
    label.append(`Layer ${layer}: `, output, slider);
    this.#layerGammas.set(layer, slider);
    return label;
  }

  #version() {
    return /** @type {Options["preset"]} */ (this.#field("preset").value);
  }

  /** @param {string} name */
  #isChecked(name) {
    return /** @type {HTMLInputElement} */ (this.#field(name)).checked;
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

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#form.querySelector(`[data-part=${name}]`));
  }
}

/** @param {import("../engine/presets.js").Preset} preset */
function presetChip({ id, name }) {
  const label = document.createElement("label");
  label.className = "chip";
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "look", value: id });
  label.append(radio, ` ${name}`);
  return label;
}

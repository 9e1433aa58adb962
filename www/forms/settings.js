// The parameters form: writes options to its fields and reads them back, applies presets, and updates dependent fields.

import { curvePoints, drawCurve } from "./curve.js";
import { waysOf } from "./ways.js";
import {
  DEFAULTS,
  PRESETS,
  STABLE_DIFFUSION,
  VERSIONS,
  defaultsOf,
  fitLayers,
  layersFor,
  layersOf,
  levelSize,
  lookOf,
  presetOf,
  settingsFor,
  stepsOf,
  usualLayers,
} from "../engine/presets.js";

/**
 * @typedef {import("../engine/presets.js").Decoder} Decoder
 * @typedef {import("../engine/presets.js").Options} Options
 * @typedef {import("../styleid.js").Curve} Curve
 * @typedef {import("../styleid.js").LevelInfo} LevelInfo
 */

/** The most steps in the plot of a curve. */
const MOST_DRAWN = 50;
/** What the decoder's levels determine, from the finest; the last entry is for all coarser ones. */
const DUTIES = ["texture", "strokes", "shapes"];

export class Settings {
  #form;
  /** A checkbox per layer of the model. @type {HTMLInputElement[]} */ #layers = [];
  /** @type {Map<number, HTMLInputElement>} */ #layerGammas = new Map();
  /** The decoder's levels, and where their sizes are shown. @type {[stride: number, place: HTMLElement][]} */ #levels =
    [];
  #model = STABLE_DIFFUSION;
  /** The preset that the model's list entry names, by id. @type {string | undefined} */ #look;
  /** The requested layers, whether the model has them or not; null for the default ones. @type {number[] | null} */
  #wanted = null;
  /** Start values of γ per layer, as last set. @type {Record<string, number>} */ #gammas = {};
  /** The requested layers that the model lacks, as a sentence. @type {string | null} */ #missing = null;
  /** Radio buttons of the presets: looks with pictures, then the named ones. @type {HTMLInputElement[]} */ #chips;
  #note;

  /**
   * @param {HTMLFormElement} form holding the elements marked `data-part`
   * @param {HTMLElement} looks holding the presets with a picture, and the note on the chosen one
   */
  constructor(form, looks) {
    this.#form = form;
    this.#note = /** @type {HTMLElement} */ (looks.querySelector("[data-part=preset-note]"));
    const pictured = [.../** @type {NodeListOf<HTMLInputElement>} */ (looks.querySelectorAll("input[name=look]"))];
    const named = PRESETS.filter(({ id }) => !pictured.some(({ value }) => value === id));
    this.#part("presets").append(...named.map(presetChip));
    const chips = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("input[name=named]"));
    this.#chips = [...pictured, ...chips];
    this.#makeLayers();
    for (const chip of this.#chips) chip.addEventListener("input", () => this.choose(chip.value));
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.write(defaultsOf(this.#look, this.#model));
    });
    form.addEventListener("input", () => this.#refresh());
    this.write(DEFAULTS);
  }

  /**
   * Shows a model's layers. Layers that a preset or the version chose are chosen again for this model; layer numbers
   * and looks that the user chose stay.
   * @param {Decoder} model @param {string} [look] the model's own look; undefined if it has none
   */
  chooseModel(model, look) {
    const options = settingsFor(
      { ...this.read(), layers: this.#wanted },
      { model: this.#model, look: this.#look },
      { model, look },
    );
    this.#show(model, options.layers);
    const isOther = look !== this.#look;
    this.#look = look;
    if (isOther) this.write(options);
  }

  /** Shows the layers of the same model once it is loaded and they are known. @param {Decoder} model */
  setModel(model) {
    this.#show(model, layersFor({ ...this.read(), layers: this.#wanted }, this.#model, model));
  }

  /** @param {Decoder} model @param {number[] | null} layers the requested ones */
  #show(model, layers) {
    const before = this.#model;
    this.#wanted = layers;
    this.#model = model;
    if (JSON.stringify(model.decoder) !== JSON.stringify(before.decoder)) this.#makeLayers();
    this.#refresh();
  }

  /** The requested layers that the model lacks, as a sentence; null if it has all. */
  get missing() {
    return this.#missing;
  }

  /** Focuses the first invalid field and returns its error sentence; null if all are valid. @returns {string | null} */
  problem() {
    const field = /** @type {HTMLInputElement | null} */ (this.#form.querySelector("input:invalid"));
    if (!field) return null;
    for (let fold = field.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) {
      fold.open = true;
    }
    field.focus();
    return field.title;
  }

  /** The id of the preset that is set; null for custom settings. */
  get preset() {
    return presetOf(this.read(), this.#model)?.id ?? null;
  }

  /** @returns {Options} */
  read() {
    const size = this.#field("size").value;
    const ownGammas = this.#isChecked("ownGammas");
    const gammas = this.#activeLayers().map((layer) => [layer, Number(this.#layerGammas.get(layer)?.value)]);
    return {
      preset: this.#version(),
      steps: this.#number("steps"),
      layers: this.#wanted && fitLayers({ layers: this.#wanted, gammaByLayer: null }, this.#model).options.layers,
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
      redraw: this.#number("redraw") ?? DEFAULTS.redraw,
      redrawBand: this.#number("redrawBand") ?? DEFAULTS.redrawBand,
      adainStrength: this.#number("adainStrength") ?? DEFAULTS.adainStrength,
      tone: this.#number("tone") ?? DEFAULTS.tone,
      texture: this.#number("texture") ?? DEFAULTS.texture,
      styleScale: this.#number("styleScale") ?? DEFAULTS.styleScale,
      contentShare: this.#number("contentShare") ?? DEFAULTS.contentShare,
      size: size === "native" ? null : size === "keep" ? "keep" : Number(size),
      keepAspect: this.#isChecked("keepAspect"),
      previewEvery: DEFAULTS.previewEvery,
    };
  }

  /** @param {Partial<Options>} changes options left out get their defaults */
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
      "redraw",
      "redrawBand",
      "adainStrength",
      "tone",
      "texture",
      "styleScale",
      "contentShare",
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
    this.#wanted = options.layers;
    check("ownGammas", options.gammaByLayer !== null);
    this.#gammas = { ...options.gammaByLayer };
    for (const [layer, slider] of this.#layerGammas) slider.value = String(this.#gammas[layer] ?? options.gamma);
    this.#refresh();
    this.#form.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** Adds a size that the list lacks, for example from a link. @param {Options["size"]} size */
  #writeSize(size) {
    const field = /** @type {HTMLSelectElement} */ (this.#field("size"));
    const value = size === null ? "native" : String(size);
    if (![...field.options].some((option) => option.value === value)) field.add(new Option(`${value} pixels`, value));
    field.value = value;
  }

  /** Applies a preset. @param {string} id */
  choose(id) {
    const preset = PRESETS.find((each) => each.id === id);
    if (preset) this.write({ ...this.read(), ...lookOf(preset, this.#model) });
  }

  #refresh() {
    const version = VERSIONS[this.#version()];
    Object.assign(this.#field("steps"), {
      placeholder: String(version.steps),
      min: String(version.leastSteps),
      title: `Steps must be a whole number from ${version.leastSteps} to 999: change it, or empty the field for the version's own.`,
    });
    this.#part("redraw-band").hidden = this.#number("redraw") === 0;
    this.#part("adain-strength").hidden = !this.#isChecked("initAdain");
    this.#showLayers();
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
    const preset = presetOf(options, this.#model);
    for (const chip of this.#chips) chip.checked = chip.value === preset?.id;
    const isPictured = this.#chips.some(({ name, checked }) => name === "look" && checked);
    const note = preset
      ? isPictured
        ? preset.note
        : `${preset.name}: ${preset.note}`
      : "Your own settings. Choose a look to go back to it.";
    if (this.#note.textContent !== note) this.#note.textContent = note;
  }

  /** @param {"gamma" | "temperature"} name @param {string} symbol */
  #showCurve(name, symbol) {
    const curve = this.#curve(name);
    const place = this.#part(`${name}-end`);
    place.hidden = curve === null;
    if (!curve) return;
    const preset = this.#version();
    const steps = Math.max(2, Math.min(stepsOf({ steps: this.#number("steps"), preset }), MOST_DRAWN));
    const points = curvePoints(curve, this.#number(name) ?? DEFAULTS[name], waysOf(preset, steps));
    drawCurve(/** @type {SVGSVGElement} */ (place.querySelector("svg")), { points, name: symbol });
  }

  /** @param {"gamma" | "temperature"} name @returns {Curve | null} */
  #curve(name) {
    const curve = /** @type {Curve["curve"]} */ (this.#field(`${name}Curve`).value);
    return curve === "constant" ? null : { curve, end: this.#number(`${name}End`) ?? 0 };
  }

  /** Ticks the layers that a run injects, and shows which requested ones are missing. */
  #showLayers() {
    const gammaByLayer = this.#isChecked("ownGammas") ? this.#gammas : null;
    const { options, problem } = fitLayers({ layers: this.#wanted, gammaByLayer }, this.#model);
    const ticked = options.layers ?? usualLayers(this.#version(), this.#model);
    for (const box of this.#layers) box.checked = ticked.includes(Number(box.value));
    this.#missing = problem;
    const place = this.#part("layers-missing");
    if (place.textContent !== (problem ?? "")) place.textContent = problem;

    const chosen = this.#field("size").value;
    const size = chosen === "native" ? this.#model.nativeSize : chosen === "keep" ? null : Number(chosen);
    for (const [stride, place] of this.#levels) place.textContent = levelSize(stride, size);
  }

  #activeLayers() {
    return this.#layers.filter((box) => box.checked).map((box) => Number(box.value));
  }

  /** Takes the ticked layers. While the layers are a guess, requested ones without a checkbox are kept. */
  #chooseLayers() {
    const shown = layersOf(this.#model);
    const unseen = this.#model.isGuess ? (this.#wanted ?? []).filter((layer) => !shown.includes(layer)) : [];
    this.#wanted = [...unseen, ...this.#activeLayers()].sort((a, b) => a - b);
  }

  /** Makes a checkbox and a γ slider for each of the model's layers. */
  #makeLayers() {
    const focused = this.#layers.find((box) => box === document.activeElement)?.value;
    this.#layers = [];
    this.#levels = [];
    this.#layerGammas.clear();
    const { decoder } = this.#model;
    const groups = decoder.map((level, index) => this.#layerGroup(level, DUTIES[decoder.length - 1 - index]));
    this.#part("layers").replaceChildren(...groups);
    this.#part("layer-gammas").replaceChildren(...layersOf(this.#model).map((layer) => this.#layerGamma(layer)));
    this.#layers.find((box) => box.value === focused)?.focus();
  }

  /** @param {LevelInfo} level @param {string} [duty] */
  #layerGroup({ stride, layers }, duty = DUTIES[DUTIES.length - 1]) {
    const group = document.createElement("div");
    group.className = "chips";
    const title = document.createElement("span");
    title.className = "chips-title";
    const size = document.createElement("span");
    this.#levels.push([stride, size]);
    title.append(size, `, ${duty}`);
    group.append(title);
    for (const layer of layers) {
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", name: "layers", value: String(layer) });
      const label = document.createElement("label");
      label.className = "chip";
      label.title = duty;
      label.append(box, ` ${layer}`);
      group.append(label);
      this.#layers.push(box);
      box.addEventListener("input", () => this.#chooseLayers()); // before the form's own listener
    }
    return group;
  }

  /** @param {number} layer */
  #layerGamma(layer) {
    const label = document.createElement("label");
    const slider = document.createElement("input");
    const id = `layer-gamma-${layer}`;
    label.htmlFor = id; // or the label would belong to the output, which is labelable and comes first
    Object.assign(slider, { id, type: "range", min: "0", max: "1", step: "any", name: "layerGamma" });
    slider.value = String(this.#gammas[layer] ?? this.#number("gamma") ?? DEFAULTS.gamma);
    slider.addEventListener("input", () => (this.#gammas[layer] = Number(slider.value)));
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

  /** @param {string} name @returns {number | null} null if the field is empty */
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
  Object.assign(radio, { type: "radio", name: "named", value: id });
  label.append(radio, ` ${name}`);
  return label;
}

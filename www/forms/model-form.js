// The model section: the model, the storage type of its weights, and ways to add a model that is not listed.

import { keptCopy } from "../engine/kept-key.js";
import {
  HUB,
  hostOf,
  identityOfParts,
  isWeights,
  namedModel,
  needsConsent,
  parseReference,
  pickedModel,
  sourcesOf,
} from "../engine/models.js";
import { chosenFiles } from "../engine/picked.js";
import { newTab } from "../shared/dom.js";
import { PartsForm } from "./parts-form.js";
import { formatBytes } from "../shared/format.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {import("../styleid.js").ModelInfo} ModelInfo
 * @typedef {import("../styleid.js").ModelOptions} ModelOptions
 * @typedef {import("../styleid.js").PickedFile} PickedFile
 * @typedef {import("../styleid.js").WeightType} WeightType
 */

/** @type {Record<WeightType, string>} */
const WEIGHT_NOTES = {
  exact: "The file's own values, nothing rounded: as much memory and disk as the file takes.",
  f32: "Full precision, 3.8 GB of memory and disk for Stable Diffusion: never better than the file is.",
  f16: "Half precision, 1.9 GB of memory and disk for Stable Diffusion: no difference to be seen.",
  q8: "A byte a weight, 1 GB of memory and disk for Stable Diffusion: hardly a difference to be seen.",
  q4: "Half a byte a weight, 0.5 GB of memory and disk for Stable Diffusion: the least there is, at some cost in detail.",
};

const PREDICTIONS = { epsilon: "the noise (ε)", v_prediction: "the velocity (v)" };

/** Display names of a model's parts. @type {Record<string, string>} */
const PARTS = { vae: "VAE", text_encoder: "text encoder" };

/**
 * A model's entry in the list.
 * @param {Model} model @param {boolean} isRecommended @param {string} [time] per picture, in words
 */
export function modelTitle({ name, bytes, place }, isRecommended, time = "") {
  const parts = [place === "files" ? `${name} (yours)` : name];
  if (place !== "files" && bytes !== null) parts.push(formatBytes(bytes));
  if (time) parts.push(time);
  if (isRecommended) parts.push("recommended");
  return parts.join(" · ");
}

/**
 * Facts shown before a model is loaded.
 * @param {Model} model @param {KeptModel | null} copy @param {string | null} hub
 */
export function modelFacts(model, copy, hub) {
  const { bytes, place, rest, vae } = model;
  const size = bytes === null ? "Size not known yet" : formatBytes(bytes);
  const onDisk = copy ? formatBytes(copy.bytes) : "";
  const licence = model.licence ? ` Licence: ${model.licence}.` : "";
  if (copy?.complete) return `On this computer, ${onDisk}: nothing is fetched.${licence}`;
  const others = `${rest ? ` The rest ${wayOf(rest, hub)}.` : ""}${vae ? ` The VAE ${wayOf(vae, hub)}.` : ""}`;
  const partly = copy ? ` Partly on this computer, ${onDisk}: loading goes on from there.` : "";
  if (place === "files")
    return `${size}, read from where it is${others ? "" : "; nothing is fetched"}.${others}${partly}`;
  if (place === "page" && !needsConsent({ ...model, rest: null, vae: null }, null))
    return `${size}, comes with this page.${others}${partly}${licence}`;
  return `${size}, fetched once from ${hostOf(model, hub)}.${others}${partly}${licence}`;
}

/** The selected model and its download. @param {Model} model @param {KeptModel | null} copy */
export function modelLine(model, copy) {
  const { name, bytes, place } = model;
  const size = bytes === null ? "a download of unknown size" : formatBytes(bytes);
  const isSmall = place === "page" && !needsConsent({ ...model, rest: null, vae: null }, null);
  const fetched = bytes === null ? size : isSmall ? `${size}, with this page` : `${size} to fetch, once`;
  return `${name} · ${copy?.complete ? "on this device already" : place === "files" ? "from your files" : fetched}`;
}

/** Where a part from another model comes from, in words. @param {Model} part @param {string | null} hub */
function wayOf(part, hub) {
  if (part.place === "files") return `is read from ${part.name}`;
  if (part.place === "page") return `comes with this page, from ${part.name}`;
  const size = part.bytes === null ? "its size not known yet" : `${formatBytes(part.bytes)} at most`;
  return `is fetched once from ${hostOf(part, hub)}, ${size}`;
}

export class ModelForm {
  /** @type {Model[]} */ models = [];
  /** @type {KeptModel[]} */ #kept = [];
  /** The id of the model that suits this computer. @type {string | null} */ #recommended = null;
  #root;
  #hub;
  #weights;
  #onSelect;
  #onChoose;
  #gpu;
  #parts;
  #timeOf;

  /**
   * @param {HTMLElement} root
   * @param {{ hub: string | null, weights: WeightType | null, gpu: import("./gpu-form.js").GpuForm,
   *   onSelect: (name: string) => void, onChoose: (model: Model) => void, timeOf: (model: Model) => string }} options
   *   `weights` overrides the models' own type; `onSelect` is called with models that the user added, `onChoose` with
   *   every newly selected model; `timeOf` gives a model's time per picture in words, empty if unknown
   */
  constructor(root, { hub, weights, gpu, onSelect, onChoose, timeOf }) {
    this.#root = root;
    this.#timeOf = timeOf;
    this.#hub = hub;
    this.#weights = weights;
    this.#onSelect = onSelect;
    this.#onChoose = onChoose;
    this.#gpu = gpu;
    this.#parts = new PartsForm(this.#part("parts"), { onChange: () => this.#describe() });
    this.#select("model").addEventListener("change", () => this.#choose());
    this.#select("weights").addEventListener("change", () => this.#describe());
    const reference = this.#input("reference");
    reference.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#name(reference.value);
    });
    this.#part("use").addEventListener("click", () => this.#name(reference.value));
    for (const id of ["model-file", "model-folder"]) {
      const input = this.#input(id);
      input.addEventListener("change", () => {
        const files = chosenFiles(input.files ?? []);
        input.value = ""; // so that choosing the same file again fires a change event
        if (files.length > 0) void this.take(files);
      });
    }
  }

  /** @param {Model[]} models @param {Model} selected */
  offer(models, selected) {
    this.models = models;
    this.#parts.offer(models);
    this.#select("model").replaceChildren(
      ...models.map((model) => new Option(this.#title(model), model.id, false, model.id === selected.id)),
    );
    this.#choose();
  }

  /** Marks the model that suits this computer. @param {Model | null} model */
  recommend(model) {
    this.#recommended = model?.id ?? null;
    this.retitle();
  }

  /** Updates the models' entries in the list, with their times per picture. */
  retitle() {
    const { options } = this.#select("model");
    for (const [i, each] of this.models.entries()) {
      const title = this.#title(each);
      if (options[i].textContent !== title) options[i].textContent = title;
    }
  }

  /** The selected model with its download, and its time per picture if known. */
  get line() {
    const { selected: model } = this;
    return model ? { what: modelLine(model, this.copyOf(model, this.weights)), time: this.#timeOf(model) } : null;
  }

  /**
   * Selects a model as in a link or an earlier result, with its parts from other models.
   * @param {Model} model @param {Pick<ModelOptions, "weights" | "prediction">} loading
   */
  select(model, { weights, prediction }) {
    const isOffered = this.models.some(({ id }) => id === model.id);
    this.offer(isOffered ? this.models : [...this.models, { ...model, rest: null, vae: null }], model);
    this.#parts.write({ rest: model.rest ?? null, vae: model.vae ?? null });
    this.#select("weights").value = weights;
    this.#select("prediction").value = prediction ?? "";
    this.#describe();
  }

  /** The selected model, with its parts from other models. @returns {Model | undefined} */
  get selected() {
    const model = this.models.find(({ id }) => id === this.#select("model").value);
    return model && { ...model, ...this.#parts.parts };
  }

  /** The form's first error, as a sentence; null if there is none. */
  problem() {
    return this.#parts.problem();
  }

  /** @returns {WeightType} */
  get weights() {
    return /** @type {WeightType} */ (this.#select("weights").value);
  }

  /** The cached copy of a model, complete or partial. @param {Model} model @param {WeightType} weights */
  copyOf(model, weights) {
    return keptCopy(model, weights, this.#kept, this.#hub);
  }

  /** The user's choice of what the UNet predicts; null for the default. */
  get chosenPrediction() {
    return /** @type {ModelOptions["prediction"] | ""} */ (this.#select("prediction").value) || null;
  }

  /** The options to load a model as set in the form. @param {Model} model @returns {ModelOptions} */
  options(model) {
    return {
      ...sourcesOf(model),
      weights: this.weights,
      prediction: this.chosenPrediction ?? this.#listedPrediction(model),
      hub: this.#hub,
      ...this.#gpu.options,
    };
  }

  /** What runs compute on. */
  get device() {
    return this.#gpu.device;
  }

  /** @param {KeptModel[]} kept */
  setKept(kept) {
    this.#kept = kept;
    this.#describe();
  }

  /** @param {Model} model @param {ModelInfo} info */
  showLoaded(model, { name, taken, version, prediction, predictionBy, parameters, bytes }) {
    if (!this.selected || identityOfParts(this.selected) !== identityOfParts(model)) return;
    const kind = version === "unconditional" ? "without a text encoder" : `Stable Diffusion ${version}`;
    const millions = (parameters / 1e6).toFixed(parameters < 1e7 ? 1 : 0);
    const parts = Object.entries(taken).map(([part, from]) => `, ${PARTS[part] ?? part} of ${from}`);
    this.#part("model-note").textContent =
      `${name}, ${kind}${parts.join("")}: ${millions} million parameters, ${formatBytes(bytes)}, loaded.`;
    const isListed = !this.#select("prediction").value && this.#listedPrediction(model) !== null;
    this.#part("prediction-note").textContent =
      `The loaded model predicts ${PREDICTIONS[prediction]}: ${isListed ? "this page's list says so" : predictionBy}.`;
  }

  /** Adds and selects the model in picked or dropped files. @param {PickedFile[] | Promise<PickedFile[]>} files */
  async take(files) {
    this.#complain("");
    try {
      this.#add(pickedModel(await files));
    } catch (error) {
      this.#complain(messageOf(error));
    }
  }

  /** @param {Model} model */
  #title(model) {
    return modelTitle(model, model.id === this.#recommended, this.#timeOf(model));
  }

  /** @param {string} text */
  #name(text) {
    const model = namedModel(text, document.baseURI);
    if (model) {
      this.#complain("");
      this.#add(this.models.find(({ id }) => id === model.id) ?? model);
    } else {
      const given = text.trim() ? `“${text.trim()}” names no model` : "No model is named";
      this.#complain(
        `${given}: give owner/repository as on ${new URL(HUB).host}, with @revision and /file if need be, or an address that starts with https://.`,
      );
      this.#input("reference").focus();
    }
  }

  /** @param {Model} model */
  #add(model) {
    this.offer([...this.models.filter(({ id }) => id !== model.id), model], model);
    this.#onSelect(model.name);
  }

  /** @param {string} sentence */
  #complain(sentence) {
    this.#part("own-problem").textContent = sentence;
    if (sentence) for (const fold of [this.#root, this.#part("own")]) fold.setAttribute("open", "");
  }

  #choose() {
    const model = this.selected;
    if (model) this.#select("weights").value = this.#weights ?? model.weights;
    this.#select("prediction").value = "";
    this.#parts.write({ rest: null, vae: null });
    this.#part("prediction-note").textContent =
      "Only for files that do not say it, or say it wrongly: with the wrong one, results are noise.";
    this.#part("model-note").textContent = model?.note ?? "";
    this.#describe();
    if (model) this.#onChoose(model);
  }

  #describe() {
    const { selected: model, weights } = this;
    this.#part("weights-note").textContent = WEIGHT_NOTES[weights];
    const facts = model ? modelFacts(model, this.copyOf(model, weights), this.#hub) : "";
    const text = model?.licenceText ? [" ", newTab(model.licenceText, "Text of the licence")] : [];
    this.#part("model-facts").replaceChildren(facts, ...text);
  }

  /** The list's prediction type for a single weights file, which does not record it. @param {Model} model */
  #listedPrediction({ source, prediction }) {
    const reference = parseReference(source);
    return reference && "path" in reference && isWeights(reference.path) ? prediction : null;
  }

  /** @param {string} id */
  #part(id) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`#${id}`));
  }

  /** @param {string} id */
  #select(id) {
    return /** @type {HTMLSelectElement} */ (this.#part(id));
  }

  /** @param {string} id */
  #input(id) {
    return /** @type {HTMLInputElement} */ (this.#part(id));
  }
}

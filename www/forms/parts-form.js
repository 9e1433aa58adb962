// The parts that a model takes from other models: another VAE, and everything that a lone UNet lacks.

import { listedOrNamed, pickedModel } from "../engine/models.js";
import { chosenFiles } from "../engine/picked.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {{ rest: Model | null, vae: Model | null }} Parts
 */

/** Value of the select's option for a model that is not listed. */
const OTHER = "other";

export class PartsForm {
  #root;
  #onChange;
  /** @type {Model[]} */ #models = [];
  /** Picked files of a VAE, while the field shows their name. @type {Model | null} */ #picked = null;

  /** @param {HTMLElement} root @param {{ onChange: () => void }} options */
  constructor(root, { onChange }) {
    this.#root = root;
    this.#onChange = onChange;
    this.#input("own-vae").addEventListener("change", () => {
      this.#picked = null;
      this.#changed();
    });
    this.#input("rest-reference").addEventListener("change", () => this.#changed());
    this.#rest.addEventListener("change", () => {
      this.#changed();
      if (this.#rest.value === OTHER) this.#input("rest-reference").focus();
    });
    for (const id of ["own-vae-file", "own-vae-folder"]) {
      const input = this.#input(id);
      input.addEventListener("change", () => {
        const files = chosenFiles(input.files ?? []);
        input.value = ""; // so that choosing the same file again fires a change event
        if (files.length > 0) this.#take(files);
      });
    }
  }

  /** @param {Model[]} models from which a VAE or the rest can be taken by id */
  offer(models) {
    this.#models = models;
    const { value } = this.#rest;
    const [none, other] = [this.#rest.options[0], this.#rest.options[this.#rest.options.length - 1]];
    // Only models of the page's list: they are complete, and their size is known.
    const whole = models.filter(({ place, bytes }) => place === "hub" && bytes !== null);
    const listed = whole.map(({ id, name }) => new Option(name, id));
    this.#rest.replaceChildren(none, ...listed, other);
    this.#rest.value = value;
    if (this.#rest.selectedIndex < 0) this.#rest.value = "";
  }

  /** The parts that are set; an invalid name gives null, see `problem`. @returns {Parts} */
  get parts() {
    const { value } = this.#rest;
    const named = value === OTHER ? this.#input("rest-reference").value : value;
    return { rest: this.#named(named), vae: this.#picked ?? this.#named(this.#input("own-vae").value) };
  }

  /** @param {Parts} parts */
  write({ rest, vae }) {
    this.#picked = vae?.picked ? vae : null;
    this.#input("own-vae").value = vae?.picked ? vae.name : (vae?.id ?? "");
    const isListed = rest !== null && Array.from(this.#rest.options).some(({ value }) => value === rest.id);
    this.#rest.value = rest === null ? "" : isListed ? rest.id : OTHER;
    this.#input("rest-reference").value = rest === null || isListed ? "" : rest.id;
    if (rest || vae) this.#root.setAttribute("open", "");
    this.#show();
  }

  /** The first invalid name, as a sentence; null if there is none. */
  problem() {
    const { rest, vae } = this.parts;
    const how = "give owner/repository, an address that starts with https://, or a model's id";
    const text = this.#input("own-vae").value.trim();
    if (text && !vae) return `“${text}” names no VAE: ${how}, or choose its files.`;
    if (!this.#rest.value || rest) return null;
    const named = this.#input("rest-reference").value.trim();
    return named
      ? `“${named}” names no model to take the rest from: ${how}.`
      : `No model is named to take the rest from: ${how}.`;
  }

  /** @param {import("../styleid.js").PickedFile[]} files */
  #take(files) {
    try {
      this.#picked = pickedModel(files, "VAE");
    } catch (error) {
      this.#part("parts-problem").textContent = messageOf(error);
      return;
    }
    this.#input("own-vae").value = this.#picked.name;
    this.#changed();
  }

  #changed() {
    this.#show();
    // A field that has just appeared is not an error yet.
    const isNew = this.#rest.value === OTHER && !this.#input("rest-reference").value;
    this.#part("parts-problem").textContent = isNew ? "" : (this.problem() ?? "");
    this.#onChange();
  }

  #show() {
    this.#part("rest-named").hidden = this.#rest.value !== OTHER;
    this.#part("parts-problem").textContent = "";
  }

  /** @param {string} text @returns {Model | null} */
  #named(text) {
    const model = text.trim() ? listedOrNamed(this.#models, text, document.baseURI) : null;
    return model && { ...model, rest: null, vae: null };
  }

  get #rest() {
    return /** @type {HTMLSelectElement} */ (this.#part("rest"));
  }

  /** @param {string} id */
  #part(id) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`#${id}`));
  }

  /** @param {string} id */
  #input(id) {
    return /** @type {HTMLInputElement} */ (this.#part(id));
  }
}

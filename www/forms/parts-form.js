// What is taken for a model from others: another VAE, and what a UNet alone lacks.

import { listedOrNamed, pickedModel } from "../engine/models.js";
import { chosenFiles } from "../engine/picked.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {{ rest: Model | null, vae: Model | null }} Parts
 */

/** The choice of a rest that no list has. */
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
        input.value = ""; // so that choosing the same file again is a change again
        if (files.length > 0) this.#take(files);
      });
    }
  }

  /** @param {Model[]} models those that a VAE or a rest may be taken from by their ids */
  offer(models) {
    this.#models = models;
    const { value } = this.#rest;
    const [none, other] = [this.#rest.options[0], this.#rest.options[this.#rest.options.length - 1]];
    // Those of the page's list: they are whole, and their size is known.
    const whole = models.filter(({ place, bytes }) => place === "hub" && bytes !== null);
    const listed = whole.map(({ id, name }) => new Option(name, id));
    this.#rest.replaceChildren(none, ...listed, other);
    this.#rest.value = value;
    if (this.#rest.selectedIndex < 0) this.#rest.value = "";
  }

  /** What is set, as far as it names anything: see `problem`. @returns {Parts} */
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

  /** What is set and names nothing, as a sentence. */
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
    // A field that was just shown is no mistake yet.
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

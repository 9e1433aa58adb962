// The form for several paintings: one result for each, or all blended into one with weights and masks.

import { MOST_STYLES } from "../engine/presets.js";
import { build } from "../shared/dom.js";

/**
 * @typedef {import("../engine/runner.js").Picture} Picture
 * @typedef {import("../engine/runner.js").Style} Style
 */

export class BlendForm {
  #root;
  #masks;
  #onChange;
  /** @type {Picture | null} */ #photo = null;
  /** @type {Picture[]} */ #paintings = [];
  /** Weights from a link, for paintings not chosen yet. @type {number[]} */ #mix = [];

  /**
   * @param {HTMLElement} root holding the elements marked `data-part`
   * @param {{ masks: { edit: (photo: Picture, styles: { name: string, url: string, mask: Blob | null }[]) => Promise<(Blob | null)[] | undefined> }, onChange: () => void }} options
   */
  constructor(root, { masks, onChange }) {
    this.#root = root;
    this.#masks = masks;
    this.#onChange = onChange;
    this.#part("masks").addEventListener("click", () => void this.#paint());
    this.#part("unmask").addEventListener("click", () => {
      for (const { id } of this.#paintings) this.#photo?.masks.delete(id);
      this.#changed();
      this.#part("masks").focus();
    });
    this.#part("several").addEventListener("change", () => this.#changed());
  }

  /** @returns {"each" | "blend"} */
  get several() {
    return this.#radio("blend").checked ? "blend" : "each";
  }

  /** The weights for a link. */
  get mix() {
    return this.several === "blend" ? this.#paintings.map(({ weight }) => weight) : [];
  }

  /** @param {{ several: "each" | "blend", mix: number[] }} shared */
  write({ several, mix }) {
    this.#radio(several).checked = true;
    this.#mix = [...mix];
    this.#changed();
  }

  /** @param {Picture | null} photo on which masks are painted @param {Picture[]} paintings */
  setPictures(photo, paintings) {
    this.#photo = photo;
    for (const painting of paintings) {
      if (this.#mix.length > 0 && !this.#paintings.includes(painting))
        painting.weight = this.#mix[paintings.indexOf(painting)] ?? 1;
    }
    this.#paintings = paintings;
    this.#show();
  }

  /**
   * The styles of one result. Weights apply only to blends, masks to blends and single paintings.
   * @param {Picture} photo @param {Picture[]} paintings @returns {Style[]}
   */
  styles(photo, paintings) {
    const isAlone = this.#paintings.length === 1;
    const isBlend = this.several === "blend";
    return paintings.map((picture) => ({
      picture,
      crop: picture.crop,
      weight: isBlend && paintings.length > 1 ? picture.weight : 1,
      mask: isBlend || isAlone ? (photo.masks.get(picture.id) ?? null) : null,
    }));
  }

  /** Why the paintings cannot be blended; null if they can. @returns {string | null} */
  problem() {
    const many = this.#paintings.length;
    if (this.several === "each" || many <= MOST_STYLES) return null;
    return `At most ${MOST_STYLES} paintings can be blended, and there are ${many}: remove ${many - MOST_STYLES}, or make one result for each.`;
  }

  async #paint() {
    const photo = this.#photo;
    if (!photo) return;
    const paintings = this.#paintings;
    const styles = paintings.map(({ id, name, url }) => ({ name, url, mask: photo.masks.get(id) ?? null }));
    const masks = await this.#masks.edit(photo, styles);
    if (!masks) return;
    for (const [i, { id }] of paintings.entries()) {
      const mask = masks[i];
      if (mask) photo.masks.set(id, mask);
      else photo.masks.delete(id);
    }
    this.#changed();
  }

  #changed() {
    this.#show();
    this.#onChange();
  }

  #show() {
    const paintings = this.#paintings;
    const isSeveral = paintings.length > 1;
    const isBlend = isSeveral && this.several === "blend";
    this.#root.hidden = paintings.length === 0;
    this.#part("title").textContent = isSeveral ? `The ${paintings.length} paintings` : "Where the style goes";
    this.#part("several").hidden = !isSeveral;
    this.#part("mix").hidden = !isBlend;
    this.#showWeights(isBlend ? paintings : []);
    const photo = this.#photo;
    const canMask = photo !== null && photo.isShown && (isBlend || !isSeveral) && paintings.length <= MOST_STYLES;
    const isMasked = canMask && paintings.some(({ id }) => photo.masks.has(id));
    this.#part("masks").hidden = isSeveral && !isBlend;
    /** @type {HTMLButtonElement} */ (this.#part("masks")).disabled = !canMask;
    this.#part("masks").textContent = isBlend ? "Paint which style goes where" : "Paint where the style goes";
    this.#part("unmask").hidden = !isMasked;
    this.#part("masks-note").textContent =
      isSeveral && !isBlend
        ? ""
        : !photo
          ? "Choose a photo first; without this, the style goes everywhere."
          : isMasked
            ? `Painted on ${photo.name}; elsewhere the photo is only redrawn.`
            : "Without this, the style goes everywhere.";
  }

  /** @param {Picture[]} paintings */
  #showWeights(paintings) {
    const place = this.#part("weights");
    const ids = paintings.map(({ id }) => id).join();
    if (place.dataset.ids === ids) return; // do not replace a slider while it is being moved
    place.dataset.ids = ids;
    place.replaceChildren(...paintings.map((painting) => this.#weight(painting)));
  }

  /** @param {Picture} painting */
  #weight(painting) {
    const id = `weight-${painting.id}`;
    const output = build("output", { for: id }, painting.weight.toFixed(2));
    const slider = build("input", { id, type: "range", min: 0.05, max: 2, step: 0.05, value: painting.weight });
    slider.addEventListener("input", () => {
      painting.weight = Number(slider.value);
      output.textContent = painting.weight.toFixed(2);
      this.#onChange();
    });
    const text = build("span", {}, `Weight of ${painting.name}: `, output);
    // Without `for`, the label would belong to the output: outputs are labelable, and it comes first.
    return build("label", { class: "weight", for: id }, build("img", { src: painting.url, alt: "" }), text, slider);
  }

  /** @param {"each" | "blend"} value */
  #radio(value) {
    return /** @type {HTMLInputElement} */ (this.#part("several").querySelector(`[value=${value}]`));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

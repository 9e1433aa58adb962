// One of the two picture slots, for one picture or several: drop, file picker, camera, samples, and (from app.js) paste.
// A picture that does not pass the check leaves its sentence here and those chosen before untouched. While there is one
// picture, the next one takes its place; from the second on, which “Add” asks for, more are added.

import { build, button } from "../shared/dom.js";
import { isModelDrop } from "../engine/picked.js";

/**
 * @typedef {import("../styleid.js").Crop} Crop
 * @typedef {import("../engine/runner.js").Picture} Picture
 * @typedef {{ file: string, title: string }} Sample
 * @typedef {object} SlotOptions
 * @property {string} what names the picture in sentences: "photo"
 * @property {Sample[]} samples
 * @property {(bytes: Uint8Array) => Promise<{ width: number, height: number, note?: string | null }>} check
 * @property {(bytes: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>} preview makes a PNG of what the browser does not show
 * @property {() => void} onChange
 * @property {(picture: Picture) => Promise<Crop | null | undefined>} crop
 * @property {() => Promise<Blob | undefined>} takePhoto
 */

let lastId = 0;

export class PictureSlot {
  /** @type {Picture[]} */ pictures = [];
  /** The one that is shown large. @type {Picture | null} */ picture = null;
  #root;
  #options;
  /** Counts offers, so that a slow check of an earlier one cannot overwrite a later one. */
  #offers = 0;

  /** @param {HTMLElement} root holding the elements marked `data-part` @param {SlotOptions} options */
  constructor(root, options) {
    this.#root = root;
    this.#options = options;
    const { what } = options;
    for (const [name, adds] of /** @type {const} */ ([
      ["input", false],
      ["more", true],
    ])) {
      const input = /** @type {HTMLInputElement} */ (this.#part(name));
      input.addEventListener("change", () => {
        const files = [...(input.files ?? [])];
        input.value = ""; // so that choosing the same file again is a change again
        if (files.length > 0) void this.offerAll(files, { adds });
      });
    }
    this.#part("camera").addEventListener("click", async () => {
      const blob = await options.takePhoto();
      if (blob) void this.offer(blob, `Picture from the camera`);
    });
    // For the mouse alone: by keyboard there is the field itself.
    this.#part("target").addEventListener("click", ({ target }) => {
      if (!(target instanceof Element && target.closest("button"))) this.#part("input").click();
    });
    this.#part("crop").addEventListener("click", () => void this.#crop());
    this.#part("remove").addEventListener("click", () => this.picture && this.remove(this.picture));
    const image = /** @type {HTMLImageElement} */ (this.#part("image"));
    image.addEventListener("error", () => {
      const { picture } = this;
      if (picture?.isShown && image.getAttribute("src") === picture.url) void this.#makeVisible(picture);
    });
    this.#part("samples").setAttribute("aria-label", `Sample ${what}s`);
    this.#part("samples").append(...options.samples.map((sample) => this.#sampleButton(sample)));
    this.#listenForDrops();
    this.#show();
  }

  /** Takes a picture if it decodes. @param {Blob} blob @param {string} [name] @param {{ adds?: boolean }} [options] @returns {Promise<boolean>} */
  offer(blob, name = nameOf(blob), options = {}) {
    return this.#take([{ blob, name }], options);
  }

  /** Takes those that decode, and names the others. @param {Blob[]} blobs @param {{ adds?: boolean }} [options] */
  offerAll(blobs, options = {}) {
    return this.#take(
      blobs.map((blob) => ({ blob, name: nameOf(blob) })),
      options,
    );
  }

  /** Puts pictures of this visit back, as they were. @param {Picture[]} pictures at least one */
  restore(pictures) {
    this.#offers++;
    const missing = pictures.filter((picture) => !this.pictures.includes(picture));
    // Others that are here stay, or a click in the history would lose them.
    this.pictures = this.pictures.length > 1 ? [...this.pictures, ...missing] : [...pictures];
    this.picture = pictures[0];
    this.#changed();
  }

  /** @param {Picture} picture */
  remove(picture) {
    const at = this.pictures.indexOf(picture);
    this.pictures = this.pictures.filter((other) => other !== picture);
    if (this.picture === picture) this.picture = this.pictures[Math.min(at, this.pictures.length - 1)] ?? null;
    // Its address is not revoked: the history of this visit may still show it.
    this.#changed();
    const next = this.picture ? this.#part("thumbs").querySelector("button") : null;
    /** @type {HTMLElement} */ (next ?? this.#part("input")).focus();
  }

  /** Shows one sentence at the slot. @param {string} sentence */
  complain(sentence) {
    const { what } = this.#options;
    const kept =
      this.pictures.length > 1
        ? ` The ${what}s chosen before are kept.`
        : this.picture
          ? ` The ${what} chosen before is kept.`
          : "";
    this.#part("problem").textContent = sentence + kept;
  }

  /** @param {{ blob: Blob, name: string }[]} given @param {{ adds?: boolean }} options */
  async #take(given, { adds = this.pictures.length > 1 }) {
    const offer = ++this.#offers;
    this.#part("problem").textContent = "";
    this.#root.setAttribute("aria-busy", "true");
    /** @type {Picture[]} */
    const taken = [];
    /** @type {string[]} */
    const problems = [];
    for (const { blob, name } of given) {
      try {
        const picture = await this.#open(blob, name);
        taken.push(picture);
      } catch (error) {
        const sentence = error instanceof Error ? error.message : String(error);
        problems.push(given.length > 1 ? `${name}: ${sentence}` : sentence);
      }
      if (offer !== this.#offers) return false;
    }
    this.#root.removeAttribute("aria-busy");
    if (taken.length > 0) {
      this.pictures = adds ? [...this.pictures, ...taken] : taken;
      this.picture = taken[adds ? taken.length - 1 : 0];
      this.#changed();
    }
    if (problems.length > 0) {
      if (taken.length > 0) this.#part("problem").textContent = problems.join(" ");
      else this.complain(problems.join(" "));
    }
    return taken.length === given.length;
  }

  /** @param {Blob} blob @param {string} name @returns {Promise<Picture>} */
  async #open(blob, name) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const { width, height, note = null } = await this.#options.check(bytes);
    // A copy: a file that is moved or changed on the disk cannot be read again.
    const copy = new Blob([bytes], { type: blob.type });
    const url = URL.createObjectURL(copy);
    const id = `picture-${++lastId}`;
    return {
      id,
      blob: copy,
      visible: copy,
      url,
      name,
      width,
      height,
      crop: null,
      masks: new Map(),
      weight: 1,
      isShown: true,
      hasNoPreview: false,
      note,
    };
  }

  #changed() {
    this.#show();
    this.#options.onChange();
  }

  #show() {
    const { picture, pictures } = this;
    const { what } = this.#options;
    const image = /** @type {HTMLImageElement} */ (this.#part("image"));
    if (picture && image.getAttribute("src") !== picture.url) image.src = picture.url;
    if (!picture) image.removeAttribute("src");
    image.alt = picture ? `The chosen ${what}: ${picture.name}` : "";
    image.hidden = !picture?.isShown;
    this.#part("facts").textContent = picture ? factsOf(picture) : "";
    this.#root.toggleAttribute("data-filled", picture !== null);
    this.#part("tools").hidden = this.#part("adding").hidden = !picture;
    this.#part("thumbs").hidden = pictures.length < 2;
    this.#part("thumbs").replaceChildren(...pictures.map((each, i) => this.#thumb(each, i)));
  }

  /** @param {Picture} picture @param {number} i */
  #thumb(picture, i) {
    const { name, url } = picture;
    const count = this.pictures.length;
    const show = button("", () => this.#activate(picture), {
      "aria-label": `Show ${this.#options.what} ${i + 1} of ${count}: ${name}`,
      "aria-pressed": String(picture === this.picture),
      title: name,
    });
    show.append(build("img", { src: url, alt: "" }));
    const remove = button("×", () => this.remove(picture), { class: "thumb-remove", "aria-label": `Remove ${name}` });
    return build("li", { class: "thumb" }, show, remove);
  }

  /** @param {Picture} picture */
  #activate(picture) {
    this.picture = picture;
    const at = this.pictures.indexOf(picture);
    this.#changed();
    this.#part("thumbs").querySelectorAll("li")[at]?.querySelector("button")?.focus();
  }

  /** The crate decodes more formats than browsers do, and can show those too. @param {Picture} picture */
  async #makeVisible(picture) {
    picture.isShown = false;
    this.#show();
    try {
      const png = await this.#options.preview(new Uint8Array(await picture.blob.arrayBuffer()));
      picture.visible = new Blob([png], { type: "image/png" });
      picture.url = URL.createObjectURL(picture.visible);
      picture.isShown = true;
    } catch {
      picture.hasNoPreview = true; // the run works all the same
    }
    this.#changed();
  }

  async #crop() {
    const { picture } = this;
    if (!picture) return;
    const crop = await this.#options.crop(picture);
    if (crop === undefined) return;
    picture.crop = crop;
    this.#changed();
  }

  #listenForDrops() {
    const root = this.#root;
    root.addEventListener("dragover", (event) => {
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
      root.toggleAttribute("data-over", true);
    });
    root.addEventListener("dragleave", (event) => {
      if (!root.contains(/** @type {Node | null} */ (event.relatedTarget))) root.removeAttribute("data-over");
    });
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      root.removeAttribute("data-over");
      if (isModelDrop(event.dataTransfer)) return; // the page takes it from here
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 0) void this.offerAll(files);
      else this.complain("What was dropped is not a file: save the picture first, then drop the file here.");
    });
  }

  /** @param {Sample} sample */
  #sampleButton({ file, title }) {
    const take = async () => {
      try {
        const response = await fetch(file);
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        await this.offer(await response.blob(), title);
      } catch (error) {
        this.complain(
          `The sample could not be fetched (${error instanceof Error ? error.message : error}): try again.`,
        );
      }
    };
    const sample = button("", () => void take(), { title });
    sample.append(build("img", { src: file, alt: title, loading: "lazy", width: 64, height: 64 }));
    return sample;
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

/** @param {Blob} blob */
const nameOf = (blob) => (blob instanceof File ? blob.name : "picture");

/** @param {Picture} picture */
function factsOf({ name, width, height, crop, hasNoPreview, note }) {
  const cropped = crop ? ` · cropped to ${crop.width} × ${crop.height}` : "";
  return `${name} · ${width} × ${height}${cropped}${hasNoPreview ? " · this browser has no preview of it" : ""}${note ? ` · ${note}` : ""}`;
}

/** The pictures on a clipboard. @param {ClipboardEvent} event @returns {File[]} */
export const pastedPictures = (event) =>
  [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));

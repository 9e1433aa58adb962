// One of the two picture slots, for one picture or several: drop, file picker, camera, samples, and (from app.js) paste.
// A picture that fails the check shows an error here and leaves the earlier pictures untouched. “Add” adds pictures,
// the file picker replaces them; all other ways replace a single picture, and add once there are several.

import { build, button } from "../shared/dom.js";
import { isModelDrop } from "../engine/picked.js";
import { Latest } from "./latest.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("../styleid.js").Crop} Crop
 * @typedef {import("../engine/runner.js").Picture} Picture
 * @typedef {{ file: string, thumb: string, title: string }} Sample
 * @typedef {Sample & { shown: string, width: number, height: number }} Given the initially selected sample: the page
 *   shows it at the address `shown` before any script runs
 * @typedef {object} SlotOptions
 * @property {string} what the picture's name in sentences: "photo"
 * @property {Sample[]} samples
 * @property {Given} [given]
 * @property {(bytes: Uint8Array) => Promise<{ width: number, height: number, note?: string | null, png?: Uint8Array<ArrayBuffer> }>} check with
 *   `png` if the browser had to decode the picture
 * @property {(bytes: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>} preview makes a PNG of a format that the browser
 *   cannot display
 * @property {() => void} onChange
 * @property {(picture: Picture) => Promise<Crop | null | undefined>} crop
 * @property {() => Promise<Blob | undefined>} takePhoto
 */

let lastId = 0;

export class PictureSlot {
  /** @type {Picture[]} */ pictures = [];
  /** The picture shown large. @type {Picture | null} */ picture = null;
  #root;
  #options;
  /** Ensures that a slow check of an earlier offer cannot overwrite a later one. */
  #offers = new Latest((isBusy) => {
    if (isBusy) this.#root.setAttribute("aria-busy", "true");
    else this.#root.removeAttribute("aria-busy");
  });
  /** The initial sample; its file is fetched by `ready`. @type {{ picture: Picture, file: string } | null} */ #given =
    null;
  /** @type {Promise<void> | null} */ #fetching = null;
  /** Which pictures are samples, by their files. @type {WeakMap<Picture, string>} */ #files = new WeakMap();

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
        input.value = ""; // so that choosing the same file again fires a change event
        if (files.length > 0) void this.offerAll(files, { adds });
      });
    }
    this.#part("camera").addEventListener("click", async () => {
      const blob = await options.takePhoto();
      if (blob) void this.offer(blob, `Picture from the camera`);
    });
    // For pointers only: keyboard users have the input itself.
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
    this.#part("samples").addEventListener("keydown", (event) => this.#moveAmongSamples(event));
    this.#listenForDrops();
    if (options.given) this.#give(options.given);
    this.#show();
  }

  /** Whether the slot still holds only the initial sample. */
  get isGiven() {
    return this.#given !== null && this.picture === this.#given.picture && this.pictures.length === 1;
  }

  /** Whether the user has chosen a picture. */
  get isChosen() {
    return this.picture !== null && !this.isGiven;
  }

  /** Fetches the initial sample's file if it is still selected; files that the user chose are already loaded. */
  async ready() {
    const given = this.#given;
    if (!given || !this.pictures.includes(given.picture) || given.picture.blob.size > 0) return;
    this.#fetching ??= fetchFile(given.file).then((blob) => {
      given.picture.blob = given.picture.visible = blob;
    });
    try {
      await this.#fetching;
    } finally {
      this.#fetching = null;
    }
  }

  /** @param {Given} sample */
  #give({ file, shown, title, width, height }) {
    const none = new Blob();
    const picture = { ...made(none, shown, title), width, height };
    this.#given = { picture, file };
    this.#files.set(picture, file);
    this.pictures = [picture];
    this.picture = picture;
  }

  /**
   * Takes a picture if it decodes.
   * @param {Blob} blob @param {string} [name] @param {{ adds?: boolean }} [options] @returns {Promise<boolean>}
   */
  offer(blob, name = nameOf(blob), options = {}) {
    return this.#take([{ blob, name }], options);
  }

  /**
   * Takes the pictures that decode, and shows errors for the others.
   * @param {Blob[]} blobs @param {{ adds?: boolean }} [options]
   */
  offerAll(blobs, options = {}) {
    return this.#take(
      blobs.map((blob) => ({ blob, name: nameOf(blob) })),
      options,
    );
  }

  /** Restores pictures of this visit. @param {Picture[]} pictures at least one */
  restore(pictures) {
    this.#offers.supersede();
    const missing = pictures.filter((picture) => !this.pictures.includes(picture));
    // Several pictures stay, so that a click in the history does not lose them.
    this.pictures = this.pictures.length > 1 ? [...this.pictures, ...missing] : [...pictures];
    this.picture = pictures[0];
    this.#changed();
  }

  /** @param {Picture} picture */
  remove(picture) {
    const at = this.pictures.indexOf(picture);
    this.pictures = this.pictures.filter((other) => other !== picture);
    if (this.picture === picture) this.picture = this.pictures[Math.min(at, this.pictures.length - 1)] ?? null;
    this.#changed();
    const next = this.picture ? this.#part("thumbs").querySelector("button") : null;
    /** @type {HTMLElement} */ (next ?? this.#part("input")).focus();
  }

  /** Shows an error at the slot. @param {string} sentence */
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
    const offer = this.#offers.begin();
    this.#part("problem").textContent = "";
    /** @type {Picture[]} */
    const taken = [];
    /** @type {string[]} */
    const problems = [];
    for (const { blob, name } of given) {
      try {
        const picture = await this.#open(blob, name);
        taken.push(picture);
      } catch (error) {
        const sentence = messageOf(error);
        problems.push(given.length > 1 ? `${name}: ${sentence}` : sentence);
      }
      if (!this.#offers.counts(offer)) {
        for (const { url } of taken) URL.revokeObjectURL(url);
        return false;
      }
    }
    this.#offers.end(offer);
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
    const { width, height, note = null, png } = await this.#options.check(bytes);
    // A copy, because a file that is moved or changed on disk cannot be read again.
    const copy = png ? new Blob([png], { type: "image/png" }) : new Blob([bytes], { type: blob.type });
    return { ...made(copy, URL.createObjectURL(copy), name), width, height, note };
  }

  #changed() {
    this.#show();
    this.#options.onChange();
  }

  #show() {
    const { picture, pictures } = this;
    const { what } = this.#options;
    const image = /** @type {HTMLImageElement} */ (this.#part("image"));
    const { isGiven } = this;
    // Only the initial sample exists in several sizes.
    if (!isGiven) this.#root.querySelector("source")?.remove();
    if (picture && image.getAttribute("src") !== picture.url) image.src = picture.url;
    if (!picture) image.removeAttribute("src");
    image.alt = picture ? `The chosen ${what}: ${picture.name}` : "";
    image.hidden = !picture?.isShown;
    const sample = picture && this.#files.get(picture);
    this.#part("facts").textContent = picture ? factsOf(picture) + (sample ? " · a sample" : "") : "";
    this.#root.toggleAttribute("data-filled", picture !== null);
    this.#root.toggleAttribute("data-given", isGiven);
    // The initial sample can only be replaced.
    this.#part("tools").hidden = this.#part("adding").hidden = !picture || isGiven;
    this.#showSamples(sample ?? null);
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

  /** Displays a picture that only the crate can decode, as a PNG. @param {Picture} picture */
  async #makeVisible(picture) {
    picture.isShown = false;
    this.#show();
    try {
      const png = await this.#options.preview(new Uint8Array(await picture.blob.arrayBuffer()));
      picture.visible = new Blob([png], { type: "image/png" });
      picture.url = URL.createObjectURL(picture.visible);
      picture.isShown = true;
    } catch {
      picture.hasNoPreview = true; // runs work without a preview
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
      if (isModelDrop(event.dataTransfer)) return; // handled in app.js
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length > 0) void this.offerAll(files);
      else this.complain("What was dropped is not a file: save the picture first, then drop the file here.");
    });
  }

  /** @param {Sample} sample */
  #sampleButton({ file, thumb, title }) {
    const take = async () => {
      try {
        const blob = await fetchFile(file);
        if (await this.offer(blob, title)) {
          const { picture } = this;
          if (picture) this.#files.set(picture, file);
          this.#show();
        }
      } catch (error) {
        this.complain(messageOf(error));
      }
    };
    const sample = button("", () => void take(), { title, "data-file": file, "aria-pressed": "false" });
    sample.append(build("img", { src: thumb, alt: title, width: 48, height: 48 }));
    return sample;
  }

  /**
   * Marks the chosen sample. Roving tabindex: Tab reaches one sample, arrow keys the others.
   * @param {string | null} file
   */
  #showSamples(file) {
    const samples = this.#sampleButtons;
    const at = Math.max(
      0,
      samples.findIndex((sample) => sample.dataset.file === file),
    );
    for (const [i, sample] of samples.entries()) {
      sample.setAttribute("aria-pressed", String(sample.dataset.file === file));
      sample.tabIndex = i === at ? 0 : -1;
    }
  }

  /** @param {KeyboardEvent} event */
  #moveAmongSamples(event) {
    const samples = this.#sampleButtons;
    const at = samples.findIndex((sample) => sample === document.activeElement);
    const last = samples.length - 1;
    /** @type {Record<string, number>} */
    const ways = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last };
    const to = ways[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    for (const sample of samples) sample.tabIndex = -1;
    const next = samples[(to + samples.length) % samples.length];
    next.tabIndex = 0;
    next.focus();
  }

  /** @returns {HTMLButtonElement[]} */
  get #sampleButtons() {
    return [...this.#part("samples").querySelectorAll("button")];
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

/** Fetches a sample's file. @param {string} file @returns {Promise<Blob>} */
async function fetchFile(file) {
  try {
    const response = await fetch(file);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return await response.blob();
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new Error(`The sample could not be fetched (${why}): try again.`);
  }
}

/** A picture with defaults for everything else. @param {Blob} blob @param {string} url @param {string} name */
const made = (blob, url, name) => ({
  id: `picture-${++lastId}`,
  blob,
  visible: blob,
  url,
  name,
  crop: null,
  masks: new Map(),
  weight: 1,
  isShown: true,
  hasNoPreview: false,
  note: null,
});

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

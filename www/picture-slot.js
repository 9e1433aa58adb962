// One of the two picture slots: drop, file picker, samples, and (from app.js) paste. A picture that does not pass the
// check leaves its sentence here and the picture chosen before untouched.

import { isModelDrop } from "./picked.js";

/**
 * @typedef {{ bytes: Uint8Array, name: string, url: string, width: number, height: number }} Picture
 * @typedef {{ file: string, title: string }} Sample
 */

export class PictureSlot {
  /** @type {Picture | null} */ picture = null;
  #root;
  #check;
  #what;
  #image;
  #facts;
  #problem;
  /** Counts offers, so that a slow check of an earlier one cannot overwrite a later one. */
  #offers = 0;

  /**
   * @param {HTMLElement} root holding the elements marked `data-part`
   * @param {{ what: string, samples: Sample[], check: (bytes: Uint8Array) => Promise<{ width: number, height: number }> }} options
   *   `what` names the picture in sentences: "photo"
   */
  constructor(root, { what, samples, check }) {
    /** @template {HTMLElement} T @param {string} name */
    const part = (name) => /** @type {T} */ (root.querySelector(`[data-part=${name}]`));
    this.#root = root;
    this.#check = check;
    this.#what = what;
    this.#image = /** @type {HTMLImageElement} */ (part("image"));
    this.#facts = part("facts");
    this.#problem = part("problem");

    const input = /** @type {HTMLInputElement} */ (part("input"));
    input.addEventListener("change", () => {
      if (input.files?.length) void this.offer(input.files[0]);
      input.value = ""; // so that choosing the same file again is a change again
    });
    this.#image.addEventListener("error", () => {
      // The crate decodes formats that a browser does not show, TIFF for one.
      this.#image.hidden = true;
      if (this.picture) this.#facts.textContent += " · this browser has no preview of it";
    });
    this.#listenForDrops();
    part("samples").append(...samples.map((sample) => this.#sampleButton(sample)));
  }

  /** Takes a picture if it decodes. @param {Blob} blob @param {string} [name] @returns {Promise<boolean>} */
  async offer(blob, name = blob instanceof File ? blob.name : "picture") {
    const offer = ++this.#offers;
    this.#problem.textContent = "";
    this.#root.setAttribute("aria-busy", "true");
    try {
      const bytes = new Uint8Array(await blob.arrayBuffer());
      const { width, height } = await this.#check(bytes);
      if (offer !== this.#offers) return false;
      this.#show({ bytes, name, url: URL.createObjectURL(blob), width, height });
      return true;
    } catch (error) {
      if (offer === this.#offers) this.complain(error instanceof Error ? error.message : String(error));
      return false;
    } finally {
      if (offer === this.#offers) this.#root.removeAttribute("aria-busy");
    }
  }

  /** Shows one sentence at the slot. @param {string} sentence */
  complain(sentence) {
    this.#problem.textContent = sentence + (this.picture ? ` The ${this.#what} chosen before is kept.` : "");
  }

  /** @param {Picture} picture */
  #show(picture) {
    if (this.picture) URL.revokeObjectURL(this.picture.url);
    this.picture = picture;
    this.#image.src = picture.url;
    this.#image.alt = `The chosen ${this.#what}: ${picture.name}`;
    this.#image.hidden = false;
    this.#facts.textContent = `${picture.name} · ${picture.width} × ${picture.height}`;
    this.#root.toggleAttribute("data-filled", true);
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
      const file = event.dataTransfer?.files[0];
      if (file) void this.offer(file);
      else this.complain("What was dropped is not a file: save the picture first, then drop the file here.");
    });
  }

  /** @param {Sample} sample */
  #sampleButton({ file, title }) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = title;
    const image = document.createElement("img");
    image.src = file;
    image.alt = title;
    image.loading = "lazy";
    button.append(image);
    button.addEventListener("click", async () => {
      try {
        const response = await fetch(file);
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        await this.offer(await response.blob(), title);
      } catch (error) {
        this.complain(
          `The sample could not be fetched (${error instanceof Error ? error.message : error}): try again.`,
        );
      }
    });
    return button;
  }
}

/** The picture on a clipboard, if it holds one. @param {ClipboardEvent} event @returns {File | null} */
export function pastedPicture(event) {
  return [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? null;
}

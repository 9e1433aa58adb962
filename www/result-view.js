// The finished picture: shown beside or over the photo it was made from, and handed out byte for byte as a PNG.

import { formatDuration } from "./progress.js";

/**
 * @typedef {import("./styleid.js").Stylized} Stylized
 * @typedef {import("./picture-slot.js").Picture} Picture
 */

export class ResultView {
  #root;
  /** @type {string[]} */ #urls = [];

  /** @param {HTMLElement} root holding the elements marked `data-part` */
  constructor(root) {
    this.#root = root;
    const compare = this.#part("compare");
    compare.addEventListener("input", () => this.#reveal());
  }

  /** @param {Stylized} result @param {Picture} photo @param {Picture} painting as they were when the run began */
  show(result, photo, painting) {
    for (const url of this.#urls) URL.revokeObjectURL(url);
    const png = URL.createObjectURL(new Blob([result.png], { type: "image/png" }));
    // A copy: the slot's own address of the photo goes when another one is chosen.
    const before = URL.createObjectURL(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (photo.bytes)]));
    this.#urls = [png, before];

    const after = /** @type {HTMLImageElement} */ (this.#part("after"));
    Object.assign(after, { src: png, width: result.width, height: result.height });
    after.alt = `${photo.name}, repainted in the style of ${painting.name}`;
    const beforeImage = /** @type {HTMLImageElement} */ (this.#part("before"));
    const slider = this.#part("slider");
    slider.hidden = true; // until it is known that the browser shows the photo's format
    beforeImage.hidden = true;
    beforeImage.onload = () => (slider.hidden = beforeImage.hidden = false);
    beforeImage.src = before;

    const download = /** @type {HTMLAnchorElement} */ (this.#part("download"));
    download.href = png;
    download.download = `${stem(photo.name)} in the style of ${stem(painting.name)}.png`;
    this.#part("facts").textContent = `${result.width} × ${result.height} · ${formatDuration(result.seconds)}`;
    /** @type {HTMLInputElement} */ (this.#part("compare")).value = "0";
    this.#reveal();
    this.#root.hidden = false;
    this.#root.scrollIntoView({ block: "nearest" });
  }

  #reveal() {
    const { value } = /** @type {HTMLInputElement} */ (this.#part("compare"));
    this.#part("before").style.clipPath = `inset(0 ${100 - Number(value)}% 0 0)`;
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

/** A file name without extension and without what file systems refuse. @param {string} name */
const stem = (name) => name.replace(/\.[^.]{1,5}$/, "").replace(/[\\/:*?"<>|]+/g, "-") || "picture";

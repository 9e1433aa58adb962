// What is being painted while it is, then the finished picture beside the photo it was made from, handed out byte for byte
// as a PNG.

import { CompareView } from "./compare-view.js";
import { convert, fileName, save } from "../pictures/images.js";
import { MeasuresView } from "./measures-view.js";
import { formatDuration } from "../shared/format.js";

/** @typedef {import("./history.js").Entry} Entry */

export class ResultView {
  /** @type {Entry | null} */ entry = null;
  #root;
  #compare;
  #measures;
  #isOld = false;

  /**
   * @param {HTMLElement} root holding the elements marked `data-part`
   * @param {{ linkTo: (entry: Entry) => { url: string, sentence: string }, use: (entry: Entry) => void, again: (entry: Entry) => void,
   *   measure: (entry: Entry) => Promise<import("../styleid.js").Measures> }} options `use` puts an entry's pictures and settings
   *   back; `again` runs them too
   */
  constructor(root, { linkTo, use, again, measure }) {
    this.#root = root;
    this.#measures = new MeasuresView(root, { measure, say: (sentence) => this.#say(sentence) });
    this.#compare = new CompareView(this.#part("compare"));
    for (const [name, type] of /** @type {const} */ ([
      ["jpeg", "image/jpeg"],
      ["webp", "image/webp"],
    ])) {
      this.#part(name).addEventListener("click", () => void this.#saveAs(type));
    }
    this.#part("share").addEventListener("click", async () => {
      if (!this.entry) return;
      const { url, sentence } = linkTo(this.entry);
      try {
        await navigator.clipboard.writeText(url);
        this.#say(`The link is copied. ${sentence}`);
      } catch {
        this.#say(`This browser does not let the page copy; the link is ${url}`);
      }
    });
    this.#part("use").addEventListener("click", () => this.entry && use(this.entry));
    this.#part("again").addEventListener("click", () => this.entry && again(this.entry));
  }

  /** A run begins: keeps the place for what will come, of the shape `ratio`, unless there is a result to look at meanwhile. @param {number} ratio */
  begin(ratio) {
    if (this.entry) return;
    const canvas = this.#canvas;
    Object.assign(canvas, { width: 1, height: 1 });
    canvas.style.setProperty("--ratio", String(ratio));
    this.#part("preview-note").textContent = "A rough preview comes with the first steps of painting.";
    this.#openPreview();
    this.#root.hidden = false;
    this.#root.scrollIntoView({ block: "nearest" });
  }

  /** @param {Entry} entry @param {{ isOld?: boolean, isQuiet?: boolean }} [options] `isOld`: out of the history; `isQuiet`: without going there */
  show(entry, { isOld = false, isQuiet = false } = {}) {
    this.entry = entry;
    this.#isOld = isOld;
    this.#part("preview").hidden = true;
    this.#part("compare").hidden = false;
    this.#root.hidden = false;
    const { png, before, width, height, photo, styles, seconds, unetCalls, reused } = entry;
    const paintings = styles.map(({ picture }) => picture.name);
    this.#compare.show({
      before: before ?? photo.url,
      after: entry.url,
      width,
      height,
      beforeName: photo.name,
      afterName: `${photo.name}, repainted in the style of ${paintings.join(" and ")}`,
    });
    const download = /** @type {HTMLAnchorElement} */ (this.#part("download"));
    download.href = entry.url;
    download.download = `${fileName(photo.name, paintings)}.png`;
    const calls = unetCalls
      ? ` · ${unetCalls} UNet ${unetCalls === 1 ? "evaluation" : "evaluations"}${reused ? ", both inversions re-used" : ""}`
      : "";
    const facts = `${width} × ${height} · ${formatDuration(seconds)}${calls} · ${Math.ceil(png.size / 1000)} kB`;
    this.#setTitle(isOld ? "Result of this visit" : "Result", facts);
    this.#part("actions").hidden = false;
    this.#part("use").hidden = this.#part("again").hidden = !isOld;
    this.#measures.show(entry);
    this.#say("");
    if (!isQuiet) this.#root.scrollIntoView({ block: "nearest" });
  }

  /** A look at what is being painted. @param {import("../styleid.js").Preview} preview */
  preview({ width, height, rgba, step, steps }) {
    const canvas = this.#canvas;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.style.setProperty("--ratio", String(width / height));
    const pixels = new ImageData(new Uint8ClampedArray(rgba), width, height);
    canvas.getContext("2d")?.putImageData(pixels, 0, 0);
    this.#openPreview();
    this.#part("preview-note").textContent = `A rough preview: step ${step} of ${steps}`;
  }

  #openPreview() {
    this.#part("preview").hidden = false;
    this.#part("compare").hidden = true;
    this.#part("actions").hidden = true;
    this.#setTitle("Being painted", "");
  }

  /** Back to what was shown before. */
  endPreview() {
    if (this.#part("preview").hidden) return;
    this.#part("preview").hidden = true;
    this.#part("compare").hidden = false;
    if (this.entry) this.show(this.entry, { isOld: this.#isOld, isQuiet: true });
    else this.#root.hidden = true;
  }

  get #canvas() {
    return /** @type {HTMLCanvasElement} */ (this.#part("preview").querySelector("canvas"));
  }

  focus() {
    this.#part("title").focus();
  }

  /** @param {"image/jpeg" | "image/webp"} type */
  async #saveAs(type) {
    const { entry } = this;
    if (!entry) return;
    try {
      const ending = type === "image/jpeg" ? "jpg" : "webp";
      const name = fileName(
        entry.photo.name,
        entry.styles.map(({ picture }) => picture.name),
      );
      save(await convert(entry.png, type), `${name}.${ending}`);
      this.#say("");
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {string} title @param {string} caption */
  #setTitle(title, caption) {
    this.#part("title").textContent = title;
    this.#part("caption").textContent = caption;
  }

  /** @param {string} sentence */
  #say(sentence) {
    this.#part("said").textContent = sentence;
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

// Shows the preview during a run, then the result compared with its photo. The download is the worker's unchanged PNG.

import { CompareView } from "./compare-view.js";
import { convert, fileName, save } from "../pictures/images.js";
import { MeasuresView } from "./measures-view.js";
import { formatDuration } from "../shared/format.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("./history.js").Entry} Entry
 * @typedef {object} Actions what may be done with a result
 * @property {(entry: Entry) => { url: string, sentence: string }} linkTo
 * @property {(entry: Entry) => void} use restores its pictures and settings
 * @property {(entry: Entry) => void} again restores and runs them
 * @property {(entry: Entry) => Promise<import("../styleid.js").Measures>} measure
 * @property {() => void} look to choose another look
 * @property {() => void} painting to choose another painting
 * @property {(entry: Entry, size: number) => void} larger repeats it at a larger size
 * @property {(isTaken: boolean) => void} onStage called with whether there is a result, or one being painted
 */

/** Sizes that “Larger” steps through. */
const SIZES = [256, 384, 512, 640, 768, 1024];

export class ResultView {
  /** @type {Entry | null} */ entry = null;
  #root;
  #compare;
  #measures;
  #isOld = false;
  #onStage;
  /** The example shown before there is a result. @type {import("./compare-view.js").Pair | null} */ #example = null;

  /**
   * @param {HTMLElement} root holding the elements marked `data-part`
   * @param {Actions} actions
   */
  constructor(root, { linkTo, use, again, measure, look, painting, larger, onStage }) {
    this.#root = root;
    this.#onStage = onStage;
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
    this.#part("look").addEventListener("click", look);
    this.#part("painting").addEventListener("click", painting);
    this.#part("larger").addEventListener("click", () => {
      const size = this.#nextSize;
      if (this.entry && size) larger(this.entry, size);
    });
  }

  /** Shows an example until there is a result. @param {import("./compare-view.js").Pair | null} pair null for none */
  showExample(pair) {
    if (pair && pair.after === this.#example?.after && !this.#part("compare").hidden) return;
    this.#example = pair;
    if (!this.entry && this.#part("preview").hidden) this.#showBeginning();
  }

  /**
   * Offers a better model in one sentence, with a button.
   * @param {string} sentence empty for none @param {() => void} take
   */
  offer(sentence, take) {
    this.#part("step-up").hidden = sentence === "";
    this.#part("step-up-text").textContent = sentence;
    this.#part("step-up-go").onclick = take;
  }

  #showBeginning() {
    const example = this.#example;
    this.#part("compare").hidden = !example;
    this.#part("empty").hidden = example !== null;
    this.#root.dataset.state = example ? "example" : "empty";
    if (example) this.#compare.show(example);
    this.#setTitle("Result", example ? "An example" : "");
    this.#onStage(false);
  }

  get #nextSize() {
    const { entry } = this;
    return entry && SIZES.find((size) => size > Math.max(entry.width, entry.height));
  }

  /**
   * Reserves space for the preview at the start of a run, unless a result is shown.
   * @param {number} ratio width / height
   */
  begin(ratio) {
    if (this.entry) return;
    const canvas = this.#canvas;
    Object.assign(canvas, { width: 1, height: 1 });
    canvas.style.setProperty("--ratio", String(ratio));
    this.#part("preview-note").textContent = "A rough preview comes with the first steps of painting.";
    this.#openPreview();
    this.#root.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {Entry} entry @param {{ isOld?: boolean, isQuiet?: boolean }} [options] `isOld`: from the history;
   *   `isQuiet`: without scrolling
   */
  show(entry, { isOld = false, isQuiet = false } = {}) {
    this.entry = entry;
    this.#isOld = isOld;
    this.#part("preview").hidden = this.#part("empty").hidden = true;
    this.#part("compare").hidden = false;
    this.#root.dataset.state = "done";
    this.#onStage(true);
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
    const next = this.#nextSize;
    this.#part("larger").hidden = !next;
    if (next) this.#part("larger").textContent = `Larger: ${next} pixels`;
    this.#measures.show(entry);
    this.#say("");
    if (!isQuiet) this.#root.scrollIntoView({ block: "nearest" });
  }

  /** Shows a preview. @param {import("../styleid.js").Preview} preview */
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
    this.#part("compare").hidden = this.#part("empty").hidden = true;
    this.#part("actions").hidden = true;
    this.#root.dataset.state = "painting";
    this.#setTitle("Being painted", "");
    this.#onStage(true);
  }

  /** Restores what was shown before the preview. */
  endPreview() {
    if (this.#part("preview").hidden) return;
    this.#part("preview").hidden = true;
    if (this.entry) this.show(this.entry, { isOld: this.#isOld, isQuiet: true });
    else this.#showBeginning();
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
      this.#say(messageOf(error));
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

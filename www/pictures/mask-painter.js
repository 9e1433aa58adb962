// A dialog for painting where on the photo each style applies.

import { ask, build, button, uniqueId } from "../shared/dom.js";
import { readMask, writeMask } from "./mask-file.js";
import { History, MaskLayer } from "./mask-layer.js";
import { drawMasks, drawSwatch } from "./mask-overlay.js";

/**
 * @typedef {{ url: string, width: number, height: number, name: string }} Photo in pixels of the upright picture
 * @typedef {{ name: string, url: string, mask: Blob | null }} Style null = everywhere
 * @typedef {import("./mask-layer.js").Point} Point
 */

/** The long side of a mask, in pixels; brush size and feather are percentages of it. */
const SIDE = 512;
const HINT =
  "Drag to paint. By keyboard, on the photo: arrows move the brush (Shift: further), Space paints, E erases, [ and ] change its size, numbers choose the style.";

export class MaskDialog {
  #dialog;
  #title;
  #styles;
  #stage;
  #image;
  #canvas;
  #cursor;
  #tools;
  #size;
  #feather;
  #undo;
  #redo;
  #status;
  #problem;
  /** @type {MaskLayer[]} */ #layers = [];
  /** The elements that show each style's coverage. @type {HTMLElement[]} */ #shares = [];
  /** @type {HTMLInputElement[]} */ #radios = [];
  #history = new History();
  #current = 0;
  /**
   * The current stroke: its pointer or key, and the layer before it.
   * @type {{ by: number | string, isErasing: boolean, last: Point, before: import("./mask-layer.js").Snapshot } | null}
   */
  #stroke = null;
  /** @type {Point} */ #brush = { x: 0, y: 0 };
  #frame = 0;

  /** @param {HTMLDialogElement} dialog an empty one */
  constructor(dialog) {
    this.#dialog = dialog;
    dialog.classList.add("tool-dialog", "mask-dialog");
    this.#title = build("h2", { id: uniqueId("mask-title") });
    dialog.setAttribute("aria-labelledby", this.#title.id);
    const hint = build("p", { id: uniqueId("mask-hint"), class: "hint tool-keys" }, HINT);
    this.#styles = build("fieldset", { class: "mask-styles" });
    this.#image = build("img", { alt: "", draggable: "false" });
    this.#canvas = build("canvas", { "aria-hidden": "true" });
    this.#cursor = build("div", { class: "mask-cursor", "aria-hidden": "true" });
    this.#stage = build(
      "div",
      {
        class: "mask-stage",
        tabindex: 0,
        role: "application",
        "aria-roledescription": "painting area",
        "aria-describedby": hint.id,
      },
      this.#image,
      this.#canvas,
      this.#cursor,
    );

    const tool = (/** @type {string} */ value, /** @type {string} */ label) =>
      build(
        "label",
        {},
        build("input", { type: "radio", name: "mask-tool", value, checked: value === "brush" }),
        label,
      );
    this.#tools = build(
      "fieldset",
      { class: "mask-tools" },
      build("legend", {}, "Tool"),
      tool("brush", "Brush"),
      tool("eraser", "Eraser"),
    );
    this.#size = range("Size", { min: 1, max: 50, value: 12 });
    this.#size.input.addEventListener("input", () => this.#placeCursor());
    this.#feather = range("Feather", { min: 0, max: 10, step: 0.5, value: 0 });
    this.#feather.input.addEventListener("input", () => this.#setFeather());
    this.#feather.input.addEventListener("change", () => this.#end());
    this.#undo = button("Undo", () => this.#step("undo"), { "aria-keyshortcuts": "Control+Z" });
    this.#redo = button("Redo", () => this.#step("redo"), { "aria-keyshortcuts": "Control+Y" });
    this.#status = build("span", { class: "hint", role: "status" });
    this.#problem = build("p", { class: "problem", role: "alert" });
    dialog.replaceChildren(
      this.#title,
      hint,
      this.#problem,
      this.#styles,
      this.#stage,
      build("div", { class: "tool-row" }, this.#tools, this.#size.row, this.#feather.row),
      build(
        "div",
        { class: "tool-row", role: "group", "aria-label": "Whole mask" },
        button("Everywhere", () => this.#change((layer) => layer.fill(true))),
        button("Nowhere", () => this.#change((layer) => layer.fill(false))),
        button("Invert", () => this.#change((layer) => layer.invert())),
        this.#undo,
        this.#redo,
      ),
      build(
        "p",
        { class: "tool-actions" },
        button("Done", () => dialog.close("done"), { class: "primary" }),
        button("Cancel", () => dialog.close()),
        this.#status,
      ),
    );
    this.#listen();
  }

  /**
   * @param {Photo} photo @param {Style[]} styles
   * @returns {Promise<(Blob | null)[] | undefined>} a greyscale PNG per style (white = applies), null for everywhere;
   *   undefined = closed without a change. An unchanged mask is the same Blob again.
   */
  async edit(photo, styles) {
    const scale = SIDE / Math.max(photo.width, photo.height);
    const width = Math.max(1, Math.round(photo.width * scale));
    const height = Math.max(1, Math.round(photo.height * scale));
    this.#title.textContent = `Which style where: ${photo.name}`;
    this.#problem.textContent = "";
    this.#image.onerror = () => {
      this.#problem.textContent = "This browser cannot show the photo: you paint on an empty page of its shape.";
    };
    Object.assign(this.#image, { width: photo.width, height: photo.height, src: photo.url });
    Object.assign(this.#canvas, { width, height });
    this.#stage.style.setProperty("--ratio", String(width / height));
    this.#layers = styles.map(() => new MaskLayer(width, height));
    this.#history = new History();
    this.#brush = { x: width / 2, y: height / 2 };
    this.#showStyles(styles);
    this.#select(0);
    const loaded = this.#load(styles.map(({ mask }) => mask));
    const isDone = await ask(this.#dialog, this.#stage);
    this.#end();
    await loaded;
    if (!isDone) return undefined;
    return Promise.all(this.#layers.map((layer, index) => writeMask(layer, styles[index].mask)));
  }

  /** Loads earlier masks into the layers. @param {(Blob | null)[]} masks */
  async #load(masks) {
    for (const [index, mask] of masks.entries()) {
      if (!mask) continue;
      try {
        await readMask(mask, this.#layers[index]);
      } catch {
        this.#problem.textContent = `The earlier mask of style ${index + 1} could not be read: paint it again.`;
      }
    }
    this.#select(this.#current);
  }

  /** @param {Style[]} styles */
  #showStyles(styles) {
    this.#shares = styles.map(() => build("small"));
    this.#radios = styles.map((_, index) =>
      build("input", { type: "radio", name: "mask-style", value: index, onchange: () => this.#select(index) }),
    );
    const labels = styles.map(({ name, url }, index) => {
      const swatch = build("canvas", { width: 40, height: 40, "aria-hidden": "true" });
      drawSwatch(swatch, index);
      const text = build("span", {}, build("b", {}, `${index + 1}. ${name}`), this.#shares[index]);
      return build("label", {}, this.#radios[index], swatch, build("img", { src: url, alt: "" }), text);
    });
    this.#styles.replaceChildren(build("legend", {}, "Style to paint"), ...labels);
  }

  get #layer() {
    return this.#layers[this.#current];
  }

  /** Brush radius in pixels of the mask. */
  get #radius() {
    return (this.#size.input.valueAsNumber * SIDE) / 200;
  }

  /** @param {number} index */
  #select(index) {
    this.#end();
    this.#current = index;
    this.#radios[index].checked = true;
    this.#feather.set((100 * this.#layer.feather) / SIDE);
    const { textContent } = this.#radios[index].labels?.[0].querySelector("b") ?? { textContent: "" };
    this.#stage.setAttribute("aria-label", `The photo, with the mask of style ${textContent}`);
    this.#refresh();
  }

  /** Applies a change to the whole mask as one undo step. @param {(layer: MaskLayer) => void} change */
  #change(change) {
    this.#end();
    const before = this.#layer.snapshot();
    change(this.#layer);
    this.#history.add(this.#current, before, this.#layer.snapshot());
    this.#refresh();
    this.#say();
  }

  #setFeather() {
    this.#begin("feather", this.#brush, false); // one undo step until the slider is released
    this.#layer.feather = (this.#feather.input.valueAsNumber * SIDE) / 100;
    this.#refresh();
  }

  /** @param {"undo" | "redo"} way */
  #step(way) {
    this.#end();
    const index = this.#history[way](this.#layers);
    if (index === null) return;
    this.#select(index);
    this.#say(way === "undo" ? "Undone." : "Done again.");
    const used = way === "undo" ? this.#undo : this.#redo;
    if (used.disabled) this.#stage.focus({ preventScroll: true }); // a disabled button loses the focus
  }

  /** @param {number | string} by @param {Point} at @param {boolean} isErasing */
  #begin(by, at, isErasing) {
    this.#stroke ??= { by, isErasing, last: at, before: this.#layer.snapshot() };
  }

  /** @param {Point} to */
  #paintTo(to) {
    if (!this.#stroke) return;
    this.#layer.stroke(this.#stroke.last, to, this.#radius, this.#stroke.isErasing);
    this.#stroke.last = to;
    this.#refresh();
  }

  #end() {
    if (!this.#stroke) return;
    const { before } = this.#stroke;
    this.#stroke = null;
    const after = this.#layer.snapshot();
    const isSame = before.isUntouched === after.isUntouched && before.feather === after.feather;
    if (isSame && before.pixels.every((value, i) => value === after.pixels[i])) return;
    this.#history.add(this.#current, before, after);
    this.#refresh();
    this.#say();
  }

  /** Redraws, at most once per frame. */
  #refresh() {
    this.#undo.disabled = !this.#history.canUndo;
    this.#redo.disabled = !this.#history.canRedo;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const context = this.#canvas.getContext("2d");
      if (!context) return;
      const image = context.createImageData(this.#canvas.width, this.#canvas.height);
      const masks = this.#layers.map((layer) => (layer.isUntouched ? null : layer.feathered));
      drawMasks(image, masks, this.#current);
      context.putImageData(image, 0, 0);
      this.#layers.forEach((layer, index) => (this.#shares[index].textContent = share(layer)));
      this.#placeCursor();
    });
  }

  #placeCursor() {
    const scale = this.#stage.clientWidth / (this.#canvas.width || 1);
    const diameter = 2 * this.#radius * scale;
    const { style } = this.#cursor;
    style.width = style.height = `${diameter}px`;
    style.transform = `translate(${this.#brush.x * scale - diameter / 2}px, ${this.#brush.y * scale - diameter / 2}px)`;
  }

  /** @param {string} [first] */
  #say(first = "") {
    const text = `${first} Style ${this.#current + 1}: ${share(this.#layer)}.`.trim();
    this.#status.textContent = text;
  }

  #listen() {
    const stage = this.#stage;
    const place = (/** @type {PointerEvent} */ { clientX, clientY }) => {
      const { left, top, width } = stage.getBoundingClientRect();
      const scale = this.#canvas.width / (width || 1);
      return { x: (clientX - left) * scale, y: (clientY - top) * scale };
    };
    stage.addEventListener("pointerdown", (event) => {
      if (this.#stroke || (event.button !== 0 && event.button !== 5)) return; // 5 = a pen's eraser
      stage.setPointerCapture(event.pointerId);
      const at = (this.#brush = place(event));
      this.#begin(event.pointerId, at, event.button === 5 || this.#isEraser);
      this.#paintTo(at);
    });
    stage.addEventListener("pointermove", (event) => {
      if (this.#stroke && this.#stroke.by !== event.pointerId) return;
      this.#brush = place(event);
      if (!this.#stroke) return this.#placeCursor();
      // All positions of a fast pen since the last frame.
      const all = event.getCoalescedEvents?.() ?? [];
      for (const each of all.length ? all : [event]) this.#paintTo(place(each));
    });
    stage.addEventListener("lostpointercapture", (event) => {
      if (this.#stroke?.by === event.pointerId) this.#end();
    });
    stage.addEventListener("contextmenu", (event) => event.preventDefault()); // opened by a long press
    stage.addEventListener("keydown", (event) => this.#key(event));
    stage.addEventListener("keyup", (event) => {
      if (this.#stroke?.by === event.code) this.#end();
    });
    stage.addEventListener("blur", () => this.#end());
    new ResizeObserver(() => this.#placeCursor()).observe(stage);
    this.#dialog.addEventListener("keydown", (event) => {
      const key = event.key.toLowerCase();
      if (!(event.ctrlKey || event.metaKey) || (key !== "z" && key !== "y")) return;
      event.preventDefault();
      this.#step(key === "y" || event.shiftKey ? "redo" : "undo");
    });
  }

  get #isEraser() {
    return /** @type {HTMLInputElement} */ (this.#tools.querySelector("[value=eraser]")).checked;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, [number, number]>} */
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const arrow = arrows[event.key];
    if (arrow) {
      const step = event.shiftKey ? SIDE / 8 : Math.max(2, this.#radius / 2);
      const { width, height } = this.#canvas;
      this.#brush = {
        x: Math.max(0, Math.min(width, this.#brush.x + arrow[0] * step)),
        y: Math.max(0, Math.min(height, this.#brush.y + arrow[1] * step)),
      };
      if (this.#stroke) this.#paintTo(this.#brush);
      else this.#placeCursor();
      this.#sayPlace();
    } else if (event.code === "Space" || event.code === "KeyE") {
      if (!event.repeat) {
        this.#begin(event.code, this.#brush, event.code === "KeyE" || this.#isEraser);
        this.#paintTo(this.#brush);
      }
    } else if (event.key === "[" || event.key === "]") {
      const { input } = this.#size;
      const size = input.valueAsNumber * (event.key === "]" ? 1.25 : 0.8);
      this.#size.set(Math.max(1, Math.min(50, event.key === "]" ? Math.ceil(size) : Math.floor(size))));
      this.#placeCursor();
      this.#status.textContent = `Brush ${input.value} % of the photo.`;
    } else if (this.#layers[Number(event.key) - 1]) {
      this.#select(Number(event.key) - 1);
      this.#say();
    } else return;
    event.preventDefault();
  }

  #sayPlace() {
    const { width, height } = this.#canvas;
    const { x, y } = this.#brush;
    const at = Math.min(height - 1, Math.floor(y)) * width + Math.min(width - 1, Math.floor(x));
    const inside = this.#layer.feathered[at] >= 128 ? "inside the mask" : "outside the mask";
    const [across, down] = [Math.round((100 * x) / width), Math.round((100 * y) / height)];
    this.#status.textContent = `Brush at ${across} % from the left, ${down} % from the top, ${inside}.`;
  }
}

/** @param {MaskLayer} layer */
function share(layer) {
  if (layer.isEverywhere) return "everywhere";
  const percent = 100 * layer.coverage;
  return percent === 0 ? "nowhere" : `on ${percent < 1 ? "under 1" : Math.round(percent)} % of the photo`;
}

/**
 * A slider with its label and value, in percent of the photo's long side.
 * @param {string} label @param {import("../shared/dom.js").Attributes} attributes
 */
function range(label, attributes) {
  const input = build("input", { id: uniqueId("mask"), type: "range", ...attributes });
  const output = build("span", { "aria-hidden": "true" }); // the slider itself announces the value
  const show = () => {
    output.textContent = `${input.value} %`;
    input.setAttribute("aria-valuetext", `${input.value} % of the photo`);
  };
  input.addEventListener("input", show);
  show();
  const row = build("p", { class: "tool-range" }, build("label", { for: input.id }, label), " ", output, input);
  const set = (/** @type {number} */ value) => {
    input.value = String(value);
    show();
  };
  return { row, input, set };
}

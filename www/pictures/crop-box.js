// A dialog to crop a picture.

import { middle, move, reshape, resize, set, whole } from "./crop-geometry.js";
import { ask, build, button, uniqueId } from "../shared/dom.js";

/**
 * @typedef {import("./crop-geometry.js").Crop} Crop
 * @typedef {{ url: string, width: number, height: number, name: string }} Picture in pixels of the upright picture
 */

/** @type {import("./crop-geometry.js").Handle[]} */
const HANDLES = ["n", "ne", "e", "se", "s", "sw", "w", "nw"];
const FIELDS = /** @type {const} */ (["x", "y", "width", "height"]);
const LABELS = { x: "Left", y: "Top", width: "Width", height: "Height" };
const HINT = "Arrow keys move the box; with Shift they change its size, with Alt by one pixel.";

export class CropDialog {
  #dialog;
  #title;
  #stage;
  #image;
  #hole;
  #box;
  #inputs;
  #lock;
  #lockText;
  #status;
  #problem;
  #square;
  #picture = { url: "", width: 1, height: 1, name: "" };
  /** @type {Crop} */ #crop = { x: 0, y: 0, width: 1, height: 1 };
  /** The locked shape, and the one locked on opening (`#wanted`). @type {number | null} */ #aspect = null;
  /** @type {number | null} */ #wanted = null;
  #isReset = false;

  /** @param {HTMLDialogElement} dialog an empty one */
  constructor(dialog) {
    this.#dialog = dialog;
    dialog.classList.add("tool-dialog");
    this.#title = build("h2", { id: uniqueId("crop-title") });
    dialog.setAttribute("aria-labelledby", this.#title.id);
    const hint = build("p", { id: uniqueId("crop-hint"), class: "hint tool-keys" }, HINT);

    this.#image = build("img", { alt: "", draggable: "false" });
    this.#hole = build("div", { class: "crop-hole" });
    this.#box = build(
      "div",
      { class: "crop-box", tabindex: 0, role: "group", "aria-label": "Crop box", "aria-describedby": hint.id },
      ...HANDLES.map((handle) => build("span", { "data-handle": handle })),
    );
    this.#stage = build(
      "div",
      { class: "crop-stage" },
      build("div", { class: "crop-picture" }, this.#image, this.#hole),
      this.#box,
    );

    const inputs = FIELDS.map((field) => {
      const input = build("input", { id: uniqueId("crop"), type: "number", min: 0, step: 1, inputmode: "numeric" });
      input.addEventListener("change", () => this.#type(field));
      input.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.#type(field);
      });
      return /** @type {const} */ ([field, input]);
    });
    this.#inputs = Object.fromEntries(inputs);
    this.#lock = build("input", { type: "checkbox" });
    this.#lock.addEventListener("change", () => this.#setLock(this.#lock.checked));
    this.#lockText = build("span");
    this.#status = build("span", { class: "hint", role: "status" });
    this.#problem = build("p", { class: "problem", role: "alert" });
    this.#square = button("The middle square", () => {
      if (this.#aspect !== 1) this.#free();
      this.#set(middle(this.#picture, 1));
    });
    const done = button("Done", () => dialog.close("done"), { class: "primary" });
    const none = button("No crop", () => {
      this.#isReset = true;
      dialog.close("done");
    });
    none.title = "Back to what is used without a crop of your own: the picture's middle";

    dialog.replaceChildren(
      this.#title,
      hint,
      this.#problem,
      this.#stage,
      build(
        "div",
        { class: "tool-row" },
        ...inputs.map(([field, input]) =>
          build("p", { class: "tool-number" }, build("label", { for: input.id }, `${LABELS[field]}, px`), input),
        ),
      ),
      build(
        "div",
        { class: "tool-row" },
        build("label", { class: "tool-check" }, this.#lock, this.#lockText),
        button("The whole picture", () => {
          this.#free();
          this.#set(whole(this.#picture));
        }),
        this.#square,
      ),
      build(
        "p",
        { class: "tool-actions" },
        done,
        button("Cancel", () => dialog.close()),
        none,
        this.#status,
      ),
    );
    this.#listen();
  }

  /**
   * @param {Picture} picture
   * @param {{ aspect: number | null, crop: Crop | null }} options `aspect`: the initially locked shape, width / height
   * @returns {Promise<Crop | null | undefined>} null = no crop (the default centre crop), undefined = closed without a
   *   change
   */
  async edit(picture, { aspect, crop }) {
    this.#picture = picture;
    this.#wanted = aspect;
    this.#isReset = false;
    this.#title.textContent = `Crop ${picture.name}`;
    this.#problem.textContent = "";
    this.#image.onerror = () => {
      this.#problem.textContent = "This browser cannot show the picture: set the crop by its numbers.";
    };
    Object.assign(this.#image, { width: picture.width, height: picture.height, src: picture.url });
    this.#stage.style.setProperty("--ratio", String(picture.width / picture.height));
    for (const [field, input] of Object.entries(this.#inputs)) {
      const max = field === "x" || field === "width" ? picture.width : picture.height;
      input.max = String(max);
    }
    // A crop of another shape was made without the lock, so the dialog opens unlocked.
    const isShaped = !crop || aspect === null || Math.abs(crop.width - crop.height * aspect) <= 1 + aspect;
    this.#aspect = isShaped ? aspect : null;
    this.#lock.checked = this.#aspect !== null;
    this.#set(crop ? move(crop, 0, 0, picture) : middle(picture, aspect));
    this.#status.textContent = "";
    if (!(await ask(this.#dialog, this.#box))) return undefined;
    return this.#isReset ? null : this.#crop;
  }

  /** @param {Crop} crop @param {boolean} [isSaid] whether the live region announces it; not during a drag */
  #set(crop, isSaid = true) {
    this.#crop = crop;
    const { width, height } = this.#picture;
    for (const { style } of [this.#box, this.#hole]) {
      style.left = `${(100 * crop.x) / width}%`;
      style.top = `${(100 * crop.y) / height}%`;
      style.width = `${(100 * crop.width) / width}%`;
      style.height = `${(100 * crop.height) / height}%`;
    }
    for (const field of FIELDS) this.#inputs[field].value = String(crop[field]);
    const shape = this.#aspect ?? this.#wanted;
    this.#lockText.textContent = shape === null ? "Lock the shape" : `Lock the shape, ${ratio(shape)}`;
    if (isSaid) this.#status.textContent = `${crop.width} × ${crop.height} pixels, from ${crop.x}, ${crop.y}.`;
  }

  #free() {
    this.#aspect = null;
    this.#lock.checked = false;
  }

  /** @param {boolean} isLocked */
  #setLock(isLocked) {
    const { width, height } = this.#crop;
    this.#aspect = isLocked ? (this.#wanted ?? width / height) : null;
    this.#set(this.#aspect === null ? this.#crop : reshape(this.#crop, this.#aspect, this.#picture));
  }

  /** @param {keyof Crop} field */
  #type(field) {
    const value = this.#inputs[field].valueAsNumber;
    this.#set(Number.isFinite(value) ? set(this.#crop, field, value, this.#picture, this.#aspect) : this.#crop);
  }

  #listen() {
    const box = this.#box;
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const target = /** @type {HTMLElement} */ (event.target);
      const handle = /** @type {import("./crop-geometry.js").Handle | undefined} */ (target.dataset.handle);
      const from = this.#crop;
      const { clientX, clientY } = event;
      const scale = this.#picture.width / (this.#stage.clientWidth || 1);
      const drag = (/** @type {PointerEvent} */ event) => {
        const [dx, dy] = [(event.clientX - clientX) * scale, (event.clientY - clientY) * scale];
        const next = handle
          ? resize(from, handle, dx, dy, this.#picture, this.#aspect)
          : move(from, dx, dy, this.#picture);
        this.#set(next, false);
      };
      const end = () => {
        box.removeEventListener("pointermove", drag);
        this.#set(this.#crop);
      };
      box.setPointerCapture(event.pointerId);
      box.addEventListener("pointermove", drag);
      box.addEventListener("lostpointercapture", end, { once: true });
    });
    box.addEventListener("keydown", (event) => {
      /** @type {Record<string, [number, number]>} */
      const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const arrow = arrows[event.key];
      if (!arrow || event.ctrlKey || event.metaKey) return;
      event.preventDefault(); // Alt with an arrow would navigate away
      const step = event.altKey ? 1 : Math.max(2, Math.round(Math.max(this.#picture.width, this.#picture.height) / 50));
      const [dx, dy] = [arrow[0] * step, arrow[1] * step];
      if (event.shiftKey) this.#set(resize(this.#crop, dx ? "e" : "s", dx, dy, this.#picture, this.#aspect));
      else this.#set(move(this.#crop, dx, dy, this.#picture));
    });
  }
}

/** A shape in words: 1 : 1, 4 : 3, or 1.37 : 1. @param {number} aspect */
function ratio(aspect) {
  for (let height = 1; height <= 16; height++) {
    const width = aspect * height;
    if (Math.abs(width - Math.round(width)) < 1e-3 && width >= 1) return `${Math.round(width)} : ${height}`;
  }
  return aspect >= 1 ? `${aspect.toFixed(2)} : 1` : `1 : ${(1 / aspect).toFixed(2)}`;
}

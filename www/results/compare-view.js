// Compares before and after: a draggable divider, zoom and pan. The pictures move by transforms, which the browser
// composites without layout or paint.

import { build, button, uniqueId } from "../shared/dom.js";
import { FIT, clampView, panBy, resizeView, zoomAt } from "./zoom.js";

/**
 * @typedef {{ before: string, after: string, width: number, height: number, beforeName: string, afterName: string }} Pair
 *   addresses of both pictures, and the size of `after` in pixels; `before` covers the same box, with a centre crop
 *   like the model's input if its shape differs
 */

/** Distance that starts a drag, and distance within which a drag grabs the divider, in CSS pixels. */
const DRAG = 4;
const GRIP = 24;
const HINT =
  "Arrow keys move the divider, or the picture when it is enlarged. Plus and minus zoom, 0 fits the picture in, 1 shows it pixel by pixel.";

export class CompareView {
  #root;
  #stage;
  #reveal;
  #planes;
  #images;
  #divider;
  #tags;
  #range;
  #level;
  #problem;
  #sliderRow;
  /** @type {Pair | null} */ #pair = null;
  /** @type {import("./zoom.js").View} */ #view = FIT;
  #box = { width: 0, height: 0 };
  /** The divider's position as a fraction of the width, from 0 (all after) to 1 (all before). */
  #at = 0.5;
  #frame = 0;
  /** Positions of the pressed pointers. @type {Map<number, { x: number, y: number }>} */ #pointers = new Map();
  /** @type {"divide" | "pan" | "pinch" | null} */ #gesture = null;
  #start = { x: 0, y: 0 };

  /** @param {HTMLElement} root an empty element */
  constructor(root) {
    this.#root = root;
    root.classList.add("compare-view");
    const image = () => build("img", { alt: "", draggable: "false" });
    this.#images = { before: image(), after: image() };
    const plane = (/** @type {HTMLImageElement} */ img) => build("div", { class: "compare-plane" }, img);
    this.#planes = { before: plane(this.#images.before), after: plane(this.#images.after) };
    this.#reveal = build("div", { class: "compare-reveal" }, this.#planes.before);
    this.#divider = build("div", { class: "compare-divider", "aria-hidden": "true" }, build("span"));
    this.#tags = [
      build("span", { class: "compare-tag", "data-side": "before", "aria-hidden": "true" }, "Before"),
      build("span", { class: "compare-tag", "data-side": "after", "aria-hidden": "true" }, "After"),
    ];
    const hint = build("p", { id: uniqueId("compare-hint"), class: "compare-hint" }, HINT);
    this.#stage = build(
      "div",
      {
        class: "compare-stage",
        tabindex: 0,
        role: "group",
        "aria-label": "Before and after",
        "aria-describedby": hint.id,
      },
      this.#planes.after,
      this.#reveal,
      this.#divider,
      ...this.#tags,
    );

    this.#range = build("input", { id: uniqueId("compare"), type: "range", min: 0, max: 100, step: 1, value: 50 });
    this.#range.addEventListener("input", () => this.#divideAt(Number(this.#range.value) / 100));
    this.#sliderRow = build(
      "p",
      { class: "compare-slider" },
      build("label", { for: this.#range.id }, "Compare with the photo"),
      this.#range,
    );
    this.#level = build("output", { "aria-label": "Zoom" }, "1×");
    const zoom = build(
      "div",
      { class: "compare-zoom", role: "group", "aria-label": "Zoom" },
      button("−", () => this.#zoomTo(this.#view.zoom / 1.5), { "aria-label": "Zoom out" }),
      this.#level,
      button("+", () => this.#zoomTo(this.#view.zoom * 1.5), { "aria-label": "Zoom in" }),
      button("Fit", () => this.#zoomTo(1), { title: "The whole picture" }),
      button("1:1", () => this.#zoomTo(this.#oneToOne), { title: "Each pixel of the picture as one of the page" }),
    );
    this.#problem = build("p", { class: "compare-problem", role: "status" });
    root.replaceChildren(
      this.#stage,
      hint,
      build("div", { class: "compare-bar" }, this.#sliderRow, zoom),
      this.#problem,
    );
    this.#listen();
  }

  /** Shows a pair. Divider, zoom and pan stay if the previous pair had the same size. @param {Pair} pair */
  show(pair) {
    const { before, after, width, height, beforeName, afterName } = pair;
    const isAlike = this.#pair?.width === width && this.#pair.height === height;
    this.#pair = pair;
    this.#stage.style.setProperty("--width", `${width}px`);
    this.#stage.style.setProperty("--ratio", String(width / height));
    this.#stage.setAttribute("aria-label", `Before and after: ${beforeName}; ${afterName}`);
    Object.assign(this.#images.after, { width, height, alt: afterName, src: after });
    Object.assign(this.#images.before, { width, height, alt: beforeName });
    // The photo is hidden, but keeps its space, until it is known that the browser can display its format.
    this.#setComparable(true);
    this.#root.toggleAttribute("data-waiting", true);
    this.#problem.textContent = "";
    this.#images.before.onload = () => this.#root.removeAttribute("data-waiting");
    this.#images.before.onerror = () => {
      this.#setComparable(false);
      this.#problem.textContent = `This browser cannot show ${beforeName}, so there is only the result to see.`;
    };
    this.#images.before.src = before;
    if (!isAlike) {
      this.#setView(FIT);
      this.#divideAt(0.5);
    }
    this.#draw();
  }

  /** @param {boolean} isComparable */
  #setComparable(isComparable) {
    for (const part of [this.#reveal, this.#divider, this.#sliderRow, ...this.#tags]) part.hidden = !isComparable;
  }

  /** The zoom at which a pixel of the picture is one CSS pixel. */
  get #oneToOne() {
    return this.#pair && this.#box.width ? this.#pair.width / this.#box.width : 1;
  }

  /** @param {number} at */
  #divideAt(at) {
    this.#at = Math.min(1, Math.max(0, at));
    const percent = Math.round(this.#at * 100);
    this.#range.value = String(percent);
    this.#range.setAttribute("aria-valuetext", `${percent} % photo, ${100 - percent} % result`);
    this.#draw();
  }

  /** @param {number} zoom @param {{ x: number, y: number }} [at] the box's centre by default */
  #zoomTo(zoom, at = { x: this.#box.width / 2, y: this.#box.height / 2 }) {
    this.#setView(zoomAt(this.#view, zoom, at, this.#box, Math.min(1, this.#oneToOne)));
  }

  /** @param {import("./zoom.js").View} view */
  #setView(view) {
    this.#view = view;
    const level = `${Number(view.zoom.toFixed(1))}×`;
    if (this.#level.textContent !== level) this.#level.textContent = level;
    this.#root.toggleAttribute("data-zoomed", view.zoom > 1);
    this.#draw();
  }

  /** Redraws, at most once per frame. */
  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const { zoom, x, y } = this.#view;
      const shown = this.#at * 100;
      // The clipping window over the photo moves left by the hidden width, and the photo inside it moves right by the
      // same amount. Percentages of the stage stay valid while its size changes.
      this.#reveal.style.transform = `translate3d(${shown - 100}%, 0, 0)`;
      this.#planes.before.style.transform = `translate3d(calc(${100 - shown}% + ${x}px), ${y}px, 0) scale(${zoom})`;
      this.#planes.after.style.transform = `translate3d(${x}px, ${y}px, 0) scale(${zoom})`;
      this.#divider.style.left = `calc(${shown}% - 1.5px)`;
    });
  }

  #listen() {
    const stage = this.#stage;
    new ResizeObserver(() => {
      const box = { width: stage.clientWidth, height: stage.clientHeight };
      if (this.#box.width) this.#view = resizeView(this.#view, this.#box, box);
      this.#box = box;
      this.#setView(clampView(this.#view, box));
    }).observe(stage);
    stage.addEventListener("pointerdown", (event) => this.#press(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of /** @type {const} */ (["pointerup", "pointercancel"])) {
      stage.addEventListener(type, (event) => this.#release(event));
    }
    stage.addEventListener("dblclick", (event) => this.#zoomTo(this.#view.zoom > 1 ? 1 : 3, this.#place(event)));
    // A trackpad's pinch arrives as a wheel event with Ctrl; a plain wheel scrolls the page.
    const onWheel = (/** @type {WheelEvent} */ event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1);
      this.#zoomTo(this.#view.zoom * Math.exp(-Math.max(-100, Math.min(100, pixels)) / 200), this.#place(event));
    };
    stage.addEventListener("wheel", onWheel, { passive: false });
    stage.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {MouseEvent} event */
  #place({ clientX, clientY }) {
    const { left, top } = this.#stage.getBoundingClientRect();
    return { x: clientX - left - this.#stage.clientLeft, y: clientY - top - this.#stage.clientTop };
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0 || this.#pointers.size === 2) return;
    const at = this.#place(event);
    this.#pointers.set(event.pointerId, at);
    this.#stage.setPointerCapture(event.pointerId);
    this.#start = at;
    this.#gesture = this.#pointers.size === 2 ? "pinch" : null;
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    const at = this.#place(event);
    if (!this.#gesture) {
      if (Math.hypot(at.x - this.#start.x, at.y - this.#start.y) < DRAG) return;
      const isNear = Math.abs(this.#start.x - this.#at * this.#box.width) <= GRIP;
      this.#gesture = !this.#reveal.hidden && (isNear || this.#view.zoom <= 1) ? "divide" : "pan";
      this.#root.toggleAttribute("data-moving", true);
    }
    if (this.#gesture === "divide") this.#divideAt(at.x / this.#box.width);
    else if (this.#gesture === "pan") this.#setView(panBy(this.#view, at.x - last.x, at.y - last.y, this.#box));
    else {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) this.#pinch(last, at, other);
    }
    this.#pointers.set(event.pointerId, at);
  }

  /**
   * One of two fingers has moved: their distance sets the zoom, their midpoint the pan.
   * @param {{ x: number, y: number }} last @param {{ x: number, y: number }} at @param {{ x: number, y: number }} other
   */
  #pinch(last, at, other) {
    const distance = (/** @type {{ x: number, y: number }} */ p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
    const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    const panned = panBy(this.#view, (at.x - last.x) / 2, (at.y - last.y) / 2, this.#box);
    const zoom = panned.zoom * (distance(at) / distance(last));
    this.#setView(zoomAt(panned, zoom, middle, this.#box, Math.min(1, this.#oneToOne)));
  }

  /** @param {PointerEvent} event */
  #release(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    // If one finger of a pinch is lifted, the other continues as a drag.
    const [left] = this.#pointers.values();
    if (left) this.#start = left;
    this.#gesture = null;
    this.#root.removeAttribute("data-moving");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, [number, number]>} */
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const arrow = arrows[event.key];
    if (arrow && this.#view.zoom > 1) {
      const step = event.shiftKey ? 0.5 : 0.1; // the view moves with the arrow, the picture against it
      this.#setView(
        panBy(this.#view, -arrow[0] * step * this.#box.width, -arrow[1] * step * this.#box.height, this.#box),
      );
    } else if (arrow && arrow[0]) this.#divideAt(this.#at + arrow[0] * (event.shiftKey ? 0.1 : 0.02));
    else if (event.key === "+" || event.key === "=") this.#zoomTo(this.#view.zoom * 1.5);
    else if (event.key === "-") this.#zoomTo(this.#view.zoom / 1.5);
    else if (event.key === "0") this.#zoomTo(1);
    else if (event.key === "1") this.#zoomTo(this.#oneToOne);
    else return; // leave other keys to the page, such as scrolling
    event.preventDefault();
  }
}

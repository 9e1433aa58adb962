// The mask of one style, painted with hard edges and feathered on reading; and the undo history of strokes.

import { blur } from "./blur.js";

/**
 * @typedef {{ x: number, y: number }} Point in pixels of the mask
 * @typedef {{ pixels: Uint8ClampedArray<ArrayBuffer>, isUntouched: boolean, feather: number }} Snapshot
 */

export class MaskLayer {
  /** 255 = applies, 0 = does not; row by row, without the feather. @type {Uint8ClampedArray<ArrayBuffer>} */ pixels;
  /** Not painted yet: the style applies everywhere. The first brush stroke then starts from an empty mask. */
  isUntouched = true;
  /** @type {Uint8ClampedArray<ArrayBuffer> | null} */ #feathered = null;
  #feather = 0;

  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.pixels = new Uint8ClampedArray(width * height).fill(255);
  }

  /** Softness of the edges: the blur's σ in pixels. */
  get feather() {
    return this.#feather;
  }
  set feather(sigma) {
    this.#feather = sigma;
    this.#feathered = null;
  }

  /** The mask as it is used, with its feather. */
  get feathered() {
    return (this.#feathered ??= this.isUntouched
      ? this.pixels
      : blur(this.pixels, this.width, this.height, this.feather));
  }

  /** The share of the picture that it covers, 0 to 1. */
  get coverage() {
    return this.feathered.reduce((sum, value) => sum + value, 0) / (255 * this.feathered.length);
  }

  get isEverywhere() {
    return this.isUntouched || this.pixels.every((value) => value === 255);
  }

  /** A stroke of a round brush from one point to another. @param {Point} from @param {Point} to @param {number} radius @param {boolean} isErasing */
  stroke(from, to, radius, isErasing) {
    if (this.isUntouched && !isErasing) this.pixels.fill(0);
    this.#touch();
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const squared = dx * dx + dy * dy || 1;
    const reach = radius + 1;
    const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - reach));
    const right = Math.min(this.width - 1, Math.ceil(Math.max(from.x, to.x) + reach));
    const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - reach));
    const bottom = Math.min(this.height - 1, Math.ceil(Math.max(from.y, to.y) + reach));
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        // Distance from the pixel's centre to the nearest point of the line; the edge is antialiased over one pixel.
        const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
        const along = Math.max(0, Math.min(1, (px * dx + py * dy) / squared));
        const inside = radius + 0.5 - Math.hypot(px - along * dx, py - along * dy);
        if (inside <= 0) continue;
        const value = 255 * Math.min(1, inside);
        const at = y * this.width + x;
        this.pixels[at] = isErasing ? Math.min(this.pixels[at], 255 - value) : Math.max(this.pixels[at], value);
      }
    }
  }

  /** @param {boolean} isHere true = everywhere, false = nowhere */
  fill(isHere) {
    this.pixels.fill(isHere ? 255 : 0);
    this.#touch();
  }

  invert() {
    for (let i = 0; i < this.pixels.length; i++) this.pixels[i] = 255 - this.pixels[i];
    this.#touch();
  }

  /** @returns {Snapshot} */
  snapshot() {
    return { pixels: this.pixels.slice(), isUntouched: this.isUntouched, feather: this.feather };
  }

  /** @param {Snapshot} snapshot */
  restore({ pixels, isUntouched, feather }) {
    this.pixels.set(pixels);
    this.isUntouched = isUntouched;
    this.feather = feather;
  }

  #touch() {
    this.isUntouched = false;
    this.#feathered = null;
  }
}

/** Undo and redo steps of all layers in one sequence; the oldest are dropped first. */
export class History {
  /** @type {{ index: number, before: Snapshot, after: Snapshot }[]} */ #steps = [];
  #at = 0;

  /** @param {number} [most] how many steps are kept */
  constructor(most = 40) {
    this.most = most;
  }

  get canUndo() {
    return this.#at > 0;
  }
  get canRedo() {
    return this.#at < this.#steps.length;
  }

  /** @param {number} index of the layer @param {Snapshot} before @param {Snapshot} after */
  add(index, before, after) {
    this.#steps.splice(this.#at, Infinity, { index, before, after });
    if (this.#steps.length > this.most) this.#steps.shift();
    this.#at = this.#steps.length;
  }

  /** @param {MaskLayer[]} layers @returns {number | null} index of the changed layer */
  undo(layers) {
    if (!this.canUndo) return null;
    const { index, before } = this.#steps[--this.#at];
    layers[index].restore(before);
    return index;
  }

  /** @param {MaskLayer[]} layers @returns {number | null} index of the changed layer */
  redo(layers) {
    if (!this.canRedo) return null;
    const { index, after } = this.#steps[this.#at++];
    layers[index].restore(after);
    return index;
  }
}

// Masks as files: greyscale PNGs with the feather applied. The unfeathered layers of masks made on this visit are kept,
// so that editing a mask again does not feather it twice.

import { build } from "../shared/dom.js";
import { greyPng } from "./grey-png.js";

/** @typedef {import("./mask-layer.js").MaskLayer} MaskLayer */

/**
 * The layer that each file was read into or written from.
 * @type {WeakMap<Blob, { width: number, height: number, snapshot: import("./mask-layer.js").Snapshot }>}
 */
const known = new WeakMap();

/** Reads a mask of any size into a layer. @param {Blob} mask @param {MaskLayer} layer */
export async function readMask(mask, layer) {
  const { width, height } = layer;
  const earlier = known.get(mask);
  if (earlier?.width === width && earlier.height === height) return layer.restore(earlier.snapshot);
  const bitmap = await createImageBitmap(mask);
  const context = build("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const luminance = (/** @type {number} */ i) => 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
  const pixels = Uint8ClampedArray.from({ length: width * height }, (_, i) => luminance(4 * i));
  layer.restore({ pixels, isUntouched: false, feather: 0 });
  known.set(mask, { width, height, snapshot: layer.snapshot() });
}

/**
 * @param {MaskLayer} layer @param {Blob | null} before the file that was read into it
 * @returns {Promise<Blob | null>} null = everywhere; `before` itself if nothing has changed
 */
export async function writeMask(layer, before) {
  const { width, height, feather, pixels } = layer;
  if (layer.isEverywhere) return null;
  const earlier = before && known.get(before);
  const isSame = earlier?.width === width && earlier.height === height && earlier.snapshot.feather === feather;
  if (before && isSame && earlier.snapshot.pixels.every((value, i) => value === pixels[i])) return before;
  const mask = await greyPng(layer.feathered, width, height);
  known.set(mask, { width, height, snapshot: layer.snapshot() });
  return mask;
}

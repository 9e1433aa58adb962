// Picture operations on a canvas: frames, thumbnails, other file formats.

/**
 * @typedef {import("../styleid.js").Crop} Crop
 * @typedef {{ blob: Blob, full: { width: number, height: number }, crop: Crop | null }} Source `crop` is in pixels
 *   of `full`; the picture in `blob` may be smaller
 */

/** @param {number} width @param {number} height */
function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  return { canvas, context: /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")) };
}

/** @param {HTMLCanvasElement} canvas @param {string} type @param {number} [quality] @returns {Promise<Blob>} */
function encode(canvas, type, quality) {
  return new Promise((resolve, reject) => {
    const refuse = () => reject(new Error("This browser could not make the file: download the PNG instead."));
    // A browser that lacks a format silently returns a PNG.
    canvas.toBlob((blob) => (blob?.type === type ? resolve(blob) : refuse()), type, quality);
  });
}

/**
 * The part of a picture that was the model's input, at the result's size.
 * @param {Source} source @param {number} width @param {number} height @returns {Promise<Blob>}
 */
export async function frame({ blob, full, crop }, width, height) {
  const bitmap = await createImageBitmap(blob);
  const part = scaled(crop ?? { x: 0, y: 0, ...full }, bitmap.width / full.width);
  // If the aspect ratios differ, take the centre.
  const scale = Math.max(width / part.width, height / part.height);
  const [w, h] = [width / scale, height / scale];
  const { canvas, context } = canvasOf(width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, part.x + (part.width - w) / 2, part.y + (part.height - h) / 2, w, h, 0, 0, width, height);
  bitmap.close();
  return encode(canvas, "image/jpeg", 0.92);
}

/** @param {Crop} crop @param {number} by @returns {Crop} */
const scaled = ({ x, y, width, height }, by) => ({ x: x * by, y: y * by, width: width * by, height: height * by });

/** @param {Blob} blob @param {number} side of the square that it must cover @returns {Promise<Blob>} */
export async function thumbnail(blob, side) {
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(1, side / Math.min(bitmap.width, bitmap.height));
  const { canvas, context } = canvasOf(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return encode(canvas, "image/jpeg", 0.85);
}

/** A picture in another format. @param {Blob} blob @param {"image/jpeg" | "image/webp"} type @returns {Promise<Blob>} */
export async function convert(blob, type) {
  const bitmap = await createImageBitmap(blob);
  const { canvas, context } = canvasOf(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return encode(canvas, type, 0.92);
}

/** Downloads a file. @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the download has started by then
}

/** A file name without extension and without characters that file systems refuse. @param {string} name */
const stem = (name) => name.replace(/\.[^.]{1,5}$/, "").replace(/[\\/:*?"<>|]+/g, "-") || "picture";

/** What a result's file is called, without its ending. @param {string} photo @param {string[]} paintings */
export const fileName = (photo, paintings) => `${stem(photo)} in the style of ${paintings.map(stem).join(" and ")}`;

// Pictures that only the browser decodes: HEIC in Safari, AVIF, TIFF if supported, and pictures with more pixels than
// the wasm module accepts. The module gets a PNG instead; the browser makes it upright and converts it to sRGB.

/** Largest PNG made from such a picture, in pixels: more than a run works on, even after cropping. */
const MOST_PIXELS = 16_000_000;

/** More pixels than any browser decodes: the header of such a file may lie about its size. */
const TOO_MANY = 2 ** 28;

/** Shown with such a picture. */
export const NOTE = "This browser has decoded it.";

/**
 * @param {Uint8Array} bytes @param {number[]} sides from the header, before rotation; 0 if unknown
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null if this browser cannot decode it either
 */
export async function decodedByBrowser(bytes, [width, height]) {
  if (width * height > TOO_MANY) return null;
  const share = Math.sqrt(MOST_PIXELS / Math.max(width * height, MOST_PIXELS));
  try {
    const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]);
    // With only the width set, the browser keeps the aspect ratio, whatever the picture's orientation.
    const bitmap = await createImageBitmap(
      blob,
      share < 1 ? { resizeWidth: Math.round(width * share), resizeQuality: "high" } : {},
    );
    const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    if (!context) return null;
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
  } catch {
    return null;
  }
}

// Pictures that only the browser decodes: HEIC in Safari, AVIF, TIFF where it can, more pixels than the program takes. The
// program gets a PNG of them, upright and in sRGB, which browsers see to by themselves.

/** The most that is made of one, in pixels: more than a run works on, also after cropping. */
const MOST_PIXELS = 16_000_000;

/** More than any browser decodes, in pixels: such a file may only say that it has them. */
const TOO_MANY = 2 ** 28;

/** What is said of such a picture. */
export const NOTE = "This browser has decoded it.";

/**
 * @param {Uint8Array} bytes @param {number[]} sides of the picture by its header, not yet upright; 0 where they are unknown
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null where this browser cannot decode it either
 */
export async function decodedByBrowser(bytes, [width, height]) {
  if (width * height > TOO_MANY) return null;
  const share = Math.sqrt(MOST_PIXELS / Math.max(width * height, MOST_PIXELS));
  try {
    const blob = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]);
    // Of one side the other follows, whichever way the picture lies.
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

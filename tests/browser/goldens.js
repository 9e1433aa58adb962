// Goldens of the PyTorch reference (see tests/fixtures/README.md), read as pictures.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { PNG } from "pngjs";

/** @typedef {{ width: number, height: number, rgb: Uint8Array }} Picture */

/** @param {string} name @returns {Promise<{ content: Picture, style: Picture, image: Picture }>} */
export async function readGolden(name) {
  const file = await readFile(fileURLToPath(new URL(`../fixtures/goldens/${name}.safetensors`, import.meta.url)));
  // safetensors: length of the header as u64, the header as JSON, then the tensors.
  const headerLength = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerLength));
  const picture = (key) => {
    const { dtype, shape, data_offsets } = header[key];
    if (dtype !== "U8" || shape.length !== 3 || shape[2] !== 3)
      throw new Error(`${name}: ${key} is ${dtype} [${shape}], not U8 [H, W, 3]`);
    const [begin, end] = data_offsets.map((offset) => 8 + headerLength + offset);
    return { width: shape[1], height: shape[0], rgb: new Uint8Array(file.subarray(begin, end)) };
  };
  return { content: picture("content_u8"), style: picture("style_u8"), image: picture("image_u8") };
}

/** @param {Picture} picture @returns {Buffer} */
export function encodePng({ width, height, rgb }) {
  const png = new PNG({ width, height });
  for (let i = 0; i < width * height; i++) png.data.set([...rgb.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  return PNG.sync.write(png, { colorType: 2 });
}

/** @param {Buffer} bytes @returns {Picture} */
export function decodePng(bytes) {
  const { width, height, data } = PNG.sync.read(bytes);
  return {
    width,
    height,
    rgb: Uint8Array.from({ length: 3 * width * height }, (_, i) => data[Math.floor(i / 3) * 4 + (i % 3)]),
  };
}

/** @param {Uint8Array} a @param {Uint8Array} b of the same length */
export function largestDifference(a, b) {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

/** @param {Uint8Array} values */
export function standardDeviation(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

// Encodes one plane of bytes as a greyscale PNG. A canvas could only encode RGBA, four times as many bytes.

import { crc32 } from "../shared/crc32.js";

/** @param {Uint8Array | Uint8ClampedArray} pixels width × height, row by row @param {number} width @param {number} height @returns {Promise<Blob>} */
export async function greyPng(pixels, width, height) {
  const rows = new Uint8Array((width + 1) * height); // each row begins with its filter type, 0 = none
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits per pixel; then zeros: grey, the only compression and filter methods, no interlacing
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const data = new Uint8Array(await new Response(packed).arrayBuffer());
  const parts = [signature, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array(0))];
  return new Blob(parts, { type: "image/png" });
}

/** @param {string} name @param {Uint8Array} data */
function chunk(name, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

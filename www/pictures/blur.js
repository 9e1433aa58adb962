// A Gaussian blur as three successive box blurs with running sums, so that the time does not depend on σ. Not every
// browser's canvas can blur.

/**
 * Odd lengths of three boxes whose variances add up to σ² as closely as possible.
 * @param {number} sigma
 */
function boxLengths(sigma) {
  const ideal = Math.sqrt(4 * sigma * sigma + 1); // three boxes of length n have the variance (n² − 1) / 4
  const lower = Math.max(1, Math.floor((ideal - 1) / 2) * 2 + 1);
  const variance = (/** @type {number} */ n) => (n * n - 1) / 12;
  const more = Math.round((sigma * sigma - 3 * variance(lower)) / (variance(lower + 2) - variance(lower)));
  return [0, 1, 2].map((i) => (i < more ? lower + 2 : lower));
}

/**
 * A box blur of `length` pixels along each row; pixels beyond the ends repeat the edge value.
 * @param {Float32Array} from @param {Float32Array} to @param {number} width @param {number} height
 *   @param {number} length
 */
function boxRows(from, to, width, height, length) {
  const reach = (length - 1) / 2;
  const last = width - 1;
  for (let start = 0; start < width * height; start += width) {
    let sum = from[start] * (reach + 1);
    for (let i = 1; i <= reach; i++) sum += from[start + Math.min(i, last)];
    for (let x = 0; x < width; x++) {
      to[start + x] = sum / length;
      sum += from[start + Math.min(x + reach + 1, last)] - from[start + Math.max(x - reach, 0)];
    }
  }
}

/** @param {Float32Array} from @param {Float32Array} to @param {number} width of `from` @param {number} height of `from` */
function transpose(from, to, width, height) {
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) to[x * height + y] = from[y * width + x];
}

/**
 * @param {Uint8ClampedArray} pixels width × height, row by row; not changed
 * @param {number} width @param {number} height @param {number} sigma in pixels; 0 gives a copy
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function blur(pixels, width, height, sigma) {
  if (sigma <= 0) return new Uint8ClampedArray(pixels);
  let a = Float32Array.from(pixels);
  let b = new Float32Array(a.length);
  const lengths = boxLengths(sigma);
  for (const [columns, rows] of [
    [width, height],
    [height, width],
  ]) {
    for (const length of lengths) {
      boxRows(a, b, columns, rows, length);
      [a, b] = [b, a];
    }
    transpose(a, b, columns, rows);
    [a, b] = [b, a];
  }
  return Uint8ClampedArray.from(a); // rounds
}

// Draws masks over the photo. Each style has a colour and a pattern, so that colour is not the only distinction.

/** Distinguishable with all kinds of colour vision: four of Okabe and Ito's colours. */
const COLOURS = [
  [0, 114, 178],
  [230, 159, 0],
  [0, 158, 115],
  [204, 121, 167],
];
const PERIOD = 14;
/** White. */
const EDGE = 255;
/**
 * Stripes down to the left, stripes down to the right, dots, horizontal stripes.
 * @type {((x: number, y: number) => boolean)[]}
 */
const PATTERNS = [
  (x, y) => (x + y) % PERIOD < 5,
  (x, y) => (((x - y) % PERIOD) + PERIOD) % PERIOD < 5,
  (x, y) => Math.hypot((x % PERIOD) - PERIOD / 2 + 0.5, (y % PERIOD) - PERIOD / 2 + 0.5) < 4,
  (_, y) => y % PERIOD < 5,
];

/**
 * Draws masks over each other, the current one last and more opaque.
 * @param {ImageData} image of the masks' size; overwritten
 * @param {(Uint8ClampedArray | null)[]} masks null = not drawn
 * @param {number} current
 */
export function drawMasks(image, masks, current) {
  const { data, width, height } = image;
  data.fill(0);
  const order = masks.map((_, index) => index).filter((index) => index !== current);
  for (const index of [...order, current]) {
    const mask = masks[index];
    if (!mask) continue;
    const [plain, marked] = index === current ? [0.35, 0.75] : [0.15, 0.5];
    const colour = COLOURS[index % COLOURS.length];
    const pattern = PATTERNS[index % PATTERNS.length];
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!mask[i]) continue;
        const isEdge = isOnEdge(mask, x, y, width, height);
        const over = isEdge ? 1 : ((pattern(x, y) ? marked : plain) * mask[i]) / 255;
        const under = (data[4 * i + 3] / 255) * (1 - over);
        const alpha = over + under;
        for (let c = 0; c < 3; c++) {
          data[4 * i + c] = ((isEdge ? EDGE : colour[c]) * over + data[4 * i + c] * under) / alpha;
        }
        data[4 * i + 3] = 255 * alpha;
      }
    }
  }
}

/**
 * Whether a pixel inside the mask (at least half) borders on one outside: an outline is visible on any photo.
 * @param {Uint8ClampedArray} mask @param {number} x @param {number} y @param {number} width @param {number} height
 */
function isOnEdge(mask, x, y, width, height) {
  const i = y * width + x;
  if (mask[i] < 128) return false;
  return (
    (x > 0 && mask[i - 1] < 128) ||
    (x < width - 1 && mask[i + 1] < 128) ||
    (y > 0 && mask[i - width] < 128) ||
    (y < height - 1 && mask[i + width] < 128)
  );
}

/** A style's colour and pattern for the legend. @param {HTMLCanvasElement} canvas @param {number} index */
export function drawSwatch(canvas, index) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const image = context.createImageData(canvas.width, canvas.height);
  const masks = Array.from({ length: index + 1 }, (_, i) =>
    i === index ? new Uint8ClampedArray(image.data.length / 4).fill(255) : null,
  );
  drawMasks(image, masks, index);
  context.putImageData(image, 0, 0);
}

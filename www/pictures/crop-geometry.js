// The constraints on a crop: whole pixels, inside the picture, a minimum size, and the aspect ratio if it is locked.

/**
 * @typedef {import("../styleid.js").Crop} Crop
 * @typedef {{ width: number, height: number }} Size
 * @typedef {"n" | "ne" | "e" | "se" | "s" | "sw" | "w" | "nw"} Handle the dragged side or corner
 */

export const LEAST = 16;

/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/**
 * Minimum and maximum width of a crop; a locked shape determines its height. In a picture too small for the minimum
 * size, the minimum is what fits.
 * @param {Size} room @param {number | null} aspect @param {Size} picture
 */
function widths(room, aspect, picture) {
  if (aspect === null) return { least: Math.min(LEAST, picture.width), most: room.width };
  const most = Math.min(room.width, room.height * aspect);
  return { least: Math.min(most, LEAST * Math.max(1, aspect)), most };
}

/** Whole pixels, inside the picture. @param {Crop} crop @param {Size} picture @returns {Crop} */
function settle(crop, picture) {
  const width = clamp(Math.round(crop.width), Math.min(LEAST, picture.width), picture.width);
  const height = clamp(Math.round(crop.height), Math.min(LEAST, picture.height), picture.height);
  return {
    x: clamp(Math.round(crop.x), 0, picture.width - width),
    y: clamp(Math.round(crop.y), 0, picture.height - height),
    width,
    height,
  };
}

/** @param {Size} picture @returns {Crop} */
export const whole = ({ width, height }) => ({ x: 0, y: 0, width, height });

/** The largest crop of a shape, in the picture's middle. @param {Size} picture @param {number | null} aspect @returns {Crop} */
export function middle(picture, aspect) {
  if (aspect === null) return whole(picture);
  const { most } = widths(picture, aspect, picture);
  const height = most / aspect;
  return settle({ x: (picture.width - most) / 2, y: (picture.height - height) / 2, width: most, height }, picture);
}

/** @param {Crop} crop @param {number} dx @param {number} dy @param {Size} picture @returns {Crop} */
export const move = (crop, dx, dy, picture) => settle({ ...crop, x: crop.x + dx, y: crop.y + dy }, picture);

/**
 * One axis of a drag: the anchor that stays, and the new length.
 * @param {number} from @param {number} length @param {number} d @param {-1 | 0 | 1} side the dragged one
 *   @param {number} limit
 */
function axis(from, length, d, side, limit) {
  if (side === 0)
    return {
      anchor: 0.5,
      at: from + length / 2,
      length,
      room: 2 * Math.min(from + length / 2, limit - from - length / 2),
    };
  if (side < 0) return { anchor: 1, at: from + length, length: length - d, room: from + length };
  return { anchor: 0, at: from, length: length + d, room: limit - from };
}

/**
 * Drags a side or corner; the opposite one stays. With a locked shape, dragging a side moves both adjacent sides by the
 * same amount.
 * @param {Crop} crop as it was when the drag began @param {Handle} handle
 * @param {number} dx @param {number} dy in pixels of the picture, since then
 * @param {Size} picture @param {number | null} aspect width / height; null = free
 * @returns {Crop}
 */
export function resize(crop, handle, dx, dy, picture, aspect) {
  const sideX = handle.includes("e") ? 1 : handle.includes("w") ? -1 : 0;
  const sideY = handle.includes("s") ? 1 : handle.includes("n") ? -1 : 0;
  const h = axis(crop.x, crop.width, dx, sideX, picture.width);
  const v = axis(crop.y, crop.height, dy, sideY, picture.height);
  if (aspect === null) {
    const width = sideX ? clamp(h.length, Math.min(LEAST, picture.width), h.room) : crop.width;
    const height = sideY ? clamp(v.length, Math.min(LEAST, picture.height), v.room) : crop.height;
    return settle({ x: h.at - h.anchor * width, y: v.at - v.anchor * height, width, height }, picture);
  }
  const wanted = !sideX ? v.length * aspect : !sideY ? h.length : Math.max(h.length, v.length * aspect);
  const { least, most } = widths({ width: h.room, height: v.room }, aspect, picture);
  const width = clamp(wanted, least, most);
  const height = width / aspect;
  return settle({ x: h.at - h.anchor * width, y: v.at - v.anchor * height, width, height }, picture);
}

/**
 * Sets one number of a crop, as from an input; the others are adjusted if necessary.
 * @param {Crop} crop @param {keyof Crop} field @param {number} value @param {Size} picture @param {number | null} aspect
 * @returns {Crop}
 */
export function set(crop, field, value, picture, aspect) {
  if (field === "x" || field === "y") return settle({ ...crop, [field]: value }, picture);
  if (aspect === null) return settle({ ...crop, [field]: value }, picture);
  const { least, most } = widths(picture, aspect, picture);
  const width = clamp(field === "width" ? value : value * aspect, least, most);
  return settle({ ...crop, width, height: width / aspect }, picture);
}

/**
 * Changes a crop to another aspect ratio, with about the same area and the same centre.
 * @param {Crop} crop @param {number} aspect @param {Size} picture
 */
export function reshape(crop, aspect, picture) {
  const { least, most } = widths(picture, aspect, picture);
  const width = clamp(Math.sqrt(crop.width * crop.height * aspect), least, most);
  const height = width / aspect;
  const x = crop.x + (crop.width - width) / 2;
  const y = crop.y + (crop.height - height) / 2;
  return settle({ x, y, width, height }, picture);
}

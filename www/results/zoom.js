// Zoom and pan of a picture in a box that it fills at zoom 1. Positions are CSS pixels from the box's upper left
// corner.

/**
 * @typedef {{ zoom: number, x: number, y: number }} View upper left corner, and size relative to the box
 * @typedef {{ width: number, height: number }} Box
 */

export const MAX_ZOOM = 8;
/** @type {View} */
export const FIT = { zoom: 1, x: 0, y: 0 };

/**
 * One axis: no gap if the picture is larger than the box, centred if it is smaller.
 * @param {number} at @param {number} size @param {number} zoom
 */
const settle = (at, size, zoom) =>
  zoom <= 1 ? (size - size * zoom) / 2 : Math.min(0, Math.max(size - size * zoom, at));

/** The nearest view without gaps. @param {View} view @param {Box} box @returns {View} */
export const clampView = ({ zoom, x, y }, { width, height }) => ({
  zoom,
  x: settle(x, width, zoom),
  y: settle(y, height, zoom),
});

/**
 * Zooms around the point `at`, as far as the picture's edges allow.
 * @param {View} view @param {number} zoom wanted @param {{ x: number, y: number }} at @param {Box} box
 * @param {number} [least] smallest zoom allowed
 * @returns {View}
 */
export function zoomAt(view, zoom, at, box, least = 1) {
  const next = Math.min(MAX_ZOOM, Math.max(least, zoom));
  const ratio = next / view.zoom;
  return clampView({ zoom: next, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio }, box);
}

/** @param {View} view @param {number} dx @param {number} dy @param {Box} box */
export const panBy = (view, dx, dy, box) => clampView({ ...view, x: view.x + dx, y: view.y + dy }, box);

/**
 * The view of the same part of the picture after the box was resized.
 * @param {View} view @param {Box} from @param {Box} to
 */
export const resizeView = ({ zoom, x, y }, from, to) =>
  clampView({ zoom, x: (x * to.width) / (from.width || 1), y: (y * to.height) / (from.height || 1) }, to);

// The tiles that the program's trial chose on each device, kept from visit to visit.

const KEY = "styleid.tiles";

/** @typedef {import("../styleid.js").Adapter["tiles"]} Tiles */

/** @param {Pick<Storage, "getItem">} [storage] @returns {Record<string, Tiles>} by the device's name */
export function keptTiles(storage) {
  try {
    // If a browser forbids storage, even accessing `localStorage` throws.
    const all = JSON.parse((storage ?? localStorage).getItem(KEY) ?? "{}");
    return all && typeof all === "object" && !Array.isArray(all) ? all : {};
  } catch {
    return {}; // no storage, or not our data
  }
}

/**
 * @param {{ name: string, tiles?: Tiles }} adapter
 * @param {Pick<Storage, "getItem" | "setItem">} [storage]
 */
export function keepTiles({ name, tiles = {} }, storage) {
  if (!Object.keys(tiles).length) return;
  try {
    (storage ?? localStorage).setItem(KEY, JSON.stringify({ ...keptTiles(storage), [name]: tiles }));
  } catch {
    // A private window, or no space: the next visit tries again.
  }
}

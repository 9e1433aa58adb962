// The addresses of pictures in memory, which the browser keeps until they are given back: those of results that the history has
// let go, and of pictures that nothing shows or could put back.

/**
 * @typedef {Pick<import("../engine/runner.js").Picture, "url">} Shown
 * @typedef {{ photo: Shown, styles: { picture: Shown }[] }} Job
 * @typedef {Job & { url: string, before: string | null, thumb: string }} Entry
 */

/**
 * All addresses that something may still show.
 * @param {{ entries: Entry[], jobs: Job[], pictures: Shown[] }} live results, what is to be made, and what is chosen
 * @returns {string[]}
 */
export function addressesOf({ entries, jobs, pictures }) {
  const used = [...entries, ...jobs].flatMap(({ photo, styles }) => [photo, ...styles.map(({ picture }) => picture)]);
  const own = entries.flatMap(({ url, before, thumb }) => [url, before ?? thumb, thumb]);
  return [...own, ...[...pictures, ...used].map(({ url }) => url)];
}

export class Addresses {
  /** @type {Set<string>} */ #live = new Set();
  #revoke;

  /** @param {(url: string) => void} [revoke] for tests */
  constructor(revoke = (url) => URL.revokeObjectURL(url)) {
    this.#revoke = revoke;
  }

  /** Gives back those that were live the last time and are not any more. @param {string[]} live */
  keep(live) {
    const now = new Set(live.filter((url) => url.startsWith("blob:")));
    for (const url of this.#live) if (!now.has(url)) this.#revoke(url);
    this.#live = now;
  }
}

// Revokes object URLs, which otherwise keep their pictures in memory: those of results dropped from the history, and of
// pictures that nothing shows or can restore.

/**
 * @typedef {Pick<import("../engine/runner.js").Picture, "url">} Shown
 * @typedef {{ photo: Shown, styles: { picture: Shown }[] }} Job
 * @typedef {Job & { url: string, before: string | null, thumb: string }} Entry
 */

/**
 * All object URLs that may still be shown.
 * @param {{ entries: Entry[], jobs: Job[], pictures: Shown[] }} live results, queued jobs and chosen pictures
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

  /** Revokes the URLs that were live at the last call and no longer are. @param {string[]} live */
  keep(live) {
    const now = new Set(live.filter((url) => url.startsWith("blob:")));
    for (const url of this.#live) if (!now.has(url)) this.#revoke(url);
    this.#live = now;
  }
}

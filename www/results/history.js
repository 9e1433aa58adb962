// The results of this visit: kept in memory with their pictures and settings, shown as thumbnails.

import { build } from "../shared/dom.js";
import { frame, thumbnail } from "../pictures/images.js";

/**
 * @typedef {import("../engine/runner.js").Job} Job
 * @typedef {Job & { id: number, png: Blob, url: string, before: string | null, thumb: string, width: number, height: number,
 *   seconds: number, unetCalls: number, reused: boolean, at: Date, measures?: import("../styleid.js").Measures }} Entry
 *   `before` is the part of the photo that was repainted, null if this browser cannot display the photo
 */

/** Results to keep; the oldest are dropped. */
const MOST = 60;
const THUMB = 160;

/** The list itself, newest first. */
export class History {
  /** @type {Entry[]} */ entries = [];
  #most;

  /** @param {number} [most] */
  constructor(most = MOST) {
    this.#most = most;
  }

  /** @param {Entry} entry @returns {Entry[]} the dropped ones */
  add(entry) {
    this.entries.unshift(entry);
    return this.entries.splice(this.#most);
  }
}

let lastId = 0;

/**
 * @param {Job} job @param {import("../styleid.js").Stylized} styled @param {boolean} reused @returns {Promise<Entry>}
 */
export async function makeEntry(job, { png, width, height, seconds, unetCalls }, reused) {
  const blob = new Blob([png], { type: "image/png" });
  const full = { width: job.photo.width, height: job.photo.height };
  const before = await frame({ blob: job.photo.visible, full, crop: job.crop }, width, height).catch(() => null);
  return {
    ...job,
    id: ++lastId,
    png: blob,
    url: URL.createObjectURL(blob),
    before: before && URL.createObjectURL(before),
    thumb: URL.createObjectURL(await thumbnail(blob, THUMB).catch(() => blob)),
    width,
    height,
    seconds,
    unetCalls,
    reused,
    at: new Date(),
  };
}

/** The thumbnails of a history. */
export class HistoryView {
  #root;
  #open;

  /** @param {HTMLElement} root holding the element marked `data-part=list` @param {(entry: Entry) => void} open */
  constructor(root, open) {
    this.#root = root;
    this.#open = open;
  }

  /** @param {Entry[]} entries @param {Entry | null} shown */
  show(entries, shown) {
    this.#root.hidden = entries.length === 0;
    const list = /** @type {HTMLElement} */ (this.#root.querySelector("[data-part=list]"));
    const held = list.contains(document.activeElement);
    list.replaceChildren(...entries.map((entry) => this.#item(entry, entry === shown)));
    if (held) /** @type {HTMLElement | null} */ (list.querySelector("[aria-pressed=true]"))?.focus();
  }

  /** @param {Entry} entry @param {boolean} isShown */
  #item(entry, isShown) {
    const { photo, styles, thumb, at, id } = entry;
    const paintings = styles.map(({ picture }) => picture.name).join(" and ");
    const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const name = `Result ${id}, ${time}: ${photo.name} in the style of ${paintings}`;
    const open = build(
      "button",
      {
        type: "button",
        title: name,
        "aria-label": name,
        "aria-pressed": String(isShown),
        onclick: () => this.#open(entry),
      },
      build("img", { src: thumb, alt: "", width: THUMB, height: THUMB }),
    );
    return build("li", {}, open);
  }
}

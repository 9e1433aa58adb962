// Asks before much is downloaded: how much, from where, under which licence, and whether it stays on this computer.

import { bytesKept, hostOf, pageOf } from "../engine/models.js";
import { newTab } from "../shared/dom.js";
import { formatBytes } from "../shared/format.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {{ usage: number | null, quota: number | null, available: boolean }} Room as `listKept` tells it
 */

/**
 * Whether the model will stay on the disk, as a sentence.
 * @param {number | null} bytes what keeping it takes @param {Room} room
 */
export function keepingSentence(bytes, { usage, quota, available }) {
  if (!available) {
    return "Not on this computer: this browser gives the page no storage, as in some private windows. It is fetched again next time.";
  }
  const free = usage === null || quota === null ? null : Math.max(0, quota - usage);
  if (bytes !== null && free !== null && bytes > free) {
    return `Probably not: it takes about ${formatBytes(bytes)}, and this page may store ${formatBytes(free)} more. It then runs from memory and is fetched again next time.`;
  }
  const size = bytes === null ? "" : `, about ${formatBytes(bytes)}`;
  return `On this computer${size}, so that it is fetched only once. You can remove it under “Models on this computer”.`;
}

export class Consent {
  #dialog;

  /** @param {HTMLDialogElement} dialog holding the elements marked `data-part` */
  constructor(dialog) {
    this.#dialog = dialog;
    this.#part("agree").addEventListener("click", () => dialog.close("agree"));
    this.#part("decline").addEventListener("click", () => dialog.close());
  }

  /**
   * @param {Model} model
   * @param {{ weights: import("../styleid.js").WeightType, hub: string | null, partial: KeptModel | null, room: Room }} circumstances
   *   `partial` is what an earlier visit has left half done
   * @returns {Promise<boolean>} whether the person says go
   */
  ask(model, { weights, hub, partial, room }) {
    const { bytes, licence, licenceText, name } = model;
    const size = bytes === null ? null : formatBytes(bytes);
    const title = /** @type {HTMLElement} */ (this.#dialog.querySelector("h2"));
    title.textContent = `Download ${name}?`;
    const rest = partial ? " Part of it is here from an earlier visit; only the rest is fetched." : "";
    this.#part("size").textContent = size
      ? `About ${size}${partial ? " in all" : ""}.${rest}`
      : `Not known before it begins; models of this kind are 1.5 to 5 GB.${rest}`;
    this.#part("from").replaceChildren(...source(model, hub));
    this.#part("licence").replaceChildren(
      licenceText
        ? newTab(licenceText, licence ?? "Its text")
        : (licence ?? "What the model's own page says; please read it there."),
    );
    const needed = bytesKept(model, weights);
    this.#part("kept").textContent = keepingSentence(needed && Math.max(0, needed - (partial?.bytes ?? 0)), room);
    const agree = this.#part("agree");
    agree.textContent = size && !partial ? `Download ${size}` : "Download";

    this.#dialog.returnValue = "";
    this.#dialog.showModal();
    agree.focus();
    return new Promise((resolve) => {
      this.#dialog.addEventListener("close", () => resolve(this.#dialog.returnValue === "agree"), { once: true });
    });
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#dialog.querySelector(`[data-part=${name}]`));
  }
}

/** @param {Model} model @param {string | null} hub @returns {(Node | string)[]} */
function source(model, hub) {
  const host = hostOf(model, hub);
  const page = pageOf(model, hub);
  if (!page) return [host];
  return [`${host}, `, newTab(page, new URL(page).pathname.slice(1))];
}

// Asks for consent to a large download: size, source, licence, and whether it will stay on this computer.

import { bytesKept, hostOf, pageOf, partsOf } from "../engine/models.js";
import { isAgreed, newTab } from "../shared/dom.js";
import { formatBytes } from "../shared/format.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {{ usage: number | null, quota: number | null, available: boolean }} Room as returned by `listKept`
 */

/**
 * Whether the model will stay on the disk, as a sentence.
 * @param {number | null} bytes size of its cached copy @param {Room} room
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

/** Usual sizes of a VAE, and of the parts that a lone UNet lacks, if not known yet. */
const USUAL = { VAE: "0.2 to 0.4 GB", rest: "0.4 to 1.8 GB" };

/** Whether a model comes over the network. @param {Model} model */
const isFetched = ({ place }) => place !== "files";

/**
 * The dialog's text: what is fetched of a model and its parts from other models, with sizes and licences.
 * @param {Model} model @param {KeptModel | null} partial an incomplete copy from an earlier visit
 */
export function question(model, partial) {
  const { name, rest, vae } = model;
  const size = model.bytes === null ? null : formatBytes(model.bytes);
  const unknown = "Not known before it begins; models of this kind are 1.5 to 5 GB.";
  const known = `About ${size}${partial ? " in all" : ""}.`;
  const own = {
    name,
    size: size ? known : unknown,
    term: { word: "", text: model.licence, href: model.licenceText },
  };
  /** @param {"rest" | "VAE"} word @param {Model} part */
  const taken = (word, part) => ({
    name: `the ${word} of ${part.name}`,
    size: `The ${word}: ${part.bytes === null ? `not known before it begins, ${USUAL[word]} as a rule` : `at most ${formatBytes(part.bytes)}`}.`,
    term: { word: `The ${word}: `, text: part.licence, href: part.licenceText },
  });
  const fetched = [
    ...(isFetched(model) ? [own] : []),
    ...(rest && isFetched(rest) ? [taken("rest", rest)] : []),
    ...(vae && isFetched(vae) ? [taken("VAE", vae)] : []),
  ];
  const sizes = fetched.map(({ size }) => size);
  if (partial) sizes.push("Part of it is here from an earlier visit; only the rest is fetched.");
  return {
    title: `Download ${fetched.map(({ name }) => name).join(" and ")}?`,
    size: sizes.join(" "),
    terms: fetched.map(({ term }) => term),
    agree: size && !partial && fetched.length === 1 && fetched[0] === own ? `Download ${size}` : "Download",
  };
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
   *   `partial` is an incomplete copy from an earlier visit
   * @returns {Promise<boolean>} whether the user agrees
   */
  ask(model, { weights, hub, partial, room }) {
    const asked = question(model, partial);
    const title = /** @type {HTMLElement} */ (this.#dialog.querySelector("h2"));
    title.textContent = asked.title;
    this.#part("size").textContent = asked.size;
    const sources = partsOf(model)
      .filter(isFetched)
      .flatMap((part, i) => [...(i > 0 ? ["; "] : []), ...source(part, hub)]);
    this.#part("from").replaceChildren(...sources);
    this.#part("licence").replaceChildren(
      ...asked.terms.flatMap(({ word, text, href }, i) => [
        `${i > 0 ? " · " : ""}${word}`,
        href ? newTab(href, text ?? "Its text") : (text ?? "What the model's own page says; please read it there."),
      ]),
    );
    const needed = bytesKept(model, weights);
    this.#part("kept").textContent = keepingSentence(needed && Math.max(0, needed - (partial?.bytes ?? 0)), room);
    const agree = this.#part("agree");
    agree.textContent = asked.agree;
    return isAgreed(this.#dialog, agree);
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

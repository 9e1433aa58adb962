// The list of models on this computer's disk, with buttons to remove them.

import { keptCopy, nameOfKept } from "../engine/kept-key.js";
import { formatBytes } from "../shared/format.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {import("../styleid.js").KeptModels} KeptModels
 */

/** @type {Record<import("../styleid.js").WeightType, string>} */
const KEPT_AS = {
  exact: "weights as in the file",
  f32: "weights of 32 bits",
  f16: "weights of 16 bits",
  q8: "weights of 8 bits",
  q4: "weights of 4 bits",
};

/** A cached model's display name. @param {KeptModel} kept @param {Model[]} models the page's list */
export function keptName(kept, models) {
  const { origin, weights } = kept;
  const mirror = origin && URL.canParse(origin) ? new URL(origin).origin : null;
  const isKnown = (/** @type {Model} */ model) =>
    weights && (keptCopy(model, weights, [kept]) ?? keptCopy(model, weights, [kept], mirror));
  const known = models.find(isKnown);
  return known?.name ?? nameOfKept(kept);
}

export class StoragePanel {
  #root;
  #purge;
  #isLoading = false;
  #isRemoving = false;

  /**
   * @param {HTMLElement} root holding the elements marked `data-part`
   * @param {{ purge: (folder: string, name: string) => Promise<void> }} options `purge` removes one model, or all for ""
   */
  constructor(root, { purge }) {
    this.#root = root;
    this.#purge = purge;
    this.#part("all").addEventListener("click", () => {
      if (confirm("Remove all models from this computer? They are downloaded again when you need them.")) {
        void this.#remove("", "All models");
      }
    });
  }

  /** @param {KeptModels} kept @param {Model[]} models */
  show({ models: kept, usage, quota, available }, models) {
    this.complain(""); // clears an earlier failure to list them
    this.#part("list").replaceChildren(...kept.map((one) => this.#row(one, keptName(one, models))));
    const empty = this.#part("empty");
    empty.hidden = kept.length > 0;
    if (!available) {
      empty.textContent =
        "This browser gives the page no storage, as in some private windows: models work, but are fetched each time.";
    }
    const total = kept.reduce((sum, { bytes }) => sum + bytes, 0);
    const limit =
      usage === null || quota === null
        ? ""
        : `This site takes ${formatBytes(usage)} of the ${formatBytes(quota)} that the browser gives it.`;
    this.#part("usage").textContent = kept.length > 0 ? `${formatBytes(total)} in all. ${limit}` : "";
    this.#part("all").hidden = kept.length < 2;
    this.#refresh();
  }

  /** Disables removal while a model may be loading. @param {boolean} isLoading */
  setLoading(isLoading) {
    this.#isLoading = isLoading;
    this.#refresh();
  }

  #refresh() {
    for (const button of this.#root.querySelectorAll("button")) button.disabled = this.#isLoading || this.#isRemoving;
  }

  /** @param {string} sentence */
  complain(sentence) {
    this.#part("problem").textContent = sentence;
  }

  /** @param {KeptModel} kept @param {string} name */
  #row({ folder, weights, bytes, complete }, name) {
    const row = document.createElement("li");
    const state = complete ? "" : weights ? "not complete, loading goes on from there" : "of no use any more";
    const facts = [weights && KEPT_AS[weights], formatBytes(bytes), state];
    const text = document.createElement("span");
    const title = document.createElement("strong");
    title.textContent = name;
    text.append(title, ` · ${facts.filter(Boolean).join(" · ")}`);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove ${name}`);
    button.addEventListener("click", () => void this.#remove(folder, name));
    row.append(text, button);
    return row;
  }

  /** @param {string} folder @param {string} name */
  async #remove(folder, name) {
    this.complain("");
    this.#isRemoving = true;
    this.#refresh();
    try {
      await this.#purge(folder, name);
    } catch (error) {
      this.complain(messageOf(error));
    } finally {
      this.#isRemoving = false;
      this.#refresh();
    }
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

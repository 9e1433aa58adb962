// What this browser and computer mean for a run, in a sentence each, and the diagnosis to copy into a bug report.

import { examine } from "./doors.js";

export class DoorsView {
  #banner;
  #root;

  /** @param {HTMLElement} banner @param {HTMLElement} root of the diagnosis, holding the elements marked `data-part` */
  constructor(banner, root) {
    this.#banner = banner;
    this.#root = root;
    this.#part("copy").addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(this.#text.value);
        this.#part("copied").textContent = "Copied.";
      } catch {
        this.#text.select();
        this.#part("copied").textContent =
          "This browser does not let the page copy: the text is marked, copy it yourself.";
      }
    });
  }

  /** @returns {Promise<Pick<Awaited<ReturnType<typeof examine>>, "features" | "device">>} what there is to run on */
  async show() {
    const { doors, diagnosis, features, device } = await examine();
    this.#text.value = diagnosis;
    this.#banner.replaceChildren(
      ...doors.map(({ tone, sentence, kind }) => {
        const line = document.createElement("p");
        line.textContent = sentence;
        line.dataset.tone = tone;
        line.dataset.kind = kind;
        return line;
      }),
    );
    return { features, device };
  }

  get #text() {
    return /** @type {HTMLTextAreaElement} */ (this.#part("text"));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

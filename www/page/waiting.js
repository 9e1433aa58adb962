// Asks whether a large model may take as long as it does on the processor.

import { isAgreed } from "../shared/dom.js";
import { formatDuration } from "../shared/format.js";

/** What the dialog says. @param {string} name of the model @param {number | null} seconds a picture, if known */
export function warning(name, seconds) {
  const time = seconds === null ? "hours" : `about ${formatDuration(seconds)}`;
  return `On this device's processor a picture by ${name} takes ${time}, and much of its memory. With a graphics card, in a browser with WebGPU, it takes a small part of that; the demonstration model takes less here, too.`;
}

export class Waiting {
  #dialog;

  /** @param {HTMLDialogElement} dialog holding the elements marked `data-part` */
  constructor(dialog) {
    this.#dialog = dialog;
    for (const name of ["agree", "decline"]) {
      this.#part(name).addEventListener("click", () => dialog.close(name));
    }
  }

  /** @param {import("../engine/models.js").Model} model @param {number | null} seconds @returns {Promise<boolean>} */
  ask({ name }, seconds) {
    this.#part("text").textContent = warning(name, seconds);
    return isAgreed(this.#dialog, this.#part("decline"));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#dialog.querySelector(`[data-part=${name}]`));
  }
}

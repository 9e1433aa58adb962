// What this browser and computer mean for a run: one calm line with the reasons behind it, and the diagnosis to copy into a bug
// report.

import { build } from "../shared/dom.js";
import { examine } from "./doors.js";

/** @typedef {import("./doors.js").Door["kind"]} Kind */

/** With these nothing can run; all else is a remark. @type {Kind[]} */
const CLOSED = ["insecure", "no-webgpu", "no-adapter"];

/** Each door in a few words. @type {Record<Kind, string>} */
const LINES = {
  insecure: "Nothing can run here: this address is not secure.",
  "no-webgpu": "Nothing can run in this browser.",
  "no-adapter": "Nothing can run: no graphics card was found.",
  software: "This will be slow: no graphics card is in use.",
  memory: "Little memory here: small models suit it best.",
  phone: "On a phone, the demonstration model suits best.",
  "no-f16": "This graphics card takes a little longer.",
  buffers: "Large pictures take longer on this graphics card.",
  "no-storage": "Models are not kept in this window.",
  "little-storage": "Large models may not be kept here.",
};

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
    const [first] = doors;
    const reasons = doors.map(({ sentence, kind }) => build("p", { "data-kind": kind }, sentence));
    const tone = first && CLOSED.includes(first.kind) ? "problem" : "plain";
    this.#banner.replaceChildren(
      ...(first
        ? [
            build(
              "details",
              {},
              build(
                "summary",
                {},
                build("span", { class: "door-line", "data-tone": tone }, LINES[first.kind]),
                build("span", { class: "why" }, "why?"),
              ),
              ...reasons,
            ),
          ]
        : []),
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

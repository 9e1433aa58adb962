// Shows what this browser and computer mean for a run: one line that unfolds to the reasons, and the diagnosis to copy
// into a bug report.

import { build } from "../shared/dom.js";
import { SECONDS, choiceOf, sentenceOf, sentenceOfEnd, textOf } from "../engine/self-test.js";
import { examine } from "./doors.js";
import { messageOf } from "../shared/message.js";

/** @typedef {import("./doors.js").Door["kind"]} Kind */

/** Limitations with which nothing can run; the others are remarks. @type {Kind[]} */
const CLOSED = ["insecure", "no-webgpu", "no-adapter"];

/** Each limitation (door) in a few words. @type {Record<Kind, string>} */
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
  #engine;
  #runner;
  /** The parts of the diagnosis: the page's own, the family of kernels, the GPU test. */
  #lines = { own: "", kernels: "", test: "" };
  #isTesting = false;

  /**
   * @param {HTMLElement} banner @param {HTMLDetailsElement} root of the diagnosis, holding the elements marked `data-part`
   * @param {{ engine: import("../engine/engine.js").Engine, runner: import("../engine/runner.js").Runner }} program
   */
  constructor(banner, root, { engine, runner }) {
    this.#banner = banner;
    this.#root = root;
    this.#engine = engine;
    this.#runner = runner;
    // Only the wasm module knows which kernels it uses, so it is fetched when the diagnosis is opened.
    root.addEventListener("toggle", () => root.open && void this.#tellChoice());
    this.#part("test").addEventListener("click", () => void this.#test());
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
    this.#tell({ own: diagnosis });
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

  /** @param {Partial<{ own: string, kernels: string, test: string }>} lines */
  #tell(lines) {
    Object.assign(this.#lines, lines);
    const { own, kernels, test } = this.#lines;
    this.#text.value = [own, kernels, test].filter(Boolean).join("\n");
  }

  async #tellChoice() {
    try {
      this.#tell({ kernels: `Kernels: ${choiceOf(await this.#engine.device())}` });
    } catch (error) {
      this.#tell({ kernels: `Kernels: none (${messageOf(error)})` });
    }
  }

  async #test() {
    // The button is not disabled during the test, because it would lose the focus.
    if (this.#isTesting) return;
    this.#isTesting = true;
    const button = this.#part("test");
    const label = button.textContent;
    /** @type {import("../styleid.js").KernelTest[]} */
    const kernels = [];
    button.textContent = "Testing…";
    this.#part("tested").textContent = "";
    try {
      const { seconds } = await this.#engine.selfTest(SECONDS, {
        onKernel(kernel, of) {
          kernels.push(kernel);
          button.textContent = `Testing… ${kernels.length} of ${of}`;
        },
      });
      this.#conclude(kernels, sentenceOf(kernels), seconds);
    } catch (error) {
      this.#conclude(kernels, sentenceOfEnd(kernels, messageOf(error)));
      // The worker may have been replaced, unless the test was only refused.
      if (kernels.length > 0) this.#runner.forget();
    } finally {
      this.#isTesting = false;
      button.textContent = label;
    }
    await this.#tellChoice();
  }

  /** @param {import("../styleid.js").KernelTest[]} kernels @param {string} said @param {number} [seconds] */
  #conclude(kernels, said, seconds) {
    this.#part("tested").textContent = said;
    this.#tell({ test: textOf(kernels, said, seconds) });
  }

  get #text() {
    return /** @type {HTMLTextAreaElement} */ (this.#part("text"));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

// Shows what this browser and computer mean for a run: one line that unfolds to the reasons, and the diagnosis to copy
// into a bug report.

import { build } from "../shared/dom.js";
import { SECONDS, choiceOf, sentenceOf, sentenceOfEnd, testedDevice, textOf } from "../engine/self-test.js";
import { examine } from "./doors.js";
import { messageOf } from "../shared/message.js";

/** @typedef {import("./doors.js").Door["kind"]} Kind */

/** Each limitation (door) in a few words. @type {Record<Kind, string>} */
const LINES = {
  insecure: "The processor paints here: this address is not secure.",
  "no-webgpu": "The processor paints in this browser.",
  "no-adapter": "The processor paints here: no graphics card was found.",
  software: "The processor paints here: no graphics card is in use.",
  "no-vectors": "Nothing can run in this browser.",
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
    // With this one alone nothing can run; the others are remarks.
    const tone = first?.kind === "no-vectors" ? "problem" : "plain";
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
      this.#conclude(kernels, sentenceOf(kernels, testedDevice(this.#engine)), seconds);
    } catch (error) {
      this.#conclude(kernels, sentenceOfEnd(kernels, messageOf(error), testedDevice(this.#engine)));
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
    this.#tell({ test: textOf(kernels, said, seconds, testedDevice(this.#engine)) });
  }

  get #text() {
    return /** @type {HTMLTextAreaElement} */ (this.#part("text"));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`[data-part=${name}]`));
  }
}

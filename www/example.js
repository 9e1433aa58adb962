// How another page uses StyleID: two elements in, one picture out.

import { EngineError, LOOKS, StyleID } from "./api.js";

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));
/** @param {string} id */
const image = (id) => /** @type {HTMLImageElement} */ (element(id));
const bar = /** @type {HTMLProgressElement} */ (element("bar"));
const status = element("status");

/** @type {StyleID | null} */
let styleid = null;
let controller = new AbortController();

async function run() {
  controller = new AbortController();
  element("go").hidden = true;
  element("cancel").hidden = bar.hidden = false;
  const listeners = {
    signal: controller.signal,
    /** @param {import("./styleid.js").ProgressEvent} event */
    onProgress: ({ phase, step, steps }) => {
      status.textContent = `Running: ${phase}.`;
      bar.value = steps > 0 ? step / steps : 0;
    },
  };
  try {
    // ?model= accepts the same names as the page. A loaded model serves any number of runs.
    const model = new URLSearchParams(location.search).get("model") ?? "demo";
    styleid ??= await StyleID.load({ model }, listeners);
    const steps = Number(new URLSearchParams(location.search).get("steps")) || null;
    const { blob, seconds } = await styleid.stylize(
      { content: image("content"), style: image("style"), ...LOOKS.painted, gamma: 0.75, steps },
      listeners,
    );
    URL.revokeObjectURL(image("result").src);
    image("result").src = URL.createObjectURL(blob);
    image("result").alt = "The photo in the painting's style";
    image("result").hidden = false;
    status.textContent = `Done in ${seconds.toFixed(1)} s.`;
  } catch (error) {
    // `message` is one sentence for the user; `kind` is for the program.
    status.textContent = error instanceof EngineError ? error.message : String(error);
  } finally {
    element("go").hidden = false;
    element("cancel").hidden = bar.hidden = true;
  }
}

element("go").addEventListener("click", () => void run());
element("cancel").addEventListener("click", () => controller.abort());
addEventListener("pagehide", () => styleid?.dispose());

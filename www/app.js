// The page: connects the slots, the form, the engine and the result.

import { Engine, EngineError } from "./engine.js";
import { fetchModels, selectModel } from "./models.js";
import { PictureSlot, pastedPicture } from "./picture-slot.js";
import { RunProgress, formatBytes, formatDuration, formatTimeLeft } from "./progress.js";
import { ResultView } from "./result-view.js";
import { Settings } from "./settings.js";

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));
/** @param {unknown} error */
const sentence = (error) => (error instanceof Error ? error.message : String(error));

const engine = new Engine();
/** @param {Uint8Array} bytes */
const check = (bytes) => engine.check(bytes);

const photo = new PictureSlot(element("photo"), {
  what: "photo",
  check,
  samples: [
    { file: "pictures/photo-astronaut.jpg", title: "Astronaut" },
    { file: "pictures/photo-coffee.jpg", title: "Cup of coffee" },
    { file: "pictures/photo-bridge.jpg", title: "Bridge at night" },
  ],
});
const painting = new PictureSlot(element("painting"), {
  what: "painting",
  check,
  samples: [
    { file: "pictures/style-hokusai-great-wave.jpg", title: "Hokusai, The Great Wave" },
    { file: "pictures/style-van-gogh-auvers.jpg", title: "Van Gogh, Cottages at Auvers" },
    { file: "pictures/style-renoir-girls-at-the-piano.jpg", title: "Renoir, Girls at the Piano" },
  ],
});
const form = /** @type {HTMLFormElement} */ (element("run"));
const settings = new Settings(form);
const result = new ResultView(element("result"));
const go = /** @type {HTMLButtonElement} */ (element("go"));
const cancel = /** @type {HTMLButtonElement} */ (element("cancel"));
const bar = /** @type {HTMLProgressElement} */ (element("bar"));
const modelSelect = /** @type {HTMLSelectElement} */ (element("model"));

/** @type {import("./models.js").Model[]} */
let models = [];
/** @type {AbortController | null} */
let running = null;

/** Says one thing in the live region. @param {string} text @param {"plain" | "problem"} [tone] */
function say(text, tone = "plain") {
  const status = element("status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.tone = tone;
}

// ---- models

async function offerModels() {
  try {
    const listed = await fetchModels(new URL("./models.json", import.meta.url));
    const wanted = new URLSearchParams(location.search).get("model");
    const choice = selectModel(listed, wanted, document.baseURI);
    models = choice.models;
    modelSelect.replaceChildren(
      ...models.map(({ id, name }) => new Option(name, id, false, id === choice.selected.id)),
    );
    describeModel();
    if (choice.problem) say(choice.problem, "problem");
  } catch (error) {
    say(sentence(error), "problem");
  }
}

const selectedModel = () => models.find(({ id }) => id === modelSelect.value);

function describeModel() {
  // "Reset the parameters" is not about the model: it resets to the option that was chosen last.
  for (const option of modelSelect.options) option.defaultSelected = option.selected;
  element("model-note").textContent = selectedModel()?.note ?? "";
}

/** @param {import("./styleid.js").ModelInfo} info */
function describeLoadedModel({ name, version, parameters, bytes, layers }) {
  const kind = version === "unconditional" ? "without a text encoder" : `Stable Diffusion ${version}`;
  const millions = (parameters / 1e6).toFixed(parameters < 1e7 ? 1 : 0);
  element("model-note").textContent =
    `${name}, ${kind}: ${millions} million parameters, ${formatBytes(bytes)}, loaded.`;
  settings.setAvailableLayers(layers);
}

// ---- device

async function describeDevice() {
  const banner = element("device");
  const show = (/** @type {string} */ text, /** @type {"plain" | "problem"} */ tone) => {
    banner.textContent = text;
    banner.dataset.tone = tone;
    banner.hidden = false;
  };
  if (!("gpu" in navigator)) {
    const why = isSecureContext
      ? "This browser has no WebGPU, on which the model runs: open the page in a current Chrome, Edge or Safari 26."
      : "WebGPU, on which the model runs, needs a secure address: open the page over https or at localhost.";
    show(`${why} Choosing pictures works here all the same.`, "problem");
    return;
  }
  try {
    const { name, software, shaderF16, maxBufferMiB } = await engine.device();
    const slow = software ? " It computes in software: expect minutes where a GPU takes seconds." : "";
    const facts = `${shaderF16 ? "f16" : "no f16"}, buffers up to ${maxBufferMiB} MiB`;
    const where = name || (software ? "a software adapter" : "this computer's GPU");
    show(`Runs on ${where} (${facts}).${slow}`, "plain");
  } catch (error) {
    show(sentence(error), "problem");
  }
}

// ---- a run

/** @param {boolean} isRunning */
function setRunning(isRunning) {
  go.disabled = isRunning;
  cancel.hidden = !isRunning;
  cancel.disabled = false;
  element("progress").hidden = !isRunning;
  element("detail").textContent = "";
  bar.removeAttribute("value");
}

async function run() {
  if (running) return;
  const model = selectedModel();
  const [content, style] = [photo.picture, painting.picture];
  const missing = !content && !style ? "a photo and a painting" : !content ? "a photo" : !style ? "a painting" : null;
  if (missing) return say(`Choose ${missing} first: drop one on its slot, or take a sample.`, "problem");
  if (!model) return say("There is no model to run: reload the page.", "problem");
  const problem = settings.problem();
  if (problem) return say(problem, "problem");
  if (!content || !style) return;

  running = new AbortController();
  const { signal } = running;
  const progress = new RunProgress();
  /** @param {import("./styleid.js").ProgressEvent} event */
  const onEvent = (event) => {
    if (signal.aborted) return;
    const { label, detail, fraction, secondsLeft } = progress.update(event, performance.now());
    const left = secondsLeft === null ? "" : formatTimeLeft(secondsLeft);
    say(`${label}.`);
    // Not in the live region: a screen reader would read every step aloud.
    element("detail").textContent = [detail, left].filter(Boolean).join(" · ");
    bar.value = fraction;
  };

  setRunning(true);
  say("Starting.");
  try {
    const options = settings.read();
    const info = await engine.load(model.url, { signal, onEvent });
    if (selectedModel() === model) describeLoadedModel(info);
    const stylized = await engine.stylize(content.bytes, style.bytes, options, { signal, onEvent });
    result.show(stylized, content, style);
    say(`Done in ${formatDuration(stylized.seconds)}.`);
  } catch (error) {
    if (error instanceof EngineError && error.kind === "cancelled") say("Cancelled. Nothing was lost.");
    else say(sentence(error), "problem");
  } finally {
    running = null;
    setRunning(false);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});
cancel.addEventListener("click", () => {
  cancel.disabled = true;
  say("Cancelling.");
  running?.abort();
});
modelSelect.addEventListener("change", describeModel);

// ---- pictures from elsewhere

document.addEventListener("paste", (event) => {
  const picture = pastedPicture(event);
  if (!picture) return;
  event.preventDefault();
  const focused = [photo, painting].find((_, i) => element(["photo", "painting"][i]).contains(document.activeElement));
  const slot = focused ?? (photo.picture && !painting.picture ? painting : photo);
  void slot.offer(picture, "Pasted picture");
});
// A picture that misses its slot must not replace the page, which is what browsers do with a dropped file.
for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());

addEventListener("beforeunload", (event) => {
  if (running) event.preventDefault();
});

void offerModels();
void describeDevice();

// The page: connects the slots, the form, the engine and the result.

import { Consent } from "./consent.js";
import { Engine, EngineError } from "./engine.js";
import { ModelForm } from "./model-form.js";
import { fetchModels, needsConsent, readQuery, selectModel } from "./models.js";
import { droppedFiles, isModelDrop } from "./picked.js";
import { PictureSlot, pastedPicture } from "./picture-slot.js";
import { RunProgress, formatBytes, formatDuration, formatTimeLeft } from "./progress.js";
import { ResultView } from "./result-view.js";
import { Settings } from "./settings.js";
import { StoragePanel } from "./storage.js";

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
const query = new URLSearchParams(location.search);
const { weights, hub, problems } = readQuery(query);
const modelForm = new ModelForm(element("models"), {
  hub,
  weights,
  onSelect: (name) => say(`The model ${name} is selected.`),
});
const consent = new Consent(/** @type {HTMLDialogElement} */ (element("consent")));
const storage = new StoragePanel(element("storage"), {
  async purge(folder, name) {
    await engine.purge(folder);
    await refreshKept();
    say(folder ? `${name} was removed from this computer.` : "All models were removed from this computer.");
  },
});

/** Downloads that the person has said go to on this visit. @type {Set<string>} */
const agreed = new Set();
/** How many notices are shown; the oldest go first. */
const NOTICES = 4;
/** @type {AbortController | null} */
let running = null;

/** Says one thing in the live region. @param {string} text @param {"plain" | "problem"} [tone] */
function say(text, tone = "plain") {
  const status = element("status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.tone = tone;
}

/** Shows something unusual that is no failure; being a log, the place is read out once per line. @param {string} sentence */
function notice(sentence) {
  const log = element("notices");
  if ([...log.children].some(({ textContent }) => textContent === sentence)) return;
  const line = document.createElement("p");
  line.textContent = sentence;
  log.append(line);
  if (log.children.length > NOTICES) log.children[0].remove();
}

// ---- models

async function offerModels() {
  try {
    const listed = await fetchModels(new URL("./models.json", import.meta.url));
    const { models, selected, problem } = selectModel(listed, query.get("model"), document.baseURI);
    modelForm.offer(models, selected);
    const all = [problem, ...problems].filter(Boolean).join(" ");
    if (all) say(all, "problem");
  } catch (error) {
    say(sentence(error), "problem");
  }
}

/** Looks up what is on the disk. @returns {Promise<import("./consent.js").Room>} what room there is */
async function refreshKept() {
  try {
    const kept = await engine.kept();
    modelForm.setKept(kept.models);
    storage.show(kept, modelForm.models);
    return kept;
  } catch (error) {
    storage.complain(sentence(error));
    return { usage: null, quota: null, available: true };
  }
}

/**
 * Whether the model may be loaded: nothing large is fetched before the person says go.
 * @param {import("./models.js").Model} model @param {import("./styleid.js").WeightType} weights
 */
async function mayLoad(model, weights) {
  const room = await refreshKept();
  const partial = modelForm.copyOf(model, weights);
  const download = [hub, model.source, weights].join(" ");
  if (!needsConsent(model, partial) || agreed.has(download)) return true;
  if (!(await consent.ask(model, { weights, hub, partial, room }))) return false;
  agreed.add(download);
  // Only a window may ask. Whatever the answer is, and whenever it comes, the download need not wait for it.
  void navigator.storage?.persist?.().catch(() => false);
  return true;
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
  storage.setLoading(isRunning);
}

async function run() {
  if (running) return;
  const model = modelForm.selected;
  const [content, style] = [photo.picture, painting.picture];
  const missing = !content && !style ? "a photo and a painting" : !content ? "a photo" : !style ? "a painting" : null;
  if (missing) return say(`Choose ${missing} first: drop one on its slot, or take a sample.`, "problem");
  if (!model) return say("There is no model to run: reload the page.", "problem");
  const problem = settings.problem();
  if (problem) return say(problem, "problem");
  if (!content || !style) return;

  running = new AbortController();
  const { signal } = running;
  element("notices").replaceChildren();
  setRunning(true);
  say("Starting.");
  try {
    const options = settings.read();
    const loading = modelForm.options(model);
    await engine.device(); // without one, nobody needs to be asked
    if (!(await mayLoad(model, loading.weights))) return say("Nothing was downloaded.");
    const isKept = modelForm.copyOf(model, loading.weights)?.complete;
    const progress = new RunProgress({ isLocal: model.place === "files" || isKept });
    /** @param {import("./styleid.js").ProgressEvent} event */
    const onEvent = (event) => {
      if (signal.aborted) return;
      const { label, detail, fraction, secondsLeft } = progress.update(event, performance.now());
      const left = secondsLeft === null ? "" : formatTimeLeft(secondsLeft);
      say(`${label}.`);
      // Not in the live region: a screen reader would read every step aloud.
      element("detail").textContent = [detail, left].filter(Boolean).join(" · ");
      if (fraction === null) bar.removeAttribute("value");
      else bar.value = fraction;
    };
    const onNotice = (/** @type {string} */ text) => {
      progress.notLocal();
      notice(text);
    };
    const info = await engine.load(loading, model.picked ?? [], { signal, onEvent, onNotice });
    settings.setAvailableLayers(info.layers);
    void refreshKept();
    modelForm.showLoaded(model, info);
    const pictures = { content: content.bytes, styles: [{ picture: style.bytes }] };
    const stylized = await engine.stylize(pictures, options, { signal, onEvent });
    result.show(stylized, content, style);
    const memory = formatBytes(stylized.gpuBytesReserved);
    say(`Done in ${formatDuration(stylized.seconds)}, with ${memory} of the GPU's memory.`);
  } catch (error) {
    if (error instanceof EngineError && error.kind === "cancelled") say("Cancelled. Nothing was lost.");
    else say(sentence(error), "problem");
    void refreshKept();
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

// ---- pictures and models from elsewhere

document.addEventListener("paste", (event) => {
  const picture = pastedPicture(event);
  if (!picture) return;
  event.preventDefault();
  const focused = [photo, painting].find((_, i) => element(["photo", "painting"][i]).contains(document.activeElement));
  const slot = focused ?? (photo.picture && !painting.picture ? painting : photo);
  void slot.offer(picture, "Pasted picture");
});
// A file that misses its slot must not replace the page, which is what browsers do with a dropped file.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer && isModelDrop(event.dataTransfer)) void modelForm.take(droppedFiles(event.dataTransfer));
});

addEventListener("beforeunload", (event) => {
  if (running) event.preventDefault();
});

void offerModels().then(refreshKept);
void describeDevice();

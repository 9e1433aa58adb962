// The page: connects the slots, the forms, the engine, the queue and the result.

import { Addresses, addressesOf } from "./addresses.js";
import { Advice } from "./advice.js";
import { BlendForm } from "../forms/blend-form.js";
import { CameraDialog } from "../pictures/camera.js";
import { Consent } from "./consent.js";
import { CropDialog } from "../pictures/crop-box.js";
import { DoorsView } from "./doors-view.js";
import { Engine } from "../engine/engine.js";
import { unfold, unfoldTarget } from "./folds.js";
import { GpuForm } from "../forms/gpu-form.js";
import { History, HistoryView } from "../results/history.js";
import { MaskDialog } from "../pictures/mask-painter.js";
import { measure } from "../engine/measure.js";
import { ModelForm } from "../forms/model-form.js";
import { partsOf, readQuery } from "../engine/models.js";
import { Notifications, titleProgress } from "./notify.js";
import { goOffline, keepProcessor, whenIdle } from "./offline.js";
import { Opening, breath } from "./opening.js";
import { droppedFiles, isModelDrop } from "../engine/picked.js";
import { Permission } from "./permission.js";
import { PictureSlot, pastedPictures } from "../pictures/picture-slot.js";
import { QueueView } from "./queue-view.js";
import { Queue } from "../engine/queue.js";
import { ResultView } from "../results/result-view.js";
import { RunBar } from "./run-bar.js";
import { Runner, requestOf } from "../engine/runner.js";
import { GIVEN, PAINTINGS, PHOTOS, exampleOf } from "./samples.js";
import { Settings } from "../forms/settings.js";
import { fromFragment } from "../forms/share.js";
import { StoragePanel } from "./storage.js";
import { Waiting } from "./waiting.js";
import { Workshop } from "./workshop.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("../results/history.js").Entry} Entry
 * @typedef {import("../engine/models.js").Model} Model
 * @typedef {import("../engine/runner.js").Picture} Picture
 * @typedef {import("../engine/runner.js").Job} Job
 * @typedef {import("../engine/queue.js").Item<Job, Entry>} Item
 */

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));
/** @param {string} id */
const dialog = (id) => /** @type {HTMLDialogElement} */ (element(id));

/** Whether the page is built completely: it is built in pieces, so that input is handled in between. */
let isBuilt = false;
/** Whether a run can be started. */
let isReady = false;

const engine = new Engine();
const camera = new CameraDialog(dialog("camera-dialog"));
const cropper = new CropDialog(dialog("crop-dialog"));
const query = new URLSearchParams(location.search);
const { weights, hub, device, problems } = readQuery(query);

// ---- pictures

/** @param {Picture} picture */
function crop(picture) {
  const { size, keepAspect } = settings.read();
  return cropper.edit(picture, { aspect: size === "keep" || keepAspect ? null : 1, crop: picture.crop });
}
/** Options of both slots. */
const slotOptions = {
  check: (/** @type {Uint8Array} */ bytes) => engine.check(bytes),
  preview: (/** @type {Uint8Array} */ bytes) => engine.preview(bytes, 1024),
  onChange: () => picturesChanged(),
  crop,
  takePhoto: () => camera.take(),
};
const photo = new PictureSlot(element("photo"), { ...slotOptions, what: "photo", samples: PHOTOS, given: GIVEN.photo });
const painting = new PictureSlot(element("painting"), {
  ...slotOptions,
  what: "painting",
  samples: PAINTINGS,
  given: GIVEN.painting,
});
await breath();

function picturesChanged() {
  if (!isBuilt) return; // `fill` calls this again
  blend.setPictures(photo.picture, painting.pictures);
  foretell();
  releaseAddresses();
}

/** Revokes the object URLs that nothing shows or can restore. */
function releaseAddresses() {
  const made = queue.items.flatMap(({ result: entry }) => entry ?? []);
  const entries = [...history.entries, ...made, ...(result.entry ? [result.entry] : [])];
  const pictures = [...photo.pictures, ...painting.pictures];
  addresses.keep(addressesOf({ entries, jobs: queue.items.map(({ job }) => job), pictures }));
}
element("several-change").addEventListener("click", () => {
  unfold(element("blend"));
  goTo("#blend input:checked");
});

/** Updates everything that depends on the choices: the time estimate, the model's line and the example. */
function foretell() {
  workshop.foretell();
  if (modelForm.line) {
    const { what, time } = modelForm.line;
    element("model-line").textContent = what;
    element("model-time").textContent = ` · ${time ? `${time} a picture here` : "time known after the first picture"}`;
    element("model-time").toggleAttribute("data-unknown", !time);
  }
  const { length } = painting.pictures;
  element("several-line").hidden = length < 2;
  const what = blend.several === "blend" ? "blended into one result" : "one result for each";
  element("several-line").firstElementChild?.replaceChildren(`${length} paintings: ${what}.`);
  const look = settings.preset;
  const isExample = photo.isGiven && painting.isGiven && document.querySelector(`input[name=look][value="${look}"]`);
  result.showExample(isExample ? exampleOf(String(look)) : null);
}

// ---- forms

const form = /** @type {HTMLFormElement} */ (element("run"));
const settings = new Settings(form, element("looks"));
await breath();
const blend = new BlendForm(element("blend"), {
  masks: new MaskDialog(dialog("mask-dialog")),
  onChange: () => foretell(),
});
const gpu = new GpuForm(element("gpu"), {
  device,
  onChange() {
    if (gpu.device !== engine.choice) {
      if (device) gpu.setDevice(device);
      else engine.computeOn(gpu.device);
      runner.forget(); // inversions stay with the worker of the other device
    }
    if (!isBuilt) return;
    advice.recommend();
    modelForm.retitle(); // each device has its own times
    foretell();
  },
});
engine.computeOn(gpu.device);
const modelForm = new ModelForm(element("models"), {
  hub,
  weights,
  gpu,
  onSelect: (name) => bar.say(`The model ${name} is selected.`),
  onChoose: (model) => settings.chooseModel(runner.decoderOf(model), model.look),
  timeOf: (model) => advice.timeOf(model),
});
const permission = new Permission({
  consent: new Consent(dialog("consent")),
  waiting: new Waiting(dialog("waiting")),
  hub,
  room: () => refreshKept(),
  copyOf: (model, weights) => modelForm.copyOf(model, weights),
});
const storage = new StoragePanel(element("storage"), {
  async purge(folder, name) {
    await engine.purge(folder);
    await refreshKept();
    bar.say(folder ? `${name} was removed from this computer.` : "All models were removed from this computer.");
  },
});
const notifications = new Notifications(/** @type {HTMLInputElement} */ (element("notify")), element("notify-note"));

// ---- the run and its results

const bar = new RunBar(element("go-bar"), {
  cancel: () => workshop.cancel(),
  pause: () => engine.pause(),
  resume: () => engine.resume(),
  take: (item, change) => workshop.tryInstead(item, change),
  onChange: () => showQueue(),
});
const runner = new Runner(engine, {
  mayLoad: (model, loading) => permission.mayLoad(model, loading),
  mayTake: (model, seconds) => permission.mayTake(model, seconds),
  isKept: (model, loading) => modelForm.copyOf(model, loading.weights)?.complete ?? false,
});
/** @type {Queue<Job, Entry>} */
const queue = new Queue(() => showQueue());
const queueView = new QueueView(element("queue"), {
  cancel: (item) => workshop.cancelItem(item),
  retry: (item) => workshop.retry(item),
  open: ({ result: entry }) => entry && openEntry(entry),
  resume: () => void workshop.work(),
  clear: () => queue.cancelWaiting(),
  zip: () => void workshop.saveZip(),
});
const history = new History();
const addresses = new Addresses();
const historyView = new HistoryView(element("history"), openEntry);
/** Scrolls to an element and focuses it. @param {string} selector */
function goTo(selector) {
  const target = /** @type {HTMLElement | null} */ (document.querySelector(selector));
  target?.focus({ preventScroll: true });
  target?.scrollIntoView({ block: "center" });
}
const result = new ResultView(element("result"), {
  linkTo,
  look: () => goTo("input[name=look]:checked, input[name=look]"),
  painting: () => goTo("#painting [data-part=input]"),
  larger(entry, size) {
    if (workshop.isRunning) return bar.say("Wait for the run, or cancel it first.");
    const link = new URLSearchParams(entry.fragment);
    link.set("size", String(size));
    void workshop.repeat({ ...entry, options: { ...entry.options, size }, fragment: String(link) });
  },
  onStage: (isTaken) => (element("main").dataset.stage = isTaken ? "result" : "choosing"),
  use: useEntry,
  again(entry) {
    if (workshop.isRunning) return bar.say("Wait for the run, or cancel it first.");
    useEntry(entry);
    void workshop.repeat(entry);
  },
  async measure(entry) {
    if (workshop.isRunning) throw new Error("Wait for the run, or cancel it first.");
    const pictures = await requestOf(entry);
    try {
      return await measure(engine, pictures, new Uint8Array(await entry.png.arrayBuffer()));
    } catch (error) {
      runner.forget(); // the worker may have been replaced
      throw error;
    }
  },
});
const workshop = new Workshop({
  photo,
  painting,
  settings,
  blend,
  modelForm,
  runner,
  queue,
  bar,
  result,
  onRunning(isRunning) {
    storage.setLoading(isRunning);
    showQueue();
    if (isRunning) return;
    modelForm.retitle(); // new measurements change every model's estimate
    void refreshKept().then(() => foretell());
  },
  onResult(entry) {
    history.add(entry);
    showHistory();
    offerStepUp(entry);
  },
  onLoaded() {
    void refreshKept();
    if (engine.isProcessor) void keepProcessor();
  },
  onEnd: (sentence) => notifications.tell(sentence),
});

function showQueue() {
  queueView.show(queue.items, bar.state);
}

// ---- history and links

function showHistory() {
  historyView.show(history.entries, result.entry);
  releaseAddresses();
}

/** @param {Entry} entry */
function openEntry(entry) {
  result.show(entry, { isOld: true });
  result.focus();
  showHistory();
}

/** Restores an entry's pictures and settings. @param {Entry} entry */
function useEntry({ photo: picture, crop, styles, options, model, loading, fragment }) {
  picture.crop = crop;
  for (const style of styles) {
    Object.assign(style.picture, { crop: style.crop, weight: style.weight });
    if (style.mask) picture.masks.set(style.picture.id, style.mask);
    else picture.masks.delete(style.picture.id);
  }
  const shared = fromFragment(fragment)?.shared;
  photo.restore([picture]);
  painting.restore(styles.map((style) => style.picture));
  blend.write({ several: shared?.several ?? "each", mix: styles.map(({ weight }) => weight) });
  modelForm.select(model, { weights: loading.weights, prediction: shared?.prediction ?? null });
  settings.write(options); // after selecting the model, to which its layers belong
  foretell();
  bar.say("The pictures and settings of that result are back.");
}

/** @param {Entry} entry */
function linkTo({ fragment, model }) {
  const search = hub ? `?${new URLSearchParams({ hub })}` : "";
  const url = `${location.origin}${location.pathname}${search}#${fragment}`;
  return partsOf(model).some(({ place }) => place === "files")
    ? { url, sentence: "It holds every setting; your model's files and your pictures stay here." }
    : { url, sentence: "It holds the model and every setting; your pictures stay here." };
}

addEventListener("hashchange", () => {
  unfoldTarget();
  const problem = opening.takeLink();
  foretell();
  if (problem) bar.say(problem, "problem");
  else if (fromFragment(location.hash)) bar.say("The settings of the link are set.");
});

// ---- models

const advice = new Advice({ modelForm, settings, runner, gpu });
const opening = new Opening({ modelForm, settings, blend, gpu, bar, advice, query, weights, problems });

/** Offers a full model after a picture by the demonstration model. @param {Entry} entry */
function offerStepUp({ model }) {
  const offer = advice.stepUp(model);
  result.offer(offer?.sentence ?? "", () => {
    if (!offer || workshop.isRunning) return;
    const look = settings.preset;
    modelForm.select(offer.next, { weights: offer.next.weights, prediction: null });
    if (look) settings.choose(look); // keep the look
    foretell();
    void workshop.start();
  });
}

/** Refreshes the list of models on disk. @returns {Promise<import("./consent.js").Room>} the storage available */
async function refreshKept() {
  try {
    const kept = await engine.kept();
    modelForm.setKept(kept.models);
    storage.show(kept, modelForm.models);
    return kept;
  } catch (error) {
    storage.complain(messageOf(error));
    return { usage: null, quota: null, available: true };
  }
}

// ---- events

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (isReady) void workshop.start(); // before that, start.js remembers the submit
});
for (const type of ["input", "change"]) document.addEventListener(type, () => foretell());

document.addEventListener("paste", (event) => {
  const pictures = pastedPictures(event);
  if (pictures.length === 0 || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  const focused = [photo, painting].find((_, i) => element(["photo", "painting"][i]).contains(document.activeElement));
  const slot = focused ?? (photo.isChosen && !painting.isChosen ? painting : photo);
  if (pictures.length === 1) void slot.offer(pictures[0], "Pasted picture");
  else void slot.offerAll(pictures);
});
// Browsers navigate to a dropped file; one that misses its slot must not replace the page.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer && isModelDrop(event.dataTransfer)) void modelForm.take(droppedFiles(event.dataTransfer));
});

addEventListener("beforeunload", (event) => {
  if (workshop.isRunning) event.preventDefault();
});

/** Fills the page, in pieces as well. */
async function fill() {
  isBuilt = true;
  titleProgress(null, "");
  unfoldTarget();
  await breath();
  picturesChanged();
  await opening.offerModels();
  await breath();
  foretell();
  isReady = true;
}
/** Resolves once a run can be started. */
export const ready = fill();
void ready
  .then(whenIdle)
  .then(refreshKept)
  .then(() => foretell());
void ready
  .then(breath)
  .then(() => new DoorsView(element("doors"), element("diagnosis"), { engine, runner }).show())
  .then(({ features, device }) => {
    gpu.setFeatures(features);
    advice.recommend(device);
  });
void goOffline({
  isBusy: () => workshop.isRunning || photo.isChosen || painting.isChosen,
  onUpdate(apply) {
    element("update").hidden = false;
    element("update-now").addEventListener("click", async () => {
      if (!(await apply())) bar.say("Close this page's other tabs first: they still use the old version.", "problem");
    });
  },
});

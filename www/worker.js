// The dedicated worker that runs the wasm module, so that the page stays responsive while the model computes.
// It sends any number of events and one reply for each request of engine/engine.js; the types below are the protocol.

import { deviceFor, hasVectors } from "./engine/adapter.js";
import { NOTE, decodedByBrowser } from "./engine/foreign.js";
import { ifFree, inTurn } from "./engine/in-turn.js";

/**
 * @typedef {typeof import("./styleid.js")} Program
 * @typedef {import("./engine/adapter.js").DeviceChoice} DeviceChoice
 * @typedef {import("./engine/adapter.js").Device} Device
 * @typedef {import("./styleid.js").KernelTest} KernelTest
 * @typedef {import("./styleid.js").ModelOptions} ModelOptions
 * @typedef {import("./styleid.js").Notice} Notice
 * @typedef {import("./styleid.js").Options} Options
 * @typedef {import("./styleid.js").PickedFile} PickedFile
 * @typedef {import("./styleid.js").Preview} Preview
 * @typedef {import("./styleid.js").ProgressEvent} ProgressEvent
 * @typedef {import("./styleid.js").Request} Request
 * @typedef {{ id: number, operation: "openDevice", kept?: Record<string, Record<string, string>> }
 *   | { id: number, operation: "checkPicture", bytes: Uint8Array }
 *   | { id: number, operation: "previewPicture", bytes: Uint8Array, longSide: number }
 *   | { id: number, operation: "loadModel", options: ModelOptions, files: PickedFile[] }
 *   | { id: number, operation: "listKept" }
 *   | { id: number, operation: "purgeKept", folder: string }
 *   | { id: number, operation: "stylize", request: Request, options: Options }
 *   | { id: number, operation: "lacks", request: Request, options: Options }
 *   | { id: number, operation: "invertContent" }
 *   | { id: number, operation: "invertStyles", request: Request, options: Options, numbers: number[] }
 *   | { id: number, operation: "takeStyles", numbers: number[], files: Uint8Array[] }
 *   | { id: number, operation: "measure", request: Request, result: Uint8Array, weights: Uint8Array }
 *   | { id: number, operation: "selfTest", seconds: number }} Call
 * @typedef {ProgressEvent | Notice | { preview: Preview } | { kernel: KernelTest, of: number }} RunEvent
 * @typedef {Call | { tell: "cancel" | "pause" | "resume" }} Message
 * @typedef {{ id: number, value: unknown }
 *   | { id: number, event: RunEvent }
 *   | { id: number, error: { kind: string, message: string } }
 *   | { alive: string | null }
 *   | { panic: string, kind: "internal" | "memory" }} Reply
 */

const scope = /** @type {DedicatedWorkerGlobalScope & typeof globalThis} */ (/** @type {unknown} */ (self));

/** @param {Reply} reply @param {Transferable[]} [transfer] */
const send = (reply, transfer = []) => scope.postMessage(reply, transfer);

// A panic inside an async function leaves its promise pending for ever, so only this hook reports it.
scope.styleidPanic = (message, kind) => send({ panic: message, kind });

/** Whether the wasm module is unusable: it trapped, overflowed its stack, or got no memory. @param {unknown} error */
const isTrap = (error) => error instanceof WebAssembly.RuntimeError || error instanceof RangeError;

/** The program, once it has started. @type {Program | null} */
let program = null;

function ranOut() {
  try {
    return program?.ranOutOfMemory() ?? false;
  } catch {
    return false; // the module is unusable
  }
}

/** Reports a trap that no panic has reported, such as the allocator's. @param {Error} error */
function tellTrap({ message }) {
  const isMemory = /out of memory|could not allocate|allocation failed/i.test(message) || ranOut();
  const sentence = "The browser's memory ran out; try a smaller picture or size, or close other tabs.";
  send(isMemory ? { panic: sentence, kind: "memory" } : { panic: message, kind: "internal" });
}

// These catch traps outside any awaited call, such as in the GPU's callbacks.
scope.addEventListener("error", (event) => {
  if (!isTrap(event.error)) return;
  event.preventDefault();
  tellTrap(event.error);
});
scope.addEventListener("unhandledrejection", ({ reason }) => {
  if (isTrap(reason)) tellTrap(reason);
});

/** What the page wants this worker to compute on: the worker's name says it. */
const wanted = /** @type {DeviceChoice} */ (scope.name || "auto");

/** Fetches and starts the program for a device: only that one is loaded. @param {Device} device @returns {Promise<Program>} */
async function start(device) {
  if (device === "cpu" && !hasVectors()) {
    const sentence =
      "This browser lacks WebAssembly's vector instructions, which the processor needs: update the browser or use another one.";
    throw Object.assign(new Error(sentence), { name: "unsupported" });
  }
  const started = await (device === "gpu"
    ? import("./styleid.js")
    : /** @type {Promise<Program>} */ (import(/** @type {string} */ ("./processor.js"))));
  await started.default();
  return (program = started);
}

let ready = deviceFor(wanted).then(start);
ready.catch(() => {}); // the first call awaits it and reports the error

/**
 * Opens the device. With a free choice the processor takes the place of a GPU that cannot be opened.
 * @param {Record<string, Record<string, string>>} [kept] tiles of earlier visits
 */
async function openDevice(kept) {
  const first = await ready;
  try {
    return await first.openDevice(kept);
  } catch (error) {
    if (wanted !== "auto" || !(error instanceof Error) || error.name !== "unsupported") throw error;
    const other = await start("cpu").catch(() => first);
    if (other === first) throw error;
    ready = Promise.resolve(other);
    return other.openDevice(kept);
  }
}

// This worker holds a lock for its whole life. The page requests the same lock, and gets it when the worker dies, which
// the browser does not report otherwise.
if (navigator.locks) {
  const life = `styleid-worker-${crypto.randomUUID()}`;
  const held = navigator.locks.request(life, () => {
    send({ alive: life });
    return new Promise(() => {});
  });
  held.catch(() => send({ alive: null }));
} else send({ alive: null }); // an insecure address

/** For loads that still wait for the lock: the wasm module cannot cancel these. @type {Set<AbortController>} */
const waits = new Set();

/** The lock that a load of this kept model holds. @param {string} folder */
const lockOf = (folder) => `styleid-model-${folder}`;

/** Removes one kept model, or all for "", but none that is being loaded. @param {string} folder */
async function purgeUnused(folder) {
  const { listKept, purgeKept } = await ready;
  const folders = folder ? [folder] : (await listKept()).models.map((kept) => kept.folder);
  let inUse = 0;
  for (const each of folders) if (!(await ifFree(navigator.locks, lockOf(each), () => purgeKept(each)))) inUse++;
  if (inUse === 0) return;
  const what = folder ? "This model is" : "One of the models is";
  throw Object.assign(new Error(`${what} being loaded in another tab; remove it when that is done.`), { name: "file" });
}

/** @param {Extract<Call, { operation: "loadModel" }>} call @param {(event: RunEvent) => void} onEvent */
async function loadInTurn({ options, files }, onEvent) {
  const { keptFolder, loadModel } = await ready;
  const wait = new AbortController();
  const { signal } = wait;
  const load = () => {
    signal.throwIfAborted();
    waits.delete(wait);
    return loadModel(options, files, onEvent);
  };
  const onWait = () => onEvent({ notice: "Another tab is loading this model; this one goes on when that is done." });
  waits.add(wait);
  try {
    const folder = await keptFolder(options, files);
    return await (folder ? inTurn(navigator.locks, lockOf(folder), { signal, onWait }, load) : load());
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    throw Object.assign(new Error("Cancelled."), { name: "cancelled" });
  } finally {
    waits.delete(wait);
  }
}

/** The file itself if the wasm module can decode it, else a PNG decoded by the browser. @param {Uint8Array} bytes */
async function readable(bytes) {
  const { foreignPicture } = await ready;
  const sides = foreignPicture(bytes);
  return (sides && (await decodedByBrowser(bytes, [...sides]))) ?? bytes;
}

/**
 * Describes a picture. If the browser had to decode it, `png` is set and replaces the file from then on.
 * @param {Uint8Array} given
 */
async function checked(given) {
  const { checkPicture } = await ready;
  const png = await readable(given);
  const info = checkPicture(png);
  return png === given ? info : { ...info, note: [NOTE, info.note].filter(Boolean).join(" "), png };
}

/** @param {Request} request @returns {Promise<Request>} */
async function readableRequest(request) {
  const styles = request.styles.map(async (style) => ({ ...style, picture: await readable(style.picture) }));
  return { ...request, content: await readable(request.content), styles: await Promise.all(styles) };
}

/** @param {Call} call */
async function perform(call) {
  const { listKept, measure, previewPicture, selfTest, stylize, ...processor } = await ready;
  /** @param {RunEvent} event */
  const onEvent = (event) => {
    const pixels = "preview" in event ? event.preview.rgba : null;
    // A view into the wasm module's memory cannot be transferred.
    const isOwn = pixels !== null && pixels.byteLength === pixels.buffer.byteLength;
    send({ id: call.id, event }, isOwn ? [/** @type {ArrayBuffer} */ (pixels.buffer)] : []);
  };
  switch (call.operation) {
    case "openDevice":
      return openDevice(call.kept);
    case "checkPicture":
      return checked(call.bytes);
    case "previewPicture":
      return previewPicture(call.bytes, call.longSide);
    case "loadModel":
      return loadInTurn(call, onEvent);
    case "listKept":
      return listKept();
    case "purgeKept":
      return purgeUnused(call.folder);
    case "measure":
      return measure(await readableRequest(call.request), call.result, call.weights);
    case "selfTest":
      return selfTest(call.seconds, onEvent);
    case "lacks":
      return processor.lacks(await readableRequest(call.request), call.options);
    case "invertContent":
      return processor.invertContent(onEvent);
    case "invertStyles": {
      const numbers = Uint32Array.from(call.numbers);
      return processor.invertStyles(await readableRequest(call.request), call.options, numbers, onEvent);
    }
    case "takeStyles":
      return processor.takeStyles(Uint32Array.from(call.numbers), call.files);
    case "stylize": {
      // The result is a wasm-bindgen object, which cannot be posted; its values can.
      const styled = await stylize(await readableRequest(call.request), call.options, onEvent);
      const { png, width, height, seconds, unetCalls, gpuBytesReserved } = styled;
      styled.free(); // it holds another copy of the picture
      return { png, width, height, seconds, unetCalls, gpuBytesReserved };
    }
  }
}

/** What a reply hands over: a picture's file, or files of inversions. @param {unknown} value @returns {ArrayBuffer[]} */
function buffersOf(value) {
  const { png } = /** @type {{ png?: unknown }} */ (value ?? {});
  const all = Array.isArray(value) ? value : [png];
  return all.filter((each) => each instanceof Uint8Array).map(({ buffer }) => /** @type {ArrayBuffer} */ (buffer));
}

const ORDERS = {
  cancel() {
    for (const wait of waits) wait.abort();
    program?.cancel();
  },
  pause: () => program?.pause(),
  resume: () => program?.resume(),
};

scope.onmessage = async (/** @type {MessageEvent<Message>} */ { data }) => {
  if ("tell" in data) {
    // If the module failed to start, the call that needed it reports the error.
    await ready.then(ORDERS[data.tell], () => {});
    return;
  }
  try {
    const value = await perform(data);
    send({ id: data.id, value }, buffersOf(value));
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: "internal", message: String(error) };
    if (isTrap(error)) tellTrap(/** @type {Error} */ (error));
    else send({ id: data.id, error: { kind: name, message } });
  }
};

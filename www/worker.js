// The dedicated worker in which the wasm module lives, so that the page stays responsive while the model computes.
// It answers the requests of engine.js one message each; the protocol is the types below.

import init, {
  cancel,
  checkPicture,
  listKept,
  loadModel,
  openDevice,
  pause,
  previewPicture,
  purgeKept,
  ranOutOfMemory,
  resume,
  stylize,
} from "./styleid.js";

/**
 * @typedef {import("./styleid.js").ModelOptions} ModelOptions
 * @typedef {import("./styleid.js").Notice} Notice
 * @typedef {import("./styleid.js").Options} Options
 * @typedef {import("./styleid.js").PickedFile} PickedFile
 * @typedef {import("./styleid.js").Preview} Preview
 * @typedef {import("./styleid.js").ProgressEvent} ProgressEvent
 * @typedef {import("./styleid.js").Request} Pictures
 * @typedef {{ id: number, operation: "openDevice" }
 *   | { id: number, operation: "checkPicture", bytes: Uint8Array }
 *   | { id: number, operation: "previewPicture", bytes: Uint8Array, longSide: number }
 *   | { id: number, operation: "loadModel", options: ModelOptions, files: PickedFile[] }
 *   | { id: number, operation: "listKept" }
 *   | { id: number, operation: "purgeKept", folder: string }
 *   | { id: number, operation: "stylize", request: Pictures, options: Options }} Call
 * @typedef {ProgressEvent | Notice | { preview: Preview }} RunEvent
 * @typedef {Call | { cancel: true } | { pause: boolean }} Request
 * @typedef {{ id: number, value: unknown }
 *   | { id: number, event: RunEvent }
 *   | { id: number, error: { kind: string, message: string } }
 *   | { panic: string, kind: "internal" | "memory" }} Reply
 */

const scope = /** @type {DedicatedWorkerGlobalScope & typeof globalThis} */ (/** @type {unknown} */ (self));

/** @param {Reply} reply @param {Transferable[]} [transfer] */
const send = (reply, transfer = []) => scope.postMessage(reply, transfer);

// A panic inside an async function leaves its promise pending for ever: this hook is the only word of it.
scope.styleidPanic = (message, kind) => send({ panic: message, kind });

/** A trap without a panic, of which memory that ran out is one. @param {Error} error */
function trapped({ message }) {
  if (ranOutOfMemory()) {
    const sentence = "The page's memory ran out: try a smaller picture or size, or the weights q4.";
    send({ panic: sentence, kind: "memory" });
  } else send({ panic: message, kind: "internal" });
}
scope.addEventListener("error", (event) => {
  if (!(event.error instanceof WebAssembly.RuntimeError)) return;
  event.preventDefault();
  trapped(event.error);
});

const ready = init();

/** @param {Call} call */
async function perform(call) {
  await ready;
  /** @param {RunEvent} event */
  const onEvent = (event) => send({ id: call.id, event });
  switch (call.operation) {
    case "openDevice":
      return openDevice();
    case "checkPicture":
      return checkPicture(call.bytes);
    case "previewPicture":
      return previewPicture(call.bytes, call.longSide);
    case "loadModel":
      return loadModel(call.options, call.files, onEvent);
    case "listKept":
      return listKept();
    case "purgeKept":
      return purgeKept(call.folder);
    case "stylize": {
      // The result is an object of the wasm module's; only its values can leave the worker.
      const styled = await stylize(call.request, call.options, onEvent);
      const { png, width, height, seconds, unetCalls, gpuBytesReserved } = styled;
      return { png, width, height, seconds, unetCalls, gpuBytesReserved };
    }
  }
}

scope.onmessage = async (/** @type {MessageEvent<Request>} */ { data }) => {
  if ("cancel" in data) {
    await ready;
    cancel();
    return;
  }
  if ("pause" in data) {
    await ready;
    if (data.pause) pause();
    else resume();
    return;
  }
  try {
    const value = await perform(data);
    const png = /** @type {{ png?: Uint8Array<ArrayBuffer> } | undefined} */ (value)?.png;
    send({ id: data.id, value }, png ? [png.buffer] : []);
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: "internal", message: String(error) };
    if (error instanceof WebAssembly.RuntimeError) trapped(error);
    else send({ id: data.id, error: { kind: name, message } });
  }
};

// The dedicated worker in which the wasm module lives, so that the page stays responsive while the model computes.
// It answers the requests of engine.js one message each; the protocol is the types below.

import init, { cancel, checkPicture, listKept, loadModel, openDevice, purgeKept, stylize } from "./styleid.js";

/**
 * @typedef {import("./styleid.js").ModelOptions} ModelOptions
 * @typedef {import("./styleid.js").Notice} Notice
 * @typedef {import("./styleid.js").Options} Options
 * @typedef {import("./styleid.js").PickedFile} PickedFile
 * @typedef {import("./styleid.js").ProgressEvent} ProgressEvent
 * @typedef {{ id: number, operation: "openDevice" }
 *   | { id: number, operation: "checkPicture", bytes: Uint8Array }
 *   | { id: number, operation: "loadModel", options: ModelOptions, files: PickedFile[] }
 *   | { id: number, operation: "listKept" }
 *   | { id: number, operation: "purgeKept", folder: string }
 *   | { id: number, operation: "stylize", content: Uint8Array, style: Uint8Array, options: Options }} Call
 * @typedef {Call | { cancel: true }} Request
 * @typedef {{ id: number, value: unknown }
 *   | { id: number, event: ProgressEvent | Notice }
 *   | { id: number, error: { kind: string, message: string } }
 *   | { panic: string }} Reply
 */

const scope = /** @type {DedicatedWorkerGlobalScope & { styleidPanic?: (message: string) => void }} */ (
  /** @type {unknown} */ (self)
);

/** @param {Reply} reply @param {Transferable[]} [transfer] */
const send = (reply, transfer = []) => scope.postMessage(reply, transfer);

// A panic inside an async function leaves its promise pending for ever: this hook is the only word of it.
scope.styleidPanic = (message) => send({ panic: message });

const ready = init();

/** @param {Call} call */
async function perform(call) {
  await ready;
  /** @param {ProgressEvent | Notice} event */
  const onEvent = (event) => send({ id: call.id, event });
  switch (call.operation) {
    case "openDevice":
      return openDevice();
    case "checkPicture":
      return checkPicture(call.bytes);
    case "loadModel":
      return loadModel(call.options, call.files, onEvent);
    case "listKept":
      return listKept();
    case "purgeKept":
      return purgeKept(call.folder);
    case "stylize": {
      // The result is an object of the wasm module's; only its values can leave the worker.
      const styled = await stylize(call.content, call.style, call.options, onEvent);
      const { png, width, height, seconds, gpuBytesReserved } = styled;
      return { png, width, height, seconds, gpuBytesReserved };
    }
  }
}

scope.onmessage = async (/** @type {MessageEvent<Request>} */ { data }) => {
  if ("cancel" in data) {
    await ready;
    cancel();
    return;
  }
  try {
    const value = await perform(data);
    const png = /** @type {{ png?: Uint8Array<ArrayBuffer> } | undefined} */ (value)?.png;
    send({ id: data.id, value }, png ? [png.buffer] : []);
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: "internal", message: String(error) };
    if (error instanceof WebAssembly.RuntimeError) send({ panic: message });
    else send({ id: data.id, error: { kind: name, message } });
  }
};

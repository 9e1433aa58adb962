// The page's side of the worker: a small promise API. A worker whose wasm has trapped, or that does not let go when it is
// cancelled, is thrown away; the next call starts a fresh one, so nothing on the page is ever stuck with a broken one.

/**
 * @typedef {import("./styleid.js").Adapter} Adapter
 * @typedef {import("./styleid.js").KeptModels} KeptModels
 * @typedef {import("./styleid.js").ModelInfo} ModelInfo
 * @typedef {import("./styleid.js").ModelOptions} ModelOptions
 * @typedef {import("./styleid.js").Notice} Notice
 * @typedef {import("./styleid.js").Options} Options
 * @typedef {import("./styleid.js").PickedFile} PickedFile
 * @typedef {import("./styleid.js").PictureInfo} PictureInfo
 * @typedef {import("./styleid.js").ProgressEvent} ProgressEvent
 * @typedef {import("./styleid.js").Preview} Preview
 * @typedef {import("./styleid.js").Request} Request
 * @typedef {import("./styleid.js").Stylized} Stylized
 * @typedef {import("./styleid.js").ErrorKind} ErrorKind
 * @typedef {{ signal?: AbortSignal, onEvent?: (event: ProgressEvent) => void, onNotice?: (sentence: string) => void,
 *   onPreview?: (preview: Preview) => void }} CallOptions
 * @typedef {Omit<CallOptions, "signal"> & { resolve: (value: any) => void, reject: (error: EngineError) => void }} Pending
 */

/** How long a cancelled call may take to reach its next stopping point before its worker is ended. */
const CANCEL_GRACE_MS = 8000;

/** An error whose message is one sentence for the person at the page. */
export class EngineError extends Error {
  /** @param {ErrorKind} kind @param {string} message */
  constructor(kind, message) {
    super(message);
    this.name = "EngineError";
    this.kind = kind;
  }
}

const KINDS = ["cancelled", "picture", "model", "device", "memory", "settings", "file", "internal"];

/** @param {{ kind: string, message: string }} error */
function fromReply({ kind, message }) {
  if (KINDS.includes(kind)) return new EngineError(/** @type {ErrorKind} */ (kind), message);
  // Not one of the crate's own errors: the browser's, while it fetched or compiled the wasm.
  return new EngineError("internal", `The program could not be started: ${message}. Reload the page to try again.`);
}

const cancelled = () => new EngineError("cancelled", "Cancelled.");

/** What tells one model from another that could be loaded. @param {ModelOptions} model @param {PickedFile[]} files */
function identify({ source, weights, prediction, hub }, files) {
  const marks = files.map(({ path, file }) => [path, file.size, file.lastModified]);
  return JSON.stringify([source, weights, prediction, hub, marks]);
}

export class Engine {
  /** @type {Worker | null} */ #worker = null;
  /** @type {Map<number, Pending>} */ #pending = new Map();
  #lastId = 0;
  /** @type {Promise<Adapter> | null} */ #device = null;
  /** @type {{ identity: string, info: ModelInfo } | null} */ #model = null;
  #createWorker;
  #cancelGraceMs;

  /** @param {{ createWorker?: () => Worker, cancelGraceMs?: number }} [options] for tests */
  constructor({ createWorker, cancelGraceMs = CANCEL_GRACE_MS } = {}) {
    this.#createWorker =
      createWorker ?? (() => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
    this.#cancelGraceMs = cancelGraceMs;
  }

  /** Opens the WebGPU device, once per worker. @returns {Promise<Adapter>} */
  device() {
    const device = (this.#device ??= this.#call({ operation: "openDevice" }));
    // A refusal is not kept: the person may switch WebGPU on, or plug in a GPU, and try again.
    device.catch(() => {
      if (this.#device === device) this.#device = null;
    });
    return device;
  }

  /** @param {Uint8Array} bytes @returns {Promise<PictureInfo>} */
  check(bytes) {
    return this.#call({ operation: "checkPicture", bytes });
  }

  /**
   * Loads a model, unless it is the one already loaded.
   * @param {ModelOptions} model @param {PickedFile[]} files read instead of the model's source where there are any
   * @param {CallOptions} [options] @returns {Promise<ModelInfo>}
   */
  async load(model, files, options = {}) {
    await this.device();
    const identity = identify(model, files);
    if (this.#model?.identity === identity) return this.#model.info;
    this.#model = null;
    const info = await this.#call({ operation: "loadModel", options: model, files }, options);
    this.#model = { identity, info };
    return info;
  }

  /** The models on this computer's disk. @returns {Promise<KeptModels>} */
  kept() {
    return this.#call({ operation: "listKept" });
  }

  /** Removes one of them, or all where `folder` is empty. @param {string} folder @returns {Promise<void>} */
  purge(folder) {
    return this.#call({ operation: "purgeKept", folder });
  }

  /**
   * @param {Request} request @param {Options} settings @param {CallOptions} [options]
   * @returns {Promise<Stylized>}
   */
  stylize(request, settings, options = {}) {
    return this.#call({ operation: "stylize", request, options: settings }, options);
  }

  /** Holds the run at its next block, until it is resumed or cancelled. */
  pause() {
    this.#worker?.postMessage({ pause: true });
  }

  resume() {
    this.#worker?.postMessage({ pause: false });
  }

  /** A PNG of a picture that browsers do not show. @param {Uint8Array} bytes @param {number} longSide @returns {Promise<Uint8Array<ArrayBuffer>>} */
  preview(bytes, longSide) {
    return this.#call({ operation: "previewPicture", bytes, longSide });
  }

  /** @param {Record<string, unknown>} request @param {CallOptions} [options] @returns {Promise<any>} */
  #call(request, { signal, onEvent, onNotice, onPreview } = {}) {
    if (signal?.aborted) return Promise.reject(cancelled());
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#lastId;
    const result = new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onEvent, onNotice, onPreview });
      worker.postMessage({ id, ...request });
    });
    if (!signal) return result;

    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let grace;
    const onAbort = () => {
      worker.postMessage({ cancel: true });
      grace = setTimeout(() => this.#stop(worker, cancelled()), this.#cancelGraceMs);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return result.finally(() => {
      clearTimeout(grace);
      signal.removeEventListener("abort", onAbort);
    });
  }

  #start() {
    const worker = this.#createWorker();
    worker.onmessage = ({ data }) => {
      if ("panic" in data) {
        const what = String(data.panic).split("\n")[0];
        const fault = `The program hit a fault of its own (${what}). Your choices are kept: try again.`;
        this.#stop(
          worker,
          data.kind === "memory" ? new EngineError("memory", what) : new EngineError("internal", fault),
        );
        return;
      }
      const call = this.#pending.get(data.id);
      if (!call) return;
      if ("event" in data) {
        if ("notice" in data.event) call.onNotice?.(data.event.notice);
        else if ("preview" in data.event) call.onPreview?.(data.event.preview);
        else call.onEvent?.(data.event);
        return;
      }
      this.#pending.delete(data.id);
      if ("error" in data) call.reject(fromReply(data.error));
      else call.resolve(data.value);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const why = event.message ? ` (${event.message})` : "";
      this.#stop(
        worker,
        new EngineError("internal", `The program could not be loaded${why}. Check the connection and try again.`),
      );
    };
    return worker;
  }

  /** Ends a worker and fails what it still owed. @param {Worker} worker @param {EngineError} error */
  #stop(worker, error) {
    if (worker !== this.#worker) return;
    worker.terminate();
    this.#worker = null;
    this.#device = null;
    this.#model = null;
    const owed = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of owed) call.reject(error);
  }
}

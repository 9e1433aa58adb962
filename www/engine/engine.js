// The page's side of the worker: a small promise API. A worker is discarded if it has lost its GPU or run out of
// memory, has trapped or died, does not stop when cancelled, or is for another device than the chosen one. The next
// call then starts a fresh one.

import { EngineError, cancelled, died, fault, fromReply, isKind, notCloned } from "./errors.js";
export { ERROR_KINDS, EngineError } from "./errors.js";
import { mayPair, stylizePaired } from "./pair.js";
import { Stopwatch } from "./stopwatch.js";
import { keepTiles, keptTiles } from "./tiles.js";
import { startWorker, staysInside, watchLife } from "./worker-life.js";

/**
 * @typedef {import("../styleid.js").Adapter} Adapter
 * @typedef {import("./adapter.js").DeviceChoice} DeviceChoice
 * @typedef {import("../styleid.js").KeptModels} KeptModels
 * @typedef {import("../styleid.js").KernelTest} KernelTest
 * @typedef {import("../styleid.js").Measures} Measures
 * @typedef {import("../styleid.js").ModelInfo} ModelInfo
 * @typedef {import("../styleid.js").ModelOptions} ModelOptions
 * @typedef {import("../styleid.js").Options} Options
 * @typedef {import("../styleid.js").PickedFile} PickedFile
 * @typedef {import("../styleid.js").PictureInfo} PictureInfo
 * @typedef {import("../styleid.js").Preview} Preview
 * @typedef {import("../styleid.js").ProgressEvent} ProgressEvent
 * @typedef {import("../styleid.js").Request} Request
 * @typedef {import("../styleid.js").SelfTest} SelfTest
 * @typedef {import("../styleid.js").Stylized} Stylized
 * @typedef {import("./pair.js").CallOptions} CallOptions
 * @typedef {Omit<CallOptions, "signal"> & { message: Record<string, unknown>, transfer: Transferable[], resolve: (value: any) => void,
 *   reject: (error: EngineError) => void }} Pending
 */

/** How long a cancelled call may take to reach its next stopping point before its worker is terminated. */
const CANCEL_GRACE_MS = 8000;
/** The same on the processor, where ending a worker loses no device. */
const PROCESSOR_GRACE_MS = 400;

/** What a worker may run out of memory or lose its device in. */
const COMPUTING = ["loadModel", "stylize", "measure", "selfTest", "invertContent", "invertStyles", "takeStyles"];

/**
 * A key that is equal only for the same model loaded the same way.
 * @param {ModelOptions} model @param {PickedFile[]} files
 */
function identify(model, files) {
  const { source, rest = null, vae = null, weights, prediction, hub, gpuBytes = null, halfPrecision = false } = model;
  const marks = files.map(({ path, file, part = "" }) => [path, file.size, file.lastModified, part]);
  return JSON.stringify([source, rest, vae, weights, prediction, hub, gpuBytes, halfPrecision, marks]);
}

export class Engine {
  /** @type {Worker | null} */ #worker = null;
  /** Stops watching for the worker's death. @type {AbortController | null} */ #watch = null;
  /** Whether the worker is restricted by the page's content security policy. */ #isInside = true;
  /** Whether this browser has refused to start a worker that inherits the policy. */ #isRefused = false;
  /** @type {Map<number, Pending>} */ #pending = new Map();
  #lastId = 0;
  /** @type {Promise<Adapter> | null} */ #device = null;
  /**
   * The loaded model; `load` loads it into another engine.
   * @type {{ identity: string, info: ModelInfo, load: (engine: Engine) => Promise<unknown> } | null}
   */
  #model = null;
  /** A second worker for the processor. @type {Engine | null} */ #helper = null;
  #clock = new Stopwatch();
  /**
   * Pending while a short task runs, such as measuring; resolves at its end and never rejects.
   * @type {Promise<void> | null}
   */
  #brief = null;
  /** What to compute on. @type {DeviceChoice} */ #choice;
  /** The choice that the worker was started with. @type {DeviceChoice} */ #started = "auto";
  /** Whether the opened device is the processor. */ #isProcessor = false;
  #createWorker;
  #cancelGraceMs;

  /**
   * @param {{ device?: DeviceChoice, createWorker?: (isInside: boolean, device: DeviceChoice) => Worker, cancelGraceMs?: number }} [options]
   *   the last two for tests
   */
  constructor({ device = "auto", createWorker = startWorker, cancelGraceMs = CANCEL_GRACE_MS } = {}) {
    this.#choice = device;
    this.#createWorker = createWorker;
    this.#cancelGraceMs = cancelGraceMs;
  }

  /** Chooses what to compute on from the next load on. @param {DeviceChoice} choice */
  computeOn(choice) {
    this.#choice = choice;
  }

  get choice() {
    return this.#choice;
  }

  /** Whether the device that was opened last is the processor. */
  get isProcessor() {
    return this.#isProcessor;
  }

  /** Opens the device, once per worker. @returns {Promise<Adapter>} */
  async device() {
    if (this.#worker && this.#started !== this.#choice) await this.#retire();
    const device = (this.#device ??= this.#call({ operation: "openDevice", kept: keptTiles() }).then((adapter) => {
      keepTiles(adapter);
      this.#isProcessor = adapter.kernels === "processor";
      return adapter;
    }));
    // A failure is not cached: the user may enable WebGPU or plug in a GPU, and try again.
    device.catch(() => {
      if (this.#device === device) this.#device = null;
    });
    return device;
  }

  /**
   * Describes a picture. If only the browser could decode it, `png` is set, and runs should get that instead.
   * @param {Uint8Array} bytes @returns {Promise<PictureInfo & { png?: Uint8Array<ArrayBuffer> }>}
   */
  check(bytes) {
    return this.#call({ operation: "checkPicture", bytes });
  }

  /**
   * A PNG of a picture in a format that browsers do not show.
   * @param {Uint8Array} bytes @param {number} longSide @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  preview(bytes, longSide) {
    return this.#call({ operation: "previewPicture", bytes, longSide });
  }

  /**
   * Loads a model, unless it is the one already loaded.
   * @param {ModelOptions} model @param {PickedFile[]} files replace what the options name, for each part that has any
   * @param {CallOptions} [options] @returns {Promise<ModelInfo>}
   */
  async load(model, files, options = {}) {
    if (this.#brief) await this.#brief; // one task at a time; this one takes only seconds
    const isInside = staysInside(model, files);
    if (isInside !== this.#isInside) await this.#retire();
    this.#isInside = isInside;
    await this.device();
    const identity = identify(model, files);
    if (this.#model?.identity === identity) return this.#model.info;
    this.#model = null;
    const info = await this.#call({ operation: "loadModel", options: model, files }, options);
    this.#model = { identity, info, load: (engine) => engine.load(model, files) };
    return info;
  }

  /** The models on this computer's disk. @returns {Promise<KeptModels>} */
  kept() {
    return this.#call({ operation: "listKept" });
  }

  /** Removes one kept model, or all if `folder` is empty. @param {string} folder @returns {Promise<void>} */
  purge(folder) {
    return this.#call({ operation: "purgeKept", folder });
  }

  /**
   * Repaints a picture with the loaded model. The pictures' bytes are copied, not transferred.
   * @param {Request} request @param {Options} settings @param {CallOptions} [options] @returns {Promise<Stylized>}
   */
  stylize(request, settings, options = {}) {
    const model = this.#model;
    if (!model || !this.#isProcessor || !mayPair(model.info)) {
      return this.#call({ operation: "stylize", request, options: settings }, options);
    }
    const helper = async () => {
      const engine = (this.#helper ??= new Engine({ device: "cpu", createWorker: this.#createWorker }));
      await model.load(engine);
      return engine.#call.bind(engine);
    };
    this.#clock.go();
    const workers = { ask: this.#call.bind(this), helper, seconds: () => this.#clock.seconds };
    return stylizePaired(workers, request, settings, options);
  }

  /**
   * Measures how much of the photo is preserved in a result, and how close it is to its paintings. Needs no model.
   * `load` waits for it.
   * @param {Request} request the pictures that it was made from @param {Uint8Array} result a picture's file
   * @param {Uint8Array} weights LPIPS's @param {CallOptions} [options] @returns {Promise<Measures>}
   */
  measure(request, result, weights, options = {}) {
    return this.#inTurn({ operation: "measure", request, result, weights }, options);
  }

  /**
   * Tests each kind of kernel on this GPU against known values, and starts no further kernel after `seconds`. Needs no
   * model. `load` waits for it; it is refused during a run.
   * @param {number} seconds @param {Pick<CallOptions, "onKernel" | "signal">} [options] `onKernel` is called with each
   *   kernel, a failing one included, and with their total number
   * @returns {Promise<SelfTest>}
   */
  selfTest(seconds, options = {}) {
    return this.#inTurn({ operation: "selfTest", seconds }, options);
  }

  /**
   * `#call` for a short task that needs the device: waits for the previous short task; `load` waits for this one.
   * @param {Record<string, unknown>} message @param {CallOptions} options
   */
  #inTurn(message, options) {
    const before = this.#brief ?? Promise.resolve();
    const answer = before.then(async () => {
      await this.device();
      return this.#call(message, options);
    });
    const over = () => {
      if (this.#brief === brief) this.#brief = null;
    };
    const brief = answer.then(over, over);
    this.#brief = brief;
    return answer;
  }

  /** Pauses the running `stylize` until `resume`; it can still be cancelled. */
  pause() {
    this.#worker?.postMessage({ tell: "pause" });
    this.#clock.halt();
    this.#helper?.pause();
  }

  resume() {
    this.#worker?.postMessage({ tell: "resume" });
    this.#clock.go();
    this.#helper?.resume();
  }

  /** Terminates the worker at once. The next call starts another one. */
  dispose() {
    if (this.#worker) this.#stop(this.#worker, cancelled());
  }

  /**
   * @param {Record<string, unknown>} message as worker.js has it @param {CallOptions} [options]
   * @param {Transferable[]} [transfer] @returns {Promise<any>}
   */
  #call(message, { signal, ...listeners } = {}, transfer = []) {
    if (signal?.aborted) return Promise.reject(cancelled());
    const worker = (this.#worker ??= this.#start());
    const id = ++this.#lastId;
    const result = new Promise((resolve, reject) => {
      this.#pending.set(id, { message, transfer, resolve, reject, ...listeners });
      this.#post(worker, id);
    });
    if (!signal) return result;

    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let grace;
    const onAbort = () => {
      // Not the worker that the call started on: the call may have moved to another one.
      this.#worker?.postMessage({ tell: "cancel" });
      const patience = this.#isProcessor ? Math.min(PROCESSOR_GRACE_MS, this.#cancelGraceMs) : this.#cancelGraceMs;
      grace = setTimeout(() => this.#replace(id, cancelled()), patience);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return result.finally(() => {
      clearTimeout(grace);
      signal.removeEventListener("abort", onAbort);
    });
  }

  #start() {
    this.#started = this.#choice;
    const worker = this.#createWorker(this.#isInside && !this.#isRefused, this.#choice);
    let isAlive = false;
    worker.onmessage = ({ data }) => {
      if (worker !== this.#worker) return; // terminated, with a message still on its way
      if ("alive" in data) {
        isAlive = true;
        this.#watch = watchLife(data.alive, () => this.#stop(worker, died()));
      } else if ("panic" in data) {
        this.#stop(worker, fault(data.panic, data.kind));
      } else if (this.#pending.has(data.id)) {
        this.#answer(data);
      }
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (worker !== this.#worker) return;
      // A browser may refuse to start a worker from a blob; it is then started from its own address, once.
      if (!isAlive && this.#isInside && !this.#isRefused) {
        this.#isRefused = true;
        this.#restart();
        return;
      }
      if (isAlive) return this.#stop(worker, fault(event.message));
      const why = event.message ? ` (${event.message})` : "";
      const message = `The program could not be loaded${why}. Check the connection and try again.`;
      this.#isRefused = false;
      this.#stop(worker, new EngineError("internal", message));
    };
    return worker;
  }

  /** @param {{ id: number, event?: any, error?: { kind: string, message: string }, value?: unknown }} reply */
  #answer(reply) {
    const { id, event } = reply;
    const call = /** @type {Pending} */ (this.#pending.get(id));
    if (event) {
      if ("notice" in event) call.onNotice?.(event.notice);
      else if ("preview" in event) call.onPreview?.(event.preview);
      else if ("kernel" in event) call.onKernel?.(event.kernel, event.of);
      else call.onEvent?.(event);
      return;
    }
    if (!reply.error) {
      this.#pending.delete(id);
      call.resolve(reply.value);
      return;
    }
    const error = fromReply(reply.error);
    const { operation } = call.message;
    const hasComputed = COMPUTING.includes(String(operation));
    const isStarted = isKind(reply.error.kind);
    // Only a new worker frees the GPU's memory, or can open another device.
    const isSpent = ["device", "unsupported", "memory"].includes(error.kind);
    if ((hasComputed && isSpent) || !isStarted) this.#replace(id, error);
    else {
      this.#pending.delete(id);
      call.reject(error);
    }
  }

  /**
   * Terminates the worker and rejects one call; its other pending calls are sent to a fresh worker.
   * @param {number} id @param {EngineError} error
   */
  #replace(id, error) {
    const call = this.#pending.get(id);
    if (!call) return;
    this.#pending.delete(id);
    this.#restart();
    call.reject(error);
  }

  #restart() {
    this.#end();
    if (this.#pending.size === 0) return;
    const worker = (this.#worker = this.#start());
    for (const id of [...this.#pending.keys()]) this.#post(worker, id);
  }

  /** Posts a pending call to a worker; rejects it if it cannot be cloned. @param {Worker} worker @param {number} id */
  #post(worker, id) {
    const { message, transfer, reject } = /** @type {Pending} */ (this.#pending.get(id));
    try {
      worker.postMessage({ id, ...message }, transfer);
    } catch (error) {
      this.#pending.delete(id); // or `#retire` would wait for it for ever
      reject(notCloned(error));
    }
  }

  /** Terminates the worker once no call is pending. */
  async #retire() {
    while (this.#pending.size > 0) {
      const owed = [...this.#pending.values()];
      await Promise.all(
        owed.map(
          (call) =>
            new Promise((settled) => {
              const { resolve, reject } = call;
              call.resolve = (value) => (resolve(value), settled(null));
              call.reject = (error) => (reject(error), settled(null));
            }),
        ),
      );
    }
    this.#end();
  }

  /** Terminates a worker and rejects its pending calls. @param {Worker} worker @param {EngineError} error */
  #stop(worker, error) {
    if (worker !== this.#worker) return;
    this.#end();
    const owed = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of owed) call.reject(error);
  }

  #end() {
    this.#helper?.dispose();
    this.#helper = null;
    this.#watch?.abort();
    this.#worker?.terminate();
    this.#watch = null;
    this.#worker = null;
    this.#device = null;
    this.#model = null;
  }
}

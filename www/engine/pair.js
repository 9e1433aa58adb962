// A run on the processor divided between two workers: while one inverts the photo, another inverts the paintings, and
// hands their inversions over. Each worker has one core: shared memory would need headers that plain hosts do not send.

import { isPhone } from "./phone.js";

/**
 * @typedef {import("../styleid.js").KernelTest} KernelTest
 * @typedef {import("../styleid.js").Lacks} Lacks
 * @typedef {import("../styleid.js").ModelInfo} ModelInfo
 * @typedef {import("../styleid.js").Options} Options
 * @typedef {import("../styleid.js").Preview} Preview
 * @typedef {import("../styleid.js").ProgressEvent} ProgressEvent
 * @typedef {import("../styleid.js").Request} Request
 * @typedef {import("../styleid.js").Stylized} Stylized
 * @typedef {{ signal?: AbortSignal, onEvent?: (event: ProgressEvent) => void, onNotice?: (sentence: string) => void,
 *   onPreview?: (preview: Preview) => void, onKernel?: (kernel: KernelTest, of: number) => void }} CallOptions
 * @typedef {(message: Record<string, unknown>, options?: CallOptions, transfer?: Transferable[]) => Promise<any>} Ask of a
 *   worker with the model
 */

/** Parameters up to which a model is loaded twice. */
const MOST_PARAMETERS = 1e8;
/** Gigabytes of main memory from which it is, as browsers round them. */
const MUCH_MEMORY = 4;

/** Whether a second worker may help with this model on this device. @param {ModelInfo} info */
export function mayPair({ parameters }) {
  const { deviceMemory } = /** @type {Navigator & { deviceMemory?: number }} */ (navigator);
  const hasRoom = deviceMemory === undefined ? !isPhone() : deviceMemory >= MUCH_MEMORY;
  return parameters <= MOST_PARAMETERS && hasRoom && (navigator.hardwareConcurrency ?? 1) > 1;
}

/**
 * Runs in two workers, if neither the photo nor the paintings are inverted already.
 * @param {{ ask: Ask, helper: () => Promise<Ask>, seconds: () => number }} workers the one that runs, the one that helps, and
 *   a clock that stands still during pauses
 * @param {Request} request @param {Options} settings @param {CallOptions} options @returns {Promise<Stylized>}
 */
export async function stylizePaired({ ask, helper, seconds }, request, settings, options) {
  const wanted = { request, options: settings };
  const run = () => ask({ operation: "stylize", ...wanted }, options);
  const began = seconds();
  const lacks = /** @type {Lacks} */ (await ask({ operation: "lacks", ...wanted }));
  if (!lacks.content || lacks.styles.length === 0) return run();

  let isWaiting = false;
  /** @type {ProgressEvent | null} */
  let last = null;
  const theirs = {
    signal: options.signal,
    // The user sees one worker's progress at a time: first that of the photo.
    onEvent(/** @type {ProgressEvent} */ event) {
      last = event;
      if (isWaiting) options.onEvent?.(event);
    },
  };
  const styles = helper()
    .then((askHelper) => askHelper({ operation: "invertStyles", ...wanted, numbers: lacks.styles }, theirs))
    .catch(() => null); // whatever the reason: the run then makes them itself
  const own = /** @type {number} */ (await ask({ operation: "invertContent" }, options));
  isWaiting = true;
  if (last) options.onEvent?.(last);
  const [calls = 0, ...files] = /** @type {[number, ...Uint8Array<ArrayBuffer>[]]} */ ((await styles) ?? []);
  const numbers = lacks.styles.slice(0, files.length);
  const buffers = files.map((file) => file.buffer);
  await ask({ operation: "takeStyles", numbers, files }, {}, buffers);
  const before = seconds() - began;
  const styled = /** @type {Stylized} */ (await run());
  return { ...styled, seconds: styled.seconds + before, unetCalls: styled.unetCalls + own + calls };
}

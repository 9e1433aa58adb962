// What calls of the engine fail with: a kind, and one sentence for the user.

/** @typedef {import("../styleid.js").ErrorKind} ErrorKind */

/** An error whose message is one sentence for the user. */
export class EngineError extends Error {
  /** @param {ErrorKind} kind @param {string} message */
  constructor(kind, message) {
    super(message);
    this.name = "EngineError";
    this.kind = kind;
  }
}

/** All kinds: the type checker reports a missing one. @type {Record<ErrorKind, true>} */
const KINDS = {
  cancelled: true,
  picture: true,
  model: true,
  device: true,
  unsupported: true,
  memory: true,
  settings: true,
  file: true,
  internal: true,
};
export const ERROR_KINDS = /** @type {ErrorKind[]} */ (Object.keys(KINDS));
/** @param {string} kind @returns {kind is ErrorKind} */
export const isKind = (kind) => Object.hasOwn(KINDS, kind);

/** A worker's error reply as an error. @param {{ kind: string, message: string }} error */
export function fromReply({ kind, message }) {
  if (isKind(kind)) return new EngineError(kind, message);
  // Not an error of the crate, but the browser's, from fetching or compiling the wasm.
  return new EngineError(
    "internal",
    `The program could not be started (${message}). Check the connection and try again.`,
  );
}

/** A message that cannot be posted to the worker. @param {unknown} error */
export const notCloned = (error) =>
  new EngineError(
    "settings",
    `What was asked for cannot be handed to the program (${error instanceof Error ? error.message : error}): give plain values, bytes that are still there, and functions among the listeners.`,
  );

export const cancelled = () => new EngineError("cancelled", "Cancelled.");

/** The worker died without a word. */
export const died = () =>
  new EngineError(
    "internal",
    "The browser ended the program, as it does where memory is short. Your choices are kept: try again.",
  );

/** A panic or trap of the program. @param {string} message @param {"internal" | "memory"} [kind] */
export function fault(message, kind = "internal") {
  if (kind === "memory") return new EngineError(kind, message);
  const what = message.split("\n")[0];
  return new EngineError(kind, `The program hit a fault of its own (${what}). Your choices are kept: try again.`);
}

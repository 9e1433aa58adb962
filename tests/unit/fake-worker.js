// A fake worker for tests, and an engine that uses it.

import { Engine } from "../../www/engine/engine.js";

export class FakeWorker {
  terminated = false;
  /** @type {any[]} */ received = [];
  postMessage(message) {
    this.received.push(message);
    this.answer?.(message);
  }
  terminate() {
    this.terminated = true;
  }
  reply(data) {
    this.onmessage({ data });
  }
}

/** An engine, and the workers that it starts. */
export function start(options = {}) {
  const workers = [];
  const engine = new Engine({
    createWorker: (isInside) => {
      workers.push(Object.assign(new FakeWorker(), { isInside }));
      return workers.at(-1);
    },
    ...options,
  });
  return { engine, workers };
}

/** Answers everything at once, and loads any model. @param {FakeWorker} worker */
export const obliging = (worker) =>
  (worker.answer = ({ id, operation, options }) =>
    queueMicrotask(() => worker.reply({ id, value: operation === "loadModel" ? { name: options.source } : {} })));

export const request = { content: new Uint8Array([1]), styles: [{ picture: new Uint8Array([2]) }] };
export const model = (source, changes = {}) => ({ source, weights: "exact", prediction: null, hub: null, ...changes });

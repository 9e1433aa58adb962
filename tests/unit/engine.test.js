// The engine against a worker that is played by the test: crashes and stuck runs that a real one seldom has.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Engine } from "../../www/engine.js";

class FakeWorker {
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

function start(options = {}) {
  const workers = [];
  const engine = new Engine({
    createWorker: () => {
      workers.push(new FakeWorker());
      return workers.at(-1);
    },
    ...options,
  });
  return { engine, workers };
}

/** Answers everything at once, and loads any model. @param {FakeWorker} worker */
const obliging = (worker) =>
  (worker.answer = ({ id, operation, options }) =>
    queueMicrotask(() => worker.reply({ id, value: operation === "loadModel" ? { name: options.source } : {} })));

const pictures = { content: new Uint8Array(), styles: [{ picture: new Uint8Array() }] };
const model = (source, changes = {}) => ({ source, weights: "exact", prediction: null, hub: null, ...changes });

test("answers reach their own callers, events theirs", async () => {
  const { engine, workers } = start();
  const events = [];
  const first = engine.check(new Uint8Array([1]));
  const second = engine.stylize(pictures, {}, { onEvent: (event) => events.push(event) });
  const [a, b] = workers[0].received;
  workers[0].reply({ id: b.id, event: { phase: "stylize", step: 1, steps: 4 } });
  workers[0].reply({ id: b.id, value: "second" });
  workers[0].reply({ id: a.id, value: "first" });
  assert.deepEqual([await first, await second], ["first", "second"]);
  assert.deepEqual(events, [{ phase: "stylize", step: 1, steps: 4 }]);
});

test("an error keeps its kind and its sentence", async () => {
  const { engine, workers } = start();
  const call = engine.check(new Uint8Array());
  workers[0].reply({ id: 1, error: { kind: "picture", message: "This is no picture." } });
  await assert.rejects(call, { kind: "picture", message: "This is no picture." });
});

test("after a panic everything owed fails with a sentence and the next call gets a fresh worker", async () => {
  const { engine, workers } = start();
  const run = engine.stylize(pictures, {});
  const check = engine.check(new Uint8Array());
  workers[0].reply({ panic: "index out of bounds\nat src/somewhere.rs" });
  await assert.rejects(run, {
    kind: "internal",
    message: /^The program hit a fault .*\(index out of bounds\).* try again\.$/,
  });
  await assert.rejects(check, { kind: "internal" });
  assert.ok(workers[0].terminated);

  const again = engine.check(new Uint8Array());
  assert.equal(workers.length, 2);
  workers[1].reply({ id: workers[1].received[0].id, value: "well" });
  assert.equal(await again, "well");
});

test("a model is loaded once, and again by a fresh worker", async () => {
  const { engine, workers } = start();
  const loads = (worker) => worker.received.filter(({ operation }) => operation === "loadModel").length;
  void engine.device();
  obliging(workers[0]);
  workers[0].reply({ id: 1, value: {} });
  await engine.load(model("https://example.org/a/"), []);
  await engine.load(model("https://example.org/a/"), []);
  assert.equal(loads(workers[0]), 1);
  await engine.load(model("https://example.org/b/"), []);
  assert.equal(loads(workers[0]), 2);

  workers[0].reply({ panic: "gone" });
  const load = engine.load(model("https://example.org/b/"), []);
  obliging(workers[1]);
  workers[1].reply({ id: workers[1].received[0].id, value: {} });
  await load;
  assert.equal(loads(workers[1]), 1);
});

test("what a model is kept as, and which files it is read from, makes it another one", async () => {
  const { engine, workers } = start();
  void engine.device();
  obliging(workers[0]);
  workers[0].reply({ id: 1, value: {} });
  const file = (bytes, lastModified) => ({ path: "a.gguf", file: new File([bytes], "a.gguf", { lastModified }) });
  const different = [
    [model("o/r"), []],
    [model("o/r", { weights: "q8" }), []],
    [model("o/r", { prediction: "epsilon" }), []],
    [model("o/r", { hub: "https://mirror.example" }), []],
    [model("o/r"), [file("one", 1)]],
    [model("o/r"), [file("other", 1)]],
    [model("o/r"), [file("one", 2)]],
  ];
  for (const [options, files] of different) {
    for (let time = 0; time < 2; time++) await engine.load({ ...options }, [...files]);
  }
  const loads = workers[0].received.filter(({ operation }) => operation === "loadModel");
  assert.deepEqual(
    loads.map(({ options, files }) => [options, files]),
    different,
    "each once, as it was asked for",
  );
});

test("notices are told apart from progress", async () => {
  const { engine, workers } = start();
  void engine.device();
  workers[0].reply({ id: 1, value: {} });
  const [events, notices] = [[], []];
  const load = engine.load(model("o/r"), [], {
    onEvent: (event) => events.push(event),
    onNotice: (sentence) => notices.push(sentence),
  });
  await new Promise(setImmediate);
  workers[0].reply({ id: 2, event: { phase: "load", step: 0, steps: 0 } });
  workers[0].reply({ id: 2, event: { notice: "The connection broke." } });
  workers[0].reply({ id: 2, value: { name: "r" } });
  assert.deepEqual(await load, { name: "r" });
  assert.deepEqual([events, notices], [[{ phase: "load", step: 0, steps: 0 }], ["The connection broke."]]);
});

test("kept models are listed and removed without a device", async () => {
  const { engine, workers } = start();
  const [kept, purge] = [engine.kept(), engine.purge("folder")];
  assert.deepEqual(workers[0].received, [
    { id: 1, operation: "listKept" },
    { id: 2, operation: "purgeKept", folder: "folder" },
  ]);
  workers[0].reply({ id: 1, value: { models: [] } });
  workers[0].reply({ id: 2, error: { kind: "file", message: "It is in use." } });
  assert.deepEqual(await kept, { models: [] });
  await assert.rejects(purge, { kind: "file", message: "It is in use." });
});

test("aborting asks the worker to cancel, and ends one that does not", async () => {
  const { engine, workers } = start({ cancelGraceMs: 20 });
  const polite = new AbortController();
  const first = engine.stylize(pictures, {}, { signal: polite.signal });
  polite.abort();
  assert.deepEqual(workers[0].received.at(-1), { cancel: true });
  workers[0].reply({ id: 1, error: { kind: "cancelled", message: "Cancelled." } });
  await assert.rejects(first, { kind: "cancelled" });
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.ok(!workers[0].terminated);

  const stuck = new AbortController();
  const second = engine.stylize(pictures, {}, { signal: stuck.signal });
  stuck.abort();
  await assert.rejects(second, { kind: "cancelled" });
  assert.ok(workers[0].terminated);
});

test("a call that is cancelled before it begins never reaches the worker", async () => {
  const { engine, workers } = start();
  await assert.rejects(engine.stylize(pictures, {}, { signal: AbortSignal.abort() }), {
    kind: "cancelled",
  });
  assert.equal(workers.length, 0);
});

test("a refused device is asked for again", async () => {
  const { engine, workers } = start();
  const refused = engine.device();
  workers[0].reply({ id: 1, error: { kind: "device", message: "No adapter." } });
  await assert.rejects(refused, { kind: "device" });
  const granted = engine.device();
  workers[0].reply({ id: 2, value: { name: "GPU" } });
  assert.deepEqual(await granted, { name: "GPU" });
});

test("memory that ran out is told from a fault, and previews from progress", async () => {
  const { engine, workers } = start();
  const previews = [];
  const run = engine.stylize(pictures, {}, { onPreview: (preview) => previews.push(preview) });
  engine.pause();
  engine.resume();
  assert.deepEqual(workers[0].received.slice(1), [{ pause: true }, { pause: false }]);
  workers[0].reply({ id: 1, event: { preview: { width: 1, height: 1, step: 3, steps: 20 } } });
  workers[0].reply({ panic: "The page's memory ran out.", kind: "memory" });
  await assert.rejects(run, { kind: "memory", message: "The page's memory ran out." });
  assert.deepEqual(previews, [{ width: 1, height: 1, step: 3, steps: 20 }]);
  assert.ok(workers[0].terminated);
});

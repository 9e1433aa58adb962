// The engine with a fake worker: calls, answers and failures.

import assert from "node:assert/strict";
import { test } from "node:test";
import { model, obliging, request, start } from "./fake-worker.js";

test("answers reach their own callers, events theirs", async () => {
  const { engine, workers } = start();
  const [events, previews] = [[], []];
  const first = engine.check(new Uint8Array([1]));
  const second = engine.stylize(
    request,
    { steps: 4 },
    { onEvent: (event) => events.push(event), onPreview: (preview) => previews.push(preview) },
  );
  const [a, b] = workers[0].received;
  assert.deepEqual(b, { id: 2, operation: "stylize", request, options: { steps: 4 } });
  workers[0].reply({ id: b.id, event: { phase: "stylize", step: 1, steps: 4 } });
  workers[0].reply({ id: b.id, event: { preview: { width: 8, height: 8, step: 1, steps: 4 } } });
  workers[0].reply({ id: b.id, value: "second" });
  workers[0].reply({ id: a.id, value: "first" });
  assert.deepEqual([await first, await second], ["first", "second"]);
  assert.deepEqual(events, [{ phase: "stylize", step: 1, steps: 4 }]);
  assert.deepEqual(previews, [{ width: 8, height: 8, step: 1, steps: 4 }]);
});

test("an error keeps its kind and its sentence", async () => {
  const { engine, workers } = start();
  const call = engine.check(new Uint8Array());
  workers[0].reply({ id: 1, error: { kind: "picture", message: "This is no picture." } });
  await assert.rejects(call, { kind: "picture", message: "This is no picture." });
});

test("a model is loaded once, and again by a fresh worker", async () => {
  const { engine, workers } = start();
  const loads = (worker) => worker.received.filter(({ operation }) => operation === "loadModel").length;
  void engine.device();
  obliging(workers[0]);
  workers[0].reply({ id: 1, value: {} });
  await engine.load(model("o/a"), []);
  await engine.load(model("o/a"), []);
  assert.equal(loads(workers[0]), 1);
  await engine.load(model("o/b"), []);
  assert.equal(loads(workers[0]), 2);

  workers[0].reply({ panic: "gone" });
  const load = engine.load(model("o/b"), []);
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
    [model("o/r", { hub: "https://hf.co" }), []],
    [model("o/r", { vae: "o/a" }), []],
    [model("o/r", { vae: "o/b" }), []],
    [model("o/r", { rest: "o/b" }), []],
    [model("o/r", { rest: "o/b", vae: "o/b" }), []],
    [model("o/r"), [{ ...file("one", 1), part: "vae" }]],
    [model("o/r"), [{ ...file("one", 1), part: "rest" }]],
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
  const first = engine.stylize(request, {}, { signal: polite.signal });
  polite.abort();
  assert.deepEqual(workers[0].received.at(-1), { tell: "cancel" });
  workers[0].reply({ id: 1, error: { kind: "cancelled", message: "Cancelled." } });
  await assert.rejects(first, { kind: "cancelled" });
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.ok(!workers[0].terminated);

  const stuck = new AbortController();
  const second = engine.stylize(request, {}, { signal: stuck.signal });
  stuck.abort();
  await assert.rejects(second, { kind: "cancelled" });
  assert.ok(workers[0].terminated);
});

test("a call that is cancelled before it begins never reaches the worker", async () => {
  const { engine, workers } = start();
  await assert.rejects(engine.stylize(request, {}, { signal: AbortSignal.abort() }), {
    kind: "cancelled",
  });
  assert.equal(workers.length, 0);
});

test("a run is held and goes on", () => {
  const { engine, workers } = start();
  engine.pause(); // nothing runs, and this starts no worker
  assert.equal(workers.length, 0);
  void engine.stylize(request, {});
  engine.pause();
  engine.resume();
  assert.deepEqual(workers[0].received.slice(1), [{ tell: "pause" }, { tell: "resume" }]);
});

for (const kind of ["device", "memory"]) {
  test(`after an error of kind ${kind} the next call has a fresh worker, which loads the model again`, async () => {
    const { engine, workers } = start();
    void engine.device();
    obliging(workers[0]);
    workers[0].reply({ id: 1, value: {} });
    await engine.load(model("o/r"), []);
    workers[0].answer = undefined;

    const run = engine.stylize(request, {});
    const check = engine.check(new Uint8Array([7]));
    const [{ id }, asked] = workers[0].received.slice(-2);
    workers[0].reply({ id, error: { kind, message: "It is gone." } });
    await assert.rejects(run, { kind, message: "It is gone." });
    assert.ok(workers[0].terminated);
    assert.deepEqual(workers[1].received, [asked], "what was not at fault is asked again");
    workers[1].reply({ id: asked.id, value: "well" });
    assert.equal(await check, "well");

    obliging(workers[1]);
    await engine.load(model("o/r"), []);
    assert.deepEqual(
      workers[1].received.slice(1).map(({ operation }) => operation),
      ["openDevice", "loadModel"],
    );
    assert.equal(workers.length, 2);
  });
}

test("a load that runs out of memory, or loses the device, says so and ends the worker", async () => {
  for (const kind of ["device", "memory"]) {
    const { engine, workers } = start();
    const load = engine.load(model("o/r"), []);
    workers[0].reply({ id: 1, value: {} });
    await new Promise(setImmediate);
    workers[0].reply({ id: 2, error: { kind, message: "It is gone." } });
    await assert.rejects(load, { kind, message: "It is gone." });
    assert.ok(workers[0].terminated);
  }
});

test("a picture that cannot be read, or wrong settings, leave the worker with its model alone", async () => {
  const { engine, workers } = start();
  const run = engine.stylize(request, {});
  workers[0].reply({ id: 1, error: { kind: "settings", message: "Too much." } });
  await assert.rejects(run, { kind: "settings" });
  assert.ok(!workers[0].terminated);
});

test("memory that runs out in the program is told from its faults", async () => {
  const { engine, workers } = start();
  const run = engine.stylize(request, {});
  workers[0].reply({ panic: "The browser's memory ran out; try a smaller size.", kind: "memory" });
  await assert.rejects(run, { kind: "memory", message: /^The browser's memory ran out; / });
  assert.ok(workers[0].terminated);
});

test("a model is loaded when nothing is measured any more, and a failed measure's worker is let go", async () => {
  const { engine, workers } = start();
  const weights = new Uint8Array([3]);
  const first = engine.measure(request, new Uint8Array([4]), weights);
  const second = engine.measure(request, new Uint8Array([5]), weights);
  const load = engine.load(model("a"), []);
  const settled = () => new Promise(setImmediate);
  await settled();
  workers[0].reply({ id: 1, value: {} }); // the device
  await settled();
  const measure = { operation: "measure", request, result: new Uint8Array([4]), weights };
  assert.deepEqual(workers[0].received.slice(1), [{ id: 2, ...measure }], "one at a time");
  workers[0].reply({ id: 2, value: "measured" });
  assert.equal(await first, "measured");
  await settled();
  workers[0].reply({ id: 3, error: { kind: "memory", message: "Out of memory." } });
  await assert.rejects(second, { kind: "memory" });
  assert.ok(workers[0].terminated);
  await settled();
  obliging(workers[1]);
  workers[1].reply({ id: 4, value: {} });
  assert.equal((await load).name, "a");
});

test("what cannot be copied to the worker fails with a sentence, and nothing waits for it", async () => {
  const { engine, workers } = start();
  const device = engine.device();
  const [worker] = workers;
  worker.reply({ id: 1, value: {} });
  await device;
  worker.postMessage = structuredClone;
  const refused = { kind: "settings", message: /^What was asked for cannot be handed to the program \(.+\): .*\.$/ };
  await assert.rejects(engine.stylize(request, { onPreview() {} }), refused);
  const bytes = new Uint8Array([1]);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  await assert.rejects(engine.check(bytes), refused);
  // A model from another site needs another worker, which starts when all calls of the old one are answered.
  const load = engine.load(model("https://example.org/a.gguf"), []);
  await new Promise(setImmediate);
  assert.equal(workers.length, 2);
  obliging(workers[1]);
  workers[1].reply({ id: workers[1].received[0].id, value: {} });
  await load;
});

test("what is let go of fails as cancelled", async () => {
  const { engine, workers } = start();
  const run = engine.stylize(request, {});
  engine.dispose();
  await assert.rejects(run, { kind: "cancelled" });
  assert.ok(workers[0].terminated);
});

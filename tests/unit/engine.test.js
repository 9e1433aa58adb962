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
  (worker.answer = ({ id, operation, url }) =>
    queueMicrotask(() => worker.reply({ id, value: operation === "loadModel" ? { name: url } : {} })));

test("answers reach their own callers, events theirs", async () => {
  const { engine, workers } = start();
  const events = [];
  const first = engine.check(new Uint8Array([1]));
  const second = engine.stylize(new Uint8Array(), new Uint8Array(), {}, { onEvent: (event) => events.push(event) });
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
  const run = engine.stylize(new Uint8Array(), new Uint8Array(), {});
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
  await engine.load("https://example.org/a/");
  await engine.load("https://example.org/a/");
  assert.equal(loads(workers[0]), 1);
  await engine.load("https://example.org/b/");
  assert.equal(loads(workers[0]), 2);

  workers[0].reply({ panic: "gone" });
  const load = engine.load("https://example.org/b/");
  obliging(workers[1]);
  workers[1].reply({ id: workers[1].received[0].id, value: {} });
  await load;
  assert.equal(loads(workers[1]), 1);
});

test("aborting asks the worker to cancel, and ends one that does not", async () => {
  const { engine, workers } = start({ cancelGraceMs: 20 });
  const polite = new AbortController();
  const first = engine.stylize(new Uint8Array(), new Uint8Array(), {}, { signal: polite.signal });
  polite.abort();
  assert.deepEqual(workers[0].received.at(-1), { cancel: true });
  workers[0].reply({ id: 1, error: { kind: "cancelled", message: "Cancelled." } });
  await assert.rejects(first, { kind: "cancelled" });
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.ok(!workers[0].terminated);

  const stuck = new AbortController();
  const second = engine.stylize(new Uint8Array(), new Uint8Array(), {}, { signal: stuck.signal });
  stuck.abort();
  await assert.rejects(second, { kind: "cancelled" });
  assert.ok(workers[0].terminated);
});

test("a call that is cancelled before it begins never reaches the worker", async () => {
  const { engine, workers } = start();
  await assert.rejects(engine.stylize(new Uint8Array(), new Uint8Array(), {}, { signal: AbortSignal.abort() }), {
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

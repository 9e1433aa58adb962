// A run on the processor in two workers.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, test } from "node:test";
import { Stopwatch } from "../../www/engine/stopwatch.js";
import { FakeWorker, model, request, start } from "./fake-worker.js";

const real = Object.getOwnPropertyDescriptor(globalThis, "navigator");
/** @param {object} value */
const pose = (value) => Object.defineProperty(globalThis, "navigator", { configurable: true, value });
beforeEach(() => pose({ hardwareConcurrency: 4, deviceMemory: 8 }));
afterEach(() => {
  Reflect.deleteProperty(globalThis, "navigator"); // there is none in Node.js 20
  if (real) Object.defineProperty(globalThis, "navigator", real);
});

const info = { name: "a", parameters: 1e7 };
const files = [new Uint8Array([1]), new Uint8Array([2])];

/** Answers as the processor's program does. @param {any} worker @param {Record<string, (message: any) => unknown>} answers */
function processor(worker, answers = {}) {
  const usual = {
    openDevice: () => ({ kernels: "processor" }),
    loadModel: () => info,
    lacks: () => ({ content: true, styles: [0, 2] }),
    invertContent: () => 10,
    invertStyles: () => [20, ...files],
    takeStyles: () => undefined,
    stylize: () => ({ png: new Uint8Array(), seconds: 1, unetCalls: 10 }),
    ...answers,
  };
  worker.answer = async ({ id, operation, ...message }) => {
    if (!operation) return;
    try {
      worker.reply({ id, value: await usual[operation](message) });
    } catch (error) {
      worker.reply({ id, error: { kind: error.kind ?? "internal", message: error.message } });
    }
  };
}

/** An engine whose workers answer at once. @param {Record<string, (message: any) => unknown>[]} answers of each worker */
async function loaded(...answers) {
  const workers = [];
  const { engine } = start({
    createWorker: () => {
      const worker = new FakeWorker();
      processor(worker, answers[workers.length]);
      workers.push(worker);
      return worker;
    },
  });
  await engine.load(model("a"), []);
  return { engine, workers, asked: (i) => workers[i].received.map(({ operation, tell }) => operation ?? tell) };
}

test("while one worker inverts the photo, another inverts the paintings and hands them over", async () => {
  const { engine, workers, asked } = await loaded();
  const styled = await engine.stylize(request, {});
  assert.deepEqual(asked(0), ["openDevice", "loadModel", "lacks", "invertContent", "takeStyles", "stylize"]);
  assert.deepEqual(asked(1), ["openDevice", "loadModel", "invertStyles"]);
  assert.deepEqual(workers[1].received[2].numbers, [0, 2]);
  const taken = workers[0].received.find(({ operation }) => operation === "takeStyles");
  assert.deepEqual([taken.numbers, taken.files], [[0, 2], files]);
  assert.equal(styled.unetCalls, 40);
  assert.ok(styled.seconds >= 1);
  engine.dispose();
  assert.ok(
    workers.every(({ terminated }) => terminated),
    "both end together",
  );
});

for (const [why, lacks] of [
  ["the photo", { content: false, styles: [0] }],
  ["the painting", { content: true, styles: [] }],
]) {
  test(`one worker is enough where ${why} is inverted already`, async () => {
    const { engine, workers, asked } = await loaded({ lacks: () => lacks });
    await engine.stylize(request, {});
    assert.equal(workers.length, 1);
    assert.deepEqual(asked(0).slice(2), ["lacks", "stylize"]);
  });
}

for (const [why, device, parameters] of [
  ["one core", { hardwareConcurrency: 1, deviceMemory: 8 }, 1e7],
  ["little memory", { hardwareConcurrency: 4, deviceMemory: 2 }, 1e7],
  ["a phone that does not tell its memory", { hardwareConcurrency: 4, userAgentData: { mobile: true } }, 1e7],
  ["a large model", { hardwareConcurrency: 4, deviceMemory: 8 }, 9e8],
]) {
  test(`one worker does all with ${why}`, async () => {
    pose(device);
    const { engine, workers, asked } = await loaded({ loadModel: () => ({ ...info, parameters }) });
    await engine.stylize(request, {});
    assert.equal(workers.length, 1);
    assert.deepEqual(asked(0).slice(2), ["stylize"]);
  });
}

test("a helper that fails costs nothing but its help", async () => {
  for (const operation of ["loadModel", "invertStyles"]) {
    const fails = () => {
      throw Object.assign(new Error("no memory"), { kind: "memory" });
    };
    const { engine, asked } = await loaded({}, { [operation]: fails });
    const styled = await engine.stylize(request, {});
    assert.deepEqual(asked(0).slice(2), ["lacks", "invertContent", "takeStyles", "stylize"]);
    assert.equal(styled.unetCalls, 20);
  }
});

test("both workers pause, go on and are cancelled", async () => {
  const waiting = () => new Promise(() => {});
  const { engine, asked } = await loaded({ invertContent: waiting }, { invertStyles: waiting });
  const controller = new AbortController();
  const run = engine.stylize(request, {}, { signal: controller.signal });
  await sleep(10);
  engine.pause();
  engine.resume();
  controller.abort();
  await assert.rejects(run, { kind: "cancelled" });
  for (const worker of [0, 1]) assert.deepEqual(asked(worker).slice(-3), ["pause", "resume", "cancel"]);
});

test("progress is the photo's until that is done, and then what the helper still does", async () => {
  const events = [];
  const phase = (phase) => ({ phase, step: 1, steps: 2 });
  let finish;
  const { engine, workers } = await loaded(
    {},
    { invertStyles: () => new Promise((done) => (finish = () => done([20, ...files]))) },
  );
  const told = (worker, operation, event) => {
    const { id } = workers[worker].received.find((message) => message.operation === operation);
    workers[worker].reply({ id, event });
  };
  const run = engine.stylize(request, {}, { onEvent: ({ phase }) => events.push(phase) });
  await sleep(10);
  told(1, "invertStyles", phase("invert-style"));
  finish();
  await run;
  assert.deepEqual(events.slice(0, 1), ["invert-style"]);
});

test("a stopwatch stands still while it is halted", async () => {
  const watch = new Stopwatch();
  assert.equal(watch.seconds, 0);
  watch.go();
  await sleep(20);
  watch.halt();
  const { seconds } = watch;
  assert.ok(seconds >= 0.015);
  await sleep(20);
  assert.equal(watch.seconds, seconds);
});

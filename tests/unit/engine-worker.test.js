// How the engine starts workers, notices that they have died, and which servers they may reach.

import assert from "node:assert/strict";
import { test } from "node:test";
import { model, obliging, request, start } from "./fake-worker.js";

test("after a panic everything owed fails with a sentence and the next call gets a fresh worker", async () => {
  const { engine, workers } = start();
  const run = engine.stylize(request, {});
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

test("a refused device is asked for again", async () => {
  const { engine, workers } = start();
  const refused = engine.device();
  workers[0].reply({ id: 1, error: { kind: "device", message: "No adapter." } });
  await assert.rejects(refused, { kind: "device" });
  const granted = engine.device();
  workers[0].reply({ id: 2, value: { name: "GPU" } });
  assert.deepEqual(await granted, { name: "GPU" });
});

test("a program that could not be started is started anew by the next call", async () => {
  const { engine, workers } = start();
  const check = engine.check(new Uint8Array([1]));
  workers[0].reply({ id: 1, error: { kind: "CompileError", message: "wasm is cut off" } });
  await assert.rejects(check, { kind: "internal", message: /could not be started \(wasm is cut off\)/ });
  void engine.check(new Uint8Array([1]));
  assert.equal(workers.length, 2);
});

test("a worker that dies without a word is heard of", async (t) => {
  const { engine, workers } = start();
  /** The requests for the lock that the worker holds. */
  const waiting = [];
  const locks = {
    request: (name, { signal }, onGranted) => {
      waiting.push({ name, signal, onGranted });
      return new Promise(() => {});
    },
  };
  const real = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { locks } });
  t.after(() => {
    Reflect.deleteProperty(globalThis, "navigator");
    if (real) Object.defineProperty(globalThis, "navigator", real);
  });
  const run = engine.stylize(request, {});
  workers[0].reply({ alive: "life" });
  assert.equal(waiting[0].name, "life");
  waiting[0].onGranted();
  await assert.rejects(run, { kind: "internal", message: /^The browser ended the program/ });

  const check = engine.check(new Uint8Array([1]));
  workers[1].reply({ alive: "another" });
  workers[1].reply({ id: workers[1].received[0].id, value: "well" });
  assert.equal(await check, "well");
  engine.dispose();
  assert.ok(waiting[1].signal.aborted, "nobody waits for a worker that was ended on purpose");
});

test("where a browser refuses a worker from a blob, it is started from its address, and asked the same", async () => {
  const { engine, workers } = start();
  const check = engine.check(new Uint8Array([1]));
  workers[0].onerror({ message: "refused", preventDefault() {} });
  assert.deepEqual([workers[0].terminated, workers[0].isInside, workers[1].isInside], [true, true, false]);
  assert.deepEqual(workers[1].received, workers[0].received);
  workers[1].reply({ alive: null });
  workers[1].reply({ id: 1, value: "well" });
  assert.equal(await check, "well");

  const other = engine.check(new Uint8Array([2]));
  workers[1].onerror({ message: "oops", preventDefault() {} });
  await assert.rejects(other, { kind: "internal", message: /fault of its own \(oops\)/ });
});

test("a program that loads in no way says so, and the next call tries both again", async () => {
  const { engine, workers } = start();
  const check = engine.check(new Uint8Array([1]));
  for (const i of [0, 1]) workers[i].onerror({ message: "no network", preventDefault() {} });
  await assert.rejects(check, {
    kind: "internal",
    message: /could not be loaded \(no network\)\. Check the connection/,
  });
  void engine.check(new Uint8Array([1])).catch(() => {});
  assert.deepEqual(
    workers.map(({ isInside }) => isInside),
    [true, false, true],
  );
});

test("only an address that a person names lets the worker out", async () => {
  const { engine, workers } = start();
  const load = async (...model) => {
    const loading = engine.load(...model);
    await new Promise(setImmediate);
    const worker = workers.at(-1);
    for (const { id } of worker.received) worker.reply({ id, value: {} });
    obliging(worker);
    await loading;
    return worker;
  };
  const picked = (part) => ({ path: "a.gguf", file: new File(["a"], "a.gguf"), part });
  const inside = [
    [model("o/r"), []],
    [model("https://huggingface.co/o/r"), []],
    [model("https://cdn-lfs.hf.co/o/r.gguf"), []],
    [model("o/r", { hub: "https://huggingface.co" }), []],
    [model("https://example.org/a.gguf"), [picked()]],
    [model("o/r", { vae: "o/vae", rest: "https://hf.co/o/rest" }), []],
    [model("o/r", { vae: "https://example.org/vae.safetensors" }), [picked("vae")]],
    [model("o/r", { rest: "https://example.org/m/" }), [picked("rest")]],
  ];
  const outside = [
    [model("o/r", { hub: "https://mirror.example" }), []],
    [model("https://huggingface.co/o/r", { hub: "https://mirror.example" }), []],
    [model("o/r", { vae: "https://hf.co/o/vae/tree/main", hub: "http://huggingface.co" }), []],
    [model("https://example.org/a.gguf"), []],
    [model("https://huggingface.co.example.org/a.gguf"), []],
    [model("https://nothuggingface.co/a.gguf"), []],
    [model("http://huggingface.co/a.gguf"), []],
    [model("o/r", { vae: "https://example.org/vae.safetensors" }), []],
    [model("o/r", { rest: "https://example.org/m/" }), []],
    [model("a.gguf", { vae: "https://example.org/vae.safetensors" }), [picked()]],
    [model("a.gguf", { vae: "o/vae", hub: "https://mirror.example" }), [picked()]],
  ];
  for (const one of inside) assert.ok((await load(...one)).isInside, one[0].source);
  assert.equal(workers.length, 1);

  // The engine waits for the calls of the old worker.
  workers[0].answer = undefined;
  const check = engine.check(new Uint8Array([1]));
  const loading = engine.load(...outside[0]);
  await new Promise(setImmediate);
  assert.ok(!workers[0].terminated);
  workers[0].reply({ id: workers[0].received.at(-1).id, value: "well" });
  assert.equal(await check, "well");
  await new Promise(setImmediate);
  assert.ok(workers[0].terminated);
  workers[1].reply({ id: workers[1].received[0].id, value: {} });
  obliging(workers[1]);
  await new Promise(setImmediate);
  for (const { id } of workers[1].received.slice(1)) workers[1].reply({ id, value: {} });
  await loading;

  for (const one of outside) assert.ok(!(await load(...one)).isInside, one[0].source ?? "");
  assert.equal(workers.length, 2);
  assert.ok((await load(...inside[0])).isInside);
  assert.equal(workers.length, 3);
});

// One load of a model at a time, with fake locks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ifFree, inTurn } from "../../www/engine/in-turn.js";

/** A fake of the Web Locks API, with exclusive locks only. */
class Locks {
  /** The requests for each name; the first holds the lock. @type {Map<string, (() => void)[]>} */ #queues = new Map();

  async request(name, { ifAvailable = false, signal = null }, callback) {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    if (ifAvailable && queue.length > 0) return callback(null);
    signal?.throwIfAborted();
    await new Promise((granted, refused) => {
      queue.push(granted);
      if (queue.length === 1) return granted();
      signal?.addEventListener("abort", () => {
        const at = queue.indexOf(granted);
        if (at < 1) return;
        queue.splice(at, 1);
        refused(signal.reason);
      });
    });
    try {
      return await callback({ name });
    } finally {
      queue.shift();
      queue[0]?.();
    }
  }
}

const settled = () => new Promise(setImmediate);
const never = new AbortController().signal;

test("a second load of a model waits for the first, and says so; another model's does not", async () => {
  const locks = new Locks();
  const log = [];
  const ends = {};
  const load = (tab, model) =>
    inTurn(locks, model, { signal: never, onWait: () => log.push(`${tab} waits`) }, () => {
      log.push(`${tab} loads`);
      return new Promise((resolve) => (ends[tab] = resolve));
    });
  const [a, b, c] = [load("a", "one"), load("b", "one"), load("c", "two")];
  await settled();
  assert.deepEqual(log, ["a loads", "c loads", "b waits"]);
  ends.a("A");
  ends.c("C");
  assert.deepEqual([await a, await c], ["A", "C"]);
  await settled();
  assert.equal(log.at(-1), "b loads");
  ends.b("B");
  assert.equal(await b, "B");
});

test("a load that fails lets the next one begin", async () => {
  const locks = new Locks();
  const waiting = { signal: never, onWait() {} };
  const failing = inTurn(locks, "one", waiting, () => Promise.reject(new Error("It is gone.")));
  const next = inTurn(locks, "one", waiting, async () => "loaded");
  await assert.rejects(failing, { message: "It is gone." });
  assert.equal(await next, "loaded");
});

test("a load that waits can be cancelled, and the one behind it comes to its turn", async () => {
  const locks = new Locks();
  const ends = [];
  const hold = () => new Promise((resolve) => ends.push(resolve));
  const controller = new AbortController();
  const first = inTurn(locks, "one", { signal: never, onWait() {} }, hold);
  const second = inTurn(locks, "one", { signal: controller.signal, onWait() {} }, hold);
  const third = inTurn(locks, "one", { signal: never, onWait() {} }, async () => "third");
  await settled();
  controller.abort();
  await assert.rejects(second, (error) => error === controller.signal.reason);
  ends[0]("first");
  assert.deepEqual([await first, await third], ["first", "third"]);
  assert.equal(ends.length, 1, "the second never began");
});

test("without locks the work is done at once", async () => {
  assert.equal(await inTurn(undefined, "one", { signal: never, onWait: assert.fail }, async () => 7), 7);
});

test("a model is removed only while nobody loads it", async () => {
  const locks = new Locks();
  let end = () => {};
  const load = inTurn(
    locks,
    "one",
    { signal: never, onWait: assert.fail },
    () => new Promise((resolve) => (end = resolve)),
  );
  await settled();
  assert.equal(await ifFree(locks, "one", assert.fail), null);
  assert.deepEqual(await ifFree(locks, "two", async () => "removed"), { result: "removed" });
  end();
  await load;
  assert.deepEqual(await ifFree(locks, "one", async () => "removed"), { result: "removed" });
  assert.deepEqual(await ifFree(undefined, "one", async () => "removed"), { result: "removed" });
});

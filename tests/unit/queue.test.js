import assert from "node:assert/strict";
import { test } from "node:test";
import { History } from "../../www/results/history.js";
import { Queue, combine } from "../../www/engine/queue.js";

const states = (queue) => queue.items.map(({ state }) => state).join(" ");

test("every photo with every painting, or with all of them", () => {
  const pairs = combine(["a", "b"], ["x", "y"], "each");
  assert.deepEqual(
    pairs.map(({ photo, styles }) => photo + styles.join("")),
    ["ax", "ay", "bx", "by"],
  );
  assert.deepEqual(combine(["a", "b"], ["x", "y"], "blend"), [
    { photo: "a", styles: ["x", "y"] },
    { photo: "b", styles: ["x", "y"] },
  ]);
});

test("a queue works its jobs off in order, and tells of each change", () => {
  let changes = 0;
  const queue = new Queue(() => changes++);
  queue.add(["a", "b", "c"]);
  const first = queue.start();
  assert.equal(states(queue), "running waiting waiting");
  assert.equal(queue.running, first);
  queue.finish(first, "A");
  queue.fail(queue.start(), "No.");
  queue.cancel(queue.start());
  assert.equal(states(queue), "done failed cancelled");
  assert.equal(queue.items[1].problem, "No.");
  assert.deepEqual(
    queue.done.map(({ result }) => result),
    ["A"],
  );
  assert.equal(queue.start(), null);
  assert.equal(changes, 7);
});

test("a halted queue goes on where it was", () => {
  const queue = new Queue();
  queue.add(["a", "b", "c"]);
  queue.finish(queue.start(), "A");
  const halted = queue.start();
  queue.putBack(halted);
  assert.equal(states(queue), "done waiting waiting");
  assert.equal(queue.start(), halted, "the one that was stopped comes first");
});

test("new jobs join those that wait, and clear away what is over", () => {
  const queue = new Queue();
  queue.add(["a", "b"]);
  queue.finish(queue.start(), "A");
  queue.add(["c"]);
  assert.equal(states(queue), "done waiting waiting");
  queue.cancelWaiting();
  assert.equal(states(queue), "done cancelled cancelled");
  queue.add(["d"]);
  assert.deepEqual(
    queue.items.map(({ job }) => job),
    ["d"],
  );
});

test("cancelling touches only what is not over, and a failure can be tried again", () => {
  const queue = new Queue();
  queue.add(["a", "b"]);
  const [a, b] = queue.items;
  queue.finish(queue.start(), "A");
  queue.cancel(a);
  assert.equal(a.state, "done");
  queue.fail(queue.start(), "No.");
  queue.putBack(b);
  assert.deepEqual([b.state, b.problem], ["waiting", ""]);
});

test("the history keeps the newest first, and only so many", () => {
  const history = new History(2);
  assert.deepEqual(history.add("a"), []);
  history.add("b");
  assert.deepEqual(history.add("c"), ["a"]);
  assert.deepEqual(history.entries, ["c", "b"]);
});

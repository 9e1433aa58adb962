// What the page tries again by itself after a failure, and what it says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ERROR_KINDS, EngineError } from "../../www/engine/engine.js";
import { adviceAfter, changed, smallerSize } from "../../www/engine/recovery.js";

const memory = new EngineError("memory", "The GPU has no memory left; try a smaller size, or close what else uses it.");
const lost = new EngineError("device", "The GPU was lost (unknown): start again.");

/** @param {object} [changes] */
const run = (changes = {}) => ({ weights: "f16", size: 512, ...changes });

test("memory that ran out is tried again with a smaller size, or with 4 bits where they cost no download", () => {
  assert.deepEqual(adviceAfter(memory, run()).retry, { size: 384 });
  assert.deepEqual(adviceAfter(memory, run({ isFree: true })).retry, { weights: "q4" });
  assert.deepEqual(adviceAfter(memory, run({ isFree: true, weights: "q4" })).retry, { size: 384 });
  assert.deepEqual(adviceAfter(memory, run({ size: "keep", side: 2000 })).retry, { size: 1024 });
  assert.deepEqual(adviceAfter(memory, run({ size: null, side: 768 })).retry, { size: 640 });
  assert.match(adviceAfter(memory, run()).sentence, /^The memory ran out; trying once more at 384 pixels/);
  assert.deepEqual(adviceAfter(memory, run()).offers, [{ weights: "q4" }, { size: 384 }]);
});

test("nothing is tried by itself twice, nor what nobody knows to help", () => {
  const second = adviceAfter(memory, run({ isRetry: true, size: 384 }));
  assert.equal(second.retry, null);
  assert.equal(
    second.sentence,
    "The memory ran out. Try weights of 4 bits or 256 pixels, or close other tabs and programs.",
  );
  assert.equal(adviceAfter(memory, run({ size: null })).retry, null);
  const least = adviceAfter(memory, run({ size: 256, weights: "q4" }));
  assert.deepEqual([least.retry, least.offers], [null, []]);
  assert.match(least.sentence, /smallest there is: choose a smaller model/);
});

test("while a model is loaded no size helps, only weights", () => {
  const loading = adviceAfter(memory, run({ isLoading: true }));
  assert.deepEqual([loading.retry, loading.offers], [null, [{ weights: "q4" }]]);
  assert.deepEqual(adviceAfter(memory, run({ isLoading: true, isFree: true })).retry, { weights: "q4" });
  assert.match(adviceAfter(memory, run({ isLoading: true, weights: "q4" })).sentence, /Choose a smaller model/);
});

test("a lost device and a dead program are tried again as they were, once", () => {
  for (const error of [lost, new EngineError("internal", "The browser ended the program.")]) {
    const first = adviceAfter(error, run());
    assert.deepEqual(first.retry, {});
    assert.match(first.sentence, /stopped; trying once more/);
    const second = adviceAfter(error, run({ isRetry: true }));
    assert.equal(second.retry, null);
    assert.match(second.sentence, /tried twice; reload the page/);
  }
});

test("a GPU that stopped twice, or cannot run the program, makes way for the processor where that can take its place", () => {
  const unsupported = new EngineError("unsupported", "This GPU cannot run one of the program's kernels (x).");
  for (const [error, circumstances] of [
    [lost, { isRetry: true }],
    [unsupported, {}],
    [unsupported, { isRetry: true }],
  ]) {
    const { sentence, retry } = adviceAfter(error, run({ ...circumstances, canProcess: true }));
    assert.deepEqual(retry, { device: "cpu" });
    assert.equal(sentence, `${error.message} The processor goes on, which takes longer.`);
    assert.equal(adviceAfter(error, run(circumstances)).retry, null);
  }
  assert.deepEqual(adviceAfter(lost, run({ canProcess: true })).retry, {}, "the GPU has a second try");
});

test("an error's kind decides what is done, however its sentence is worded", () => {
  for (const kind of ERROR_KINDS) {
    const advice = (message) => {
      const { retry, offers } = adviceAfter(new EngineError(kind, message), run());
      return { retry, offers };
    };
    const wordings = ["No GPU can be used here.", "WebGPU: out of memory; try a smaller size.", "It was lost.", ""];
    for (const wording of wordings) assert.deepEqual(advice(wording), advice("Something happened."), kind);
  }
});

test("what trying again does not mend keeps its own sentence", () => {
  const kernel = "This GPU cannot run one of the program's kernels (x), so there is no result; update the browser.";
  for (const [kind, message] of [
    ["unsupported", kernel],
    ["unsupported", "No GPU can be used here (no adapter)."],
    ["picture", "This is no picture."],
    ["model", "This is no model."],
    ["settings", "Too many steps."],
    ["file", "It is in use."],
    ["cancelled", "Cancelled."],
  ]) {
    const advice = adviceAfter(new EngineError(kind, message), run());
    assert.deepEqual(advice, { sentence: message, retry: null, offers: [] });
  }
  const ownFault = adviceAfter(new TypeError("x is undefined"), run());
  assert.deepEqual(ownFault, { sentence: "x is undefined", retry: null, offers: [] });
});

test("a job with what was offered says so in its link, and keeps the shape of pictures that were kept as they are", () => {
  const job = (options) => ({ loading: { weights: "f16" }, options, fragment: "model=o/r&gamma=0.6", photo: "any" });
  const smaller = changed(job({ size: null, keepAspect: false }), { size: 384 });
  assert.deepEqual(smaller.options, { size: 384, keepAspect: false });
  assert.deepEqual(Object.fromEntries(new URLSearchParams(smaller.fragment)), {
    model: "o/r",
    gamma: "0.6",
    size: "384",
  });
  const kept = changed(job({ size: "keep", keepAspect: false }), { size: 1024 });
  assert.deepEqual(kept.options, { size: 1024, keepAspect: true });
  assert.equal(new URLSearchParams(kept.fragment).get("shape"), "1");
  const lighter = changed(job({ size: null }), { weights: "q4" });
  assert.deepEqual([lighter.loading.weights, lighter.options, lighter.photo], ["q4", { size: null }, "any"]);
  assert.equal(new URLSearchParams(lighter.fragment).get("weights"), "q4");
  assert.deepEqual(changed(job({ size: null }), {}).options, { size: null });
});

test("sizes go down one by one", () => {
  assert.deepEqual([5000, 1024, 640, 257, 256, 100].map(smallerSize), [1024, 896, 512, 256, null, null]);
});

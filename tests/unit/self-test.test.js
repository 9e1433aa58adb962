// The self-test of a GPU: its sentences, and its call through the engine.

import assert from "node:assert/strict";
import { test } from "node:test";
import { choiceOf, lineOf, sentenceOf, sentenceOfEnd, textOf } from "../../www/engine/self-test.js";
import { model, obliging, start } from "./fake-worker.js";

const kernel = (changes = {}) => ({
  name: "conv3x3 320-320 @32 f32",
  precision: "f32",
  verdict: "right",
  difference: 1.234e-6,
  gflops: 512.34,
  gigabytes: null,
  ...changes,
});
const norm = kernel({ name: "layer_norm 320 x1024", gflops: null, gigabytes: 3.456 });
const wrong = kernel({ precision: "f16", verdict: "wrong", difference: 0.3142 });
const untested = (verdict) => kernel({ verdict, difference: null, gflops: null });

test("a kernel is a line with what came of it and how fast it was", () => {
  assert.equal(lineOf(kernel()), "f32 conv3x3 320-320 @32 f32: ok, 512 GFLOPS");
  assert.equal(lineOf(norm), "f32 layer_norm 320 x1024: ok, 3.46 GB/s");
  assert.equal(lineOf(kernel({ gflops: 1234567 })), "f32 conv3x3 320-320 @32 f32: ok, 1234567 GFLOPS");
  assert.equal(
    lineOf(wrong),
    "f16 conv3x3 320-320 @32 f32: WRONG (largest difference 0.31 of the largest value), 512 GFLOPS",
  );
  assert.equal(
    lineOf(kernel({ verdict: "wrong", difference: NaN, gflops: null })),
    "f32 conv3x3 320-320 @32 f32: WRONG (a result that is no number)",
  );
  assert.equal(lineOf(untested("failed")), "f32 conv3x3 320-320 @32 f32: FAILED");
  assert.equal(lineOf(untested("skipped")), "f32 conv3x3 320-320 @32 f32: not run");
});

test("one sentence says to a person what came of it", () => {
  assert.equal(sentenceOf([kernel(), norm]), "This GPU computes everything right.");
  assert.equal(
    sentenceOf([kernel(), wrong, norm]),
    "This GPU gets 1 of 3 kernels wrong: f16 conv3x3 320-320 @32 f32, so results here may be wrong; please report this.",
  );
  // The sentence of a slow GPU counts only the kernels that were tested.
  assert.equal(
    sentenceOf([kernel(), norm, untested("skipped")]),
    "This GPU computes right all that was tested, 2 of 3 kernels.",
  );
  assert.equal(sentenceOf([untested("skipped")]), "No kernel of this GPU could be tested.");
});

test("a lost GPU is said, with the kernel that was at work", () => {
  const lost = "The GPU was lost (reset): start again.";
  assert.equal(
    sentenceOfEnd([kernel(), untested("failed")], lost),
    `The test ended at f32 conv3x3 320-320 @32 f32: ${lost}`,
  );
  assert.equal(sentenceOfEnd([kernel()], lost), `The test ended early: ${lost}`);
  assert.equal(sentenceOfEnd([], "Something is still running here."), "Something is still running here.");
  assert.match(sentenceOfEnd([wrong, untested("failed")], lost), /start again\. This GPU gets 1 of 1 kernels wrong: /);
});

test("the text for a report has every kernel, and the sentence last", () => {
  const kernels = [kernel(), norm, untested("skipped"), { ...untested("skipped"), precision: "f16" }];
  assert.deepEqual(textOf(kernels, "That is all.", 6.24).split("\n"), [
    "GPU test: 2 of 4 kernels in 6.2 s",
    lineOf(kernel()),
    lineOf(norm),
    "Not run, as the time was over: f32 conv3x3 320-320 @32 f32; f16 conv3x3 320-320 @32 f32",
    "That is all.",
  ]);
  assert.equal(textOf([], "Nothing."), "GPU test: 0 of 0 kernels\nNothing.");
});

test("the choice of kernels is told with what they may compute in", () => {
  assert.match(choiceOf({ kernels: "hardware", shaderF16: true }), /^hardware, .*; in f32, or f16 for the UNet$/);
  const tiles = { "attention 40": "64 × 40", linear: "by rule" };
  assert.match(
    choiceOf({ kernels: "hardware", shaderF16: false, tiles }),
    /memory \(attention 40 64 × 40, linear by rule\); in f32 only$/,
  );
  assert.match(choiceOf({ kernels: "software", shaderF16: false }), /^software, .*; in f32 only$/);
});

test("a model waits for the test, each kernel is told of, and a lost GPU's worker is let go", async () => {
  const { engine, workers } = start();
  const settled = () => new Promise(setImmediate);
  const heard = [];
  const tested = engine.selfTest(10, { onKernel: (one, of) => heard.push([one.name, of]) });
  const load = engine.load(model("a"), []);
  await settled();
  const [worker] = workers;
  worker.reply({ id: 1, value: {} }); // the device
  await settled();
  assert.deepEqual(worker.received.slice(1), [{ id: 2, operation: "selfTest", seconds: 10 }], "the model waits");
  worker.reply({ id: 2, event: { kernel: kernel(), of: 38 } });
  worker.reply({ id: 2, event: { kernel: untested("failed"), of: 38 } });
  assert.deepEqual(heard, [
    [kernel().name, 38],
    [kernel().name, 38],
  ]);
  worker.reply({ id: 2, error: { kind: "device", message: "The GPU was lost (reset)." } });
  await assert.rejects(tested, { kind: "device", message: "The GPU was lost (reset)." });
  assert.ok(worker.terminated);
  await settled();
  obliging(workers[1]);
  workers[1].reply({ id: 3, value: {} });
  assert.equal((await load).name, "a");
});

test("while a run goes on it is refused with a sentence, and the run's worker is kept", async () => {
  const { engine, workers } = start();
  const tested = engine.selfTest(10);
  await new Promise(setImmediate);
  workers[0].reply({ id: 1, value: {} });
  await new Promise(setImmediate);
  const message = "Something is still running here; cancel it or wait until it is done.";
  workers[0].reply({ id: 2, error: { kind: "settings", message } });
  await assert.rejects(tested, { kind: "settings", message });
  assert.ok(!workers[0].terminated);
});

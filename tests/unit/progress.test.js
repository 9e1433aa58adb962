import assert from "node:assert/strict";
import { test } from "node:test";
import { RunProgress } from "../../www/engine/progress.js";
import { formatBytes, formatBytesOf, formatDuration } from "../../www/shared/format.js";

/** The reports of a run of `steps` steps, a second apart. Each phase begins with a report of step 0. */
function* events(steps) {
  let now = 0;
  for (const [phase, count] of [
    ["encode-style", 1],
    ["invert-style", steps],
    ["encode-content", 1],
    ["invert-content", steps],
    ["stylize", steps],
    ["decode", 1],
  ]) {
    for (let step = 0; step <= count; step++) yield [{ phase, step, steps: count }, (now += 1000)];
  }
}

test("a run goes from nothing to all, and never back", () => {
  const progress = new RunProgress();
  const fractions = [...events(4)].map(([event, now]) => progress.update(event, now).fraction);
  assert.equal(fractions[0], 0);
  assert.equal(fractions.at(-1), 1);
  assert.deepEqual(
    fractions,
    fractions.toSorted((a, b) => a - b),
  );
});

test("the time left comes from the steps' median, so that a slow first step does not spoil it", () => {
  const progress = new RunProgress();
  const sampled = (step, now) => progress.update({ phase: "invert-style", step, steps: 4 }, now);
  assert.equal(sampled(0, 0).secondsLeft, null);
  assert.equal(sampled(0, 0).detail, "step 1 of 4");
  sampled(1, 20_000);
  sampled(2, 21_000);
  const { secondsLeft, detail } = sampled(3, 22_000);
  assert.equal(detail, "step 4 of 4");
  assert.equal(secondsLeft, 1 + 1 + 4 + 4 + 2); // this phase, the photo's two phases, repainting, the decoder as two
});

test("warming up is not timed as a step", () => {
  const progress = new RunProgress();
  const report = (phase, step, now) => progress.update({ phase, step, steps: phase === "warm-up" ? 1 : 4 }, now);
  assert.equal(report("warm-up", 0, 0).label, "Preparing the GPU");
  assert.equal(report("invert-style", 1, 60_000).secondsLeft, null);
  assert.equal(report("invert-style", 2, 61_000).secondsLeft, 2 + 1 + 4 + 4 + 2);
});

test("a step of both pictures at once is one of each", () => {
  const progress = new RunProgress();
  const both = (step, now) => progress.update({ phase: "invert-both", step, steps: 4 }, now);
  both(0, 0);
  const { fraction, secondsLeft } = both(1, 2000);
  assert.equal(fraction, (1 + 1 + 1 + 1) / (1 + 1 + 4 + 4 + 4 + 2));
  assert.equal(secondsLeft, 3 + 3 + 4 + 2);
});

test("phases that a kept inversion skips count as done", () => {
  const progress = new RunProgress();
  const { fraction } = progress.update({ phase: "stylize", step: 10, steps: 20 }, 0);
  assert.equal(fraction, (1 + 1 + 20 + 20 + 10) / (1 + 1 + 20 + 20 + 20 + 2));
});

test("loading has a bar of its own, in bytes, and is indeterminate until they are known", () => {
  const load = (step, steps) => ({ phase: "load", step, steps });
  const label = "Loading the model";
  const progress = new RunProgress();
  assert.deepEqual(progress.update(load(0, 0), 0), { label, detail: "", fraction: null, secondsLeft: null });
  const state = progress.update(load(123e6, 560e6), 1000);
  assert.deepEqual(state, { label, detail: "123 of 560 MB", fraction: 123 / 560, secondsLeft: null });
  const local = new RunProgress({ isLocal: true });
  assert.equal(local.update(load(1, 2), 0).label, "Loading the model from this computer's disk");
  local.notLocal();
  assert.equal(local.update(load(1, 2), 0).label, label);
});

test("the time that loading takes comes from the last seconds, and begins anew with the loading", () => {
  const progress = new RunProgress();
  const left = (megabytes, seconds) =>
    progress.update({ phase: "load", step: 1e6 * megabytes, steps: 1000e6 }, 1000 * seconds).secondsLeft;
  assert.equal(left(0, 0), null);
  assert.equal(left(10, 1), null, "too early to tell");
  assert.equal(left(20, 2), 98); // 10 MB a second
  for (let second = 3; second < 30; second++) left(20 + 2 * second, second);
  assert.equal(left(80, 30), 460, "2 MB a second by now");
  assert.equal(left(0, 31), null, "begun again");
  assert.equal(left(9, 33.5), null, "too little to tell");
  assert.equal(left(300, 34), 7);
  assert.equal(left(1000, 41), null, "all is there");
});

test("durations and sizes read well", () => {
  assert.deepEqual([0.4, 12.3, 89, 200, 6000].map(formatDuration), [
    "less than a second",
    "12 s",
    "89 s",
    "3 min",
    "1.7 h",
  ]);
  assert.deepEqual([3.9e6, 45e6, 1.76e9].map(formatBytes), ["3.9 MB", "45 MB", "1.8 GB"]);
  assert.deepEqual(
    [
      [1.2e6, 3.9e6],
      [123e6, 560e6],
      [0.4e9, 1.72e9],
    ].map(([done, total]) => formatBytesOf(done, total)),
    ["1.2 of 3.9 MB", "123 of 560 MB", "0.40 of 1.72 GB"],
  );
});

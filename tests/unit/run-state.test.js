// The state of a run, and how each event changes it.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  IDLE,
  began,
  cancelling,
  ended,
  failed,
  isRunning,
  jobBegan,
  noticed,
  offersOf,
  paused,
  progressed,
  resumed,
  retried,
  said,
  titleOf,
} from "../../www/page/run-state.js";

const progress = (label, fraction = 0.5) => ({ label, detail: "step 1 of 2", fraction, secondsLeft: 3 });
const after = (...transitions) => transitions.reduce((state, [change, ...what]) => change(state, ...what), IDLE);
const running = [[began], [jobBegan, "1 of 2"], [progressed, progress("Repainting"), "stylize"]];
const offered = [{ weights: "q4" }, { size: 384 }];
const item = (id) => ({ id });

test("a run goes from go to its last word", () => {
  assert.deepEqual(titleOf(IDLE), { fraction: null, label: "" });
  const begun = after([began]);
  assert.deepEqual([begun.stage, begun.word.text, titleOf(begun).label], ["running", "Starting.", "Starting"]);
  assert.equal(after([began], [jobBegan, ""], [progressed, progress("Loading"), "load"]).canPause, false);
  const state = after(...running);
  assert.deepEqual([state.canPause, state.place, state.word.text], [true, "1 of 2", "Repainting."]);
  assert.deepEqual(titleOf(state), { fraction: 0.5, label: "Repainting" });
  const over = after(...running, [ended, { text: "Done in 3 s." }]);
  assert.deepEqual([over.stage, over.word.text, over.progress, over.place], ["idle", "Done in 3 s.", null, ""]);
  assert.deepEqual(titleOf(over), { fraction: null, label: "" });
});

test("a paused run says so, whatever it still reports, until it goes on", () => {
  const held = after(...running, [paused]);
  assert.deepEqual([held.isPaused, held.word.text, titleOf(held).label], [true, "Paused.", "Paused"]);
  assert.equal(progressed(held, progress("Decoding"), "decode"), held);
  const on = resumed(held);
  assert.deepEqual([on.isPaused, on.word.text], [false, "Going on."]);
  assert.equal(progressed(on, progress("Decoding"), "decode").word.text, "Decoding.");
  assert.equal(paused(after([began])).isPaused, false, "what comes before painting cannot be held");
  assert.equal(resumed(on), on);
});

test("a run that fails while it is paused and begins anew is not paused any more", () => {
  const again = after(...running, [paused], [noticed, "The GPU stopped; trying once more."], [retried]);
  assert.deepEqual([again.isPaused, again.canPause, again.progress], [false, false, null]);
  const seen = progressed(again, progress("Encoding the photo"), "encode-content");
  assert.deepEqual(
    [seen.word.text, titleOf(seen).label, seen.canPause],
    ["Encoding the photo.", "Encoding the photo", true],
  );
  assert.equal(jobBegan(after(...running, [paused]), "2 of 2").isPaused, false, "nor is the next job");
});

test("a run that is being cancelled goes on saying so, paused or not", () => {
  for (const held of [[], [[paused]]]) {
    const state = after(...running, ...held, [cancelling]);
    assert.deepEqual([state.stage, state.isPaused, state.canPause], ["cancelling", false, false]);
    assert.equal(progressed(state, progress("Decoding"), "decode"), state);
    assert.equal(paused(state), state);
    assert.ok(isRunning(state));
  }
  assert.equal(cancelling(IDLE), IDLE);
});

test("what is offered after a failure can be taken when nothing runs any more, and goes with the next run", () => {
  const during = after(...running, [failed, item(1), offered]);
  assert.deepEqual(offersOf(during), [], "the rest of the queue runs");
  const next = after(...running, [failed, item(1), offered], [jobBegan, "2 of 2"], [ended, { text: "Done." }]);
  assert.deepEqual([offersOf(next), next.offers?.item.id], [offered, 1], "it is of the job that failed");
  assert.equal(offersOf(next), offersOf(said(next, "The model is selected.")), "and stays as it is");
  const none = failed(during, item(2), []);
  assert.equal(none.offers?.item.id, 1, "one without a way out takes nothing away");
  assert.deepEqual(offersOf(after(...running, [failed, item(1), offered], [began], [ended, { text: "" }])), []);
});

test("notices are kept once each, the last four, until the next run", () => {
  const many = ["a", "b", "a", "c", "d", "e"].map((text) => [noticed, text]);
  assert.deepEqual(after([began], ...many).notices, ["b", "c", "d", "e"]);
  assert.deepEqual(after(...many, [ended, { text: "" }], [began]).notices, []);
});

test("no transition changes the state that it is given", () => {
  const frozen = (state) => Object.freeze({ ...state, notices: Object.freeze(state.notices) });
  for (const [change, ...what] of [
    ...running,
    [paused],
    [resumed],
    [retried],
    [cancelling],
    [said, "x", "problem"],
    [noticed, "x"],
    [failed, item(1), offered],
    [ended, { text: "x" }],
  ]) {
    for (const state of [IDLE, after(...running), after(...running, [paused])]) change(frozen(state), ...what);
  }
});

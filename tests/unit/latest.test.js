// Which check of a picture counts, and whether its place is busy.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Latest } from "../../www/pictures/latest.js";

/** The checks, and the busy states that they have reported, in order. */
function start() {
  const told = [];
  return { told, latest: new Latest((isBusy) => told.push(isBusy)) };
}

test("a place is busy until the last of its checks is over", () => {
  const { told, latest } = start();
  const first = latest.begin();
  const second = latest.begin();
  latest.end(first);
  assert.deepEqual([told, latest.counts(first), latest.counts(second)], [[true], false, true]);
  latest.end(second);
  assert.deepEqual(told, [true, false]);
});

test("what takes the place of a check leaves nothing busy", () => {
  const { told, latest } = start();
  const check = latest.begin();
  latest.supersede();
  assert.deepEqual([told, latest.counts(check)], [[true, false], false]);
  latest.end(check);
  latest.end(latest.begin());
  assert.deepEqual(told, [true, false, true, false]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { CURVE_NAMES, curvePoints, curveValue } from "../../www/forms/curve.js";
import { waysOf } from "../../www/forms/ways.js";

const near = (value, expected) => assert.ok(Math.abs(value - expected) < 1e-9, `${value}, not ${expected}`);

const even = (steps) => waysOf("diffusers", steps);

test("each curve a quarter of the way and in the middle, by hand", () => {
  // γ from 0.75 to 0.375: 0.75 − 0.375 · w(a).
  for (const [curve, quarter, middle] of [
    ["constant", 0, 0],
    ["linear", 0.25, 0.5],
    ["cosine", 0.14644660940672624, 0.5], // (1 − √½) / 2
    ["sqrt", 0.5, 0.7071067811865476],
    ["quadratic", 0.0625, 0.25],
    ["exponential", 0.16529617667112, 0.3775406687981454], // 0.2840254166877414 / 1.718281828459045, and 1/(√e + 1)
  ]) {
    near(curveValue(curve, 0.75, 0.375, 0.25), 0.75 - 0.375 * quarter);
    near(curveValue(curve, 0.75, 0.375, 0.5), 0.75 - 0.375 * middle);
    near(curveValue(curve, 2, 5, 0), 2);
    near(curveValue(curve, 2, 5, 1), curve === "constant" ? 2 : 5);
  }
});

test("the steps of a run go from start to end, and one step has the start", () => {
  assert.deepEqual(curvePoints({ curve: "linear", end: 3 }, 1, even(5)), [1, 1.5, 2, 2.5, 3]);
  assert.deepEqual(curvePoints({ curve: "linear", end: 3 }, 1, even(1)), [1]);
  assert.deepEqual(curvePoints(null, 0.75, even(3)), [0.75, 0.75, 0.75]);
  assert.deepEqual(curvePoints({ curve: "constant", end: 9 }, 0.75, even(2)), [0.75, 0.75]);
});

test("every curve has a name, and rises all the way", () => {
  for (const curve of Object.keys(CURVE_NAMES)) {
    const points = curvePoints({ curve, end: 1 }, 0, even(50));
    assert.ok(
      points.every((value, i) => i === 0 || value >= points[i - 1]),
      curve,
    );
  }
});

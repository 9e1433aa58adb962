import assert from "node:assert/strict";
import { test } from "node:test";
import { FIT, MAX_ZOOM, clampView, panBy, resizeView, zoomAt } from "../../www/results/zoom.js";

const box = { width: 400, height: 200 };

test("zooming keeps what is under the pointer, up to the greatest zoom", () => {
  const at = { x: 100, y: 150 };
  const twice = zoomAt(FIT, 2, at, box);
  assert.deepEqual(twice, { zoom: 2, x: -100, y: -150 });
  assert.deepEqual(zoomAt(twice, 4, at, box), { zoom: 4, x: -300, y: -450 });
  assert.equal(zoomAt(FIT, 100, at, box).zoom, MAX_ZOOM);
  assert.deepEqual(zoomAt(twice, 1, { x: 0, y: 0 }, box), FIT);
  assert.deepEqual(zoomAt(twice, 0.1, at, box), FIT);
});

test("no gap opens beside a picture that is larger than its box, and a smaller one is in the middle", () => {
  assert.deepEqual(panBy({ zoom: 2, x: -100, y: -50 }, 500, -500, box), { zoom: 2, x: 0, y: -200 });
  assert.deepEqual(zoomAt(FIT, 0.5, { x: 0, y: 0 }, box, 0.5), { zoom: 0.5, x: 100, y: 50 });
  assert.deepEqual(clampView({ zoom: 1, x: -30, y: 7 }, box), FIT);
});

test("a box that changes its size shows the same part", () => {
  assert.deepEqual(resizeView({ zoom: 2, x: -100, y: -50 }, box, { width: 200, height: 100 }), {
    zoom: 2,
    x: -50,
    y: -25,
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { LEAST, middle, move, reshape, resize, set, whole } from "../../www/pictures/crop-geometry.js";

const picture = { width: 600, height: 400 };
const crop = { x: 100, y: 50, width: 200, height: 100 };

test("the whole picture and its middle", () => {
  assert.deepEqual(whole(picture), { x: 0, y: 0, width: 600, height: 400 });
  assert.deepEqual(middle(picture, 1), { x: 100, y: 0, width: 400, height: 400 });
  assert.deepEqual(middle(picture, 2), { x: 0, y: 50, width: 600, height: 300 });
  assert.deepEqual(middle(picture, null), whole(picture));
});

test("moving stops at the picture's edges", () => {
  assert.deepEqual(move(crop, 10.4, -20.6, picture), { ...crop, x: 110, y: 29 });
  assert.deepEqual(move(crop, 9999, -9999, picture), { ...crop, x: 400, y: 0 });
});

test("a free side or corner moves alone", () => {
  assert.deepEqual(resize(crop, "e", 30, 99, picture, null), { ...crop, width: 230 });
  assert.deepEqual(resize(crop, "nw", -30, 20, picture, null), { x: 70, y: 70, width: 230, height: 80 });
  assert.deepEqual(resize(crop, "w", 9999, 0, picture, null), { ...crop, x: 284, width: LEAST });
  assert.deepEqual(resize(crop, "s", 0, 9999, picture, null), { ...crop, height: 350 });
});

test("a locked corner keeps the shape and the opposite corner", () => {
  assert.deepEqual(resize(crop, "se", 100, 0, picture, 2), { x: 100, y: 50, width: 300, height: 150 });
  assert.deepEqual(resize(crop, "nw", -50, 0, picture, 2), { x: 50, y: 25, width: 250, height: 125 });
  assert.deepEqual(resize(crop, "nw", -9999, -9999, picture, 2), { x: 0, y: 0, width: 300, height: 150 });
});

test("a locked side takes its neighbours with it evenly, until one meets the edge", () => {
  assert.deepEqual(resize(crop, "e", 40, 0, picture, 2), { x: 100, y: 40, width: 240, height: 120 });
  assert.deepEqual(resize(crop, "e", 9999, 0, picture, 2), { x: 100, y: 0, width: 400, height: 200 });
});

test("a number that is typed is taken as far as it can be", () => {
  assert.deepEqual(set(crop, "x", 9999, picture, null), { ...crop, x: 400 });
  assert.deepEqual(set(crop, "width", 550, picture, null), { x: 50, y: 50, width: 550, height: 100 });
  assert.deepEqual(set(crop, "height", 150, picture, 2), { x: 100, y: 50, width: 300, height: 150 });
  assert.deepEqual(set(crop, "height", 1, picture, 2), { x: 100, y: 50, width: 32, height: 16 });
});

test("taking on a shape keeps the middle and about the area", () => {
  assert.deepEqual(reshape({ x: 100, y: 100, width: 200, height: 50 }, 1, picture), {
    x: 150,
    y: 75,
    width: 100,
    height: 100,
  });
});

test("whatever is done, a crop is whole, inside, large enough and of its shape", () => {
  let seed = 7;
  const random = (most) => ((seed = (seed * 48271) % 2147483647) / 2147483647) * most;
  for (let round = 0; round < 3000; round++) {
    const picture = { width: Math.ceil(1 + random(900)), height: Math.ceil(1 + random(900)) };
    const aspect = round % 3 ? 0.4 + random(2) : null;
    let crop = middle(picture, aspect);
    for (let i = 0; i < 6; i++) {
      const [dx, dy] = [random(800) - 400, random(800) - 400];
      const handle = ["n", "ne", "e", "se", "s", "sw", "w", "nw"][Math.floor(random(8))];
      const field = ["x", "y", "width", "height"][Math.floor(random(4))];
      const act = Math.floor(random(3));
      if (act === 0) crop = move(crop, dx, dy, picture);
      else if (act === 1) crop = resize(crop, handle, dx, dy, picture, aspect);
      else crop = set(crop, field, dx, picture, aspect);
      const told = JSON.stringify({ picture, aspect, crop, act, handle, field, dx, dy });
      for (const value of Object.values(crop)) assert.ok(Number.isInteger(value) && value >= 0, told);
      assert.ok(crop.x + crop.width <= picture.width && crop.y + crop.height <= picture.height, told);
      assert.ok(crop.width >= Math.min(LEAST, picture.width) && crop.height >= Math.min(LEAST, picture.height), told);
      const hasRoom = aspect && picture.width >= 40 && picture.height >= 40;
      if (hasRoom) assert.ok(Math.abs(crop.width - crop.height * aspect) <= 1 + aspect, told);
    }
  }
});

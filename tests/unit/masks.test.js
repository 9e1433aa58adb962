// Painting, feathering, undoing and writing of masks, without a page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 as zlibCrc32 } from "node:zlib";
import { PNG } from "pngjs";
import { blur } from "../../www/pictures/blur.js";
import { crc32 } from "../../www/shared/crc32.js";
import { greyPng } from "../../www/pictures/grey-png.js";
import { History, MaskLayer } from "../../www/pictures/mask-layer.js";
import { drawMasks } from "../../www/pictures/mask-overlay.js";

const sum = (pixels) => pixels.reduce((a, b) => a + b, 0);

test("the blur keeps what is even, its sum, and spreads by σ", () => {
  for (const value of [0, 77, 255]) {
    const even = blur(new Uint8ClampedArray(40 * 30).fill(value), 40, 30, 5);
    assert.ok(even.every((it) => it === value));
  }
  // An edge down the middle becomes the integral of a Gaussian: its slope's variance is σ².
  const [width, height, sigma] = [120, 3, 6];
  const edge = Uint8ClampedArray.from({ length: width * height }, (_, i) => (i % width < 60 ? 0 : 255));
  const soft = blur(edge, width, height, sigma);
  const row = soft.subarray(width, 2 * width);
  let [mass, variance] = [0, 0];
  for (let x = 1; x < width; x++) {
    const step = row[x] - row[x - 1];
    assert.ok(step >= 0, `falls at ${x}`);
    mass += step;
    variance += step * (x - 60) ** 2;
  }
  assert.equal(mass, 255);
  assert.ok(Math.abs(Math.sqrt(variance / mass) - sigma) < 0.35, `σ = ${Math.sqrt(variance / mass)}`);
  assert.ok(Math.abs(sum(soft) - sum(edge)) < 0.002 * sum(edge));
  assert.deepEqual(soft.subarray(0, width), row, "the rows of an upright edge are alike");
});

test("the blur is alike along both axes, and nothing at σ = 0", () => {
  const [width, height] = [31, 31];
  const spot = new Uint8ClampedArray(width * height);
  for (let y = 13; y < 18; y++) for (let x = 13; x < 18; x++) spot[y * width + x] = 255;
  const soft = blur(spot, width, height, 2);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      assert.equal(soft[y * width + x], soft[x * width + y]);
      assert.equal(soft[y * width + x], soft[y * width + width - 1 - x]);
    }
  }
  assert.ok(soft[15 * width + 15] > 90 && soft[15 * width + 15] < 255);
  assert.deepEqual(blur(spot, width, height, 0), spot);
  const wide = blur(
    Uint8ClampedArray.from({ length: 50 }, (_, i) => 5 * i),
    50,
    1,
    3,
  );
  assert.ok(
    wide.every((value, i) => i === 0 || value >= wide[i - 1]),
    "one row works",
  );
});

test("a mask is everywhere until painted; the brush then begins on none, the eraser on all", () => {
  const layer = new MaskLayer(64, 48);
  assert.ok(layer.isUntouched && layer.isEverywhere && layer.coverage === 1);
  layer.stroke({ x: 20, y: 20 }, { x: 20, y: 20 }, 8, false);
  const disc = (Math.PI * 64) / (64 * 48);
  assert.ok(Math.abs(layer.coverage - disc) < 0.03 * disc, `${layer.coverage}, not ${disc}`);
  assert.equal(layer.pixels[20 * 64 + 20], 255);
  assert.equal(layer.pixels[20 * 64 + 32], 0);
  const erased = new MaskLayer(64, 48);
  erased.stroke({ x: 20, y: 20 }, { x: 20, y: 20 }, 8, true);
  assert.ok(Math.abs(1 - erased.coverage - disc) < 0.03 * disc);
  layer.invert();
  assert.deepEqual(layer.pixels, erased.pixels);
});

test("a stroke has no gaps, and may leave the picture", () => {
  const layer = new MaskLayer(100, 50);
  layer.stroke({ x: -40, y: 25 }, { x: 140, y: 25 }, 5, false);
  for (let x = 0; x < 100; x++) assert.equal(layer.pixels[25 * 100 + x], 255);
  assert.ok(Math.abs(layer.coverage - 10 / 50) < 0.02);
  layer.stroke({ x: 500, y: 500 }, { x: 600, y: 500 }, 5, false);
  assert.ok(Math.abs(layer.coverage - 10 / 50) < 0.02);
});

test("the feather softens what is read and not what is painted", () => {
  const layer = new MaskLayer(64, 64);
  layer.stroke({ x: 32, y: 32 }, { x: 32, y: 32 }, 10, false);
  const hard = layer.pixels.slice();
  layer.feather = 4;
  assert.deepEqual(layer.pixels, hard);
  assert.ok(layer.feathered.some((value) => value > 20 && value < 235));
  const before = layer.feathered;
  layer.stroke({ x: 5, y: 5 }, { x: 5, y: 5 }, 4, false);
  assert.notDeepEqual(layer.feathered, before, "a stroke is seen at once");
  layer.feather = 0;
  assert.deepEqual(layer.feathered, layer.pixels);
});

test("undo and redo, over several layers, back to untouched", () => {
  const layers = [new MaskLayer(16, 16), new MaskLayer(16, 16)];
  const history = new History(3);
  const act = (index, change) => {
    const before = layers[index].snapshot();
    change(layers[index]);
    history.add(index, before, layers[index].snapshot());
  };
  act(0, (layer) => layer.fill(false));
  act(1, (layer) => (layer.feather = 3));
  act(0, (layer) => layer.invert());
  assert.equal(history.undo(layers), 0);
  assert.equal(layers[0].coverage, 0);
  assert.equal(history.undo(layers), 1);
  assert.equal(layers[1].feather, 0);
  assert.equal(history.redo(layers), 1);
  assert.equal(layers[1].feather, 3);
  assert.equal(history.undo(layers), 1);
  assert.equal(history.undo(layers), 0);
  assert.ok(layers[0].isUntouched);
  assert.equal(history.undo(layers), null);
  act(0, (layer) => layer.fill(false));
  assert.ok(!history.canRedo, "what comes anew takes the place of what was undone");
  for (let i = 0; i < 5; i++) act(0, (layer) => layer.invert());
  let steps = 0;
  while (history.undo(layers) !== null) steps++;
  assert.equal(steps, 3);
});

test("a mask is written as a greyscale PNG that reads back as it was", async () => {
  const [width, height] = [37, 21];
  const pixels = Uint8ClampedArray.from({ length: width * height }, (_, i) => (i * 7) % 256);
  const blob = await greyPng(pixels, width, height);
  assert.equal(blob.type, "image/png");
  const bytes = Buffer.from(await blob.arrayBuffer());
  const png = PNG.sync.read(bytes); // checks the CRCs
  assert.deepEqual([png.width, png.height, png.colorType, png.depth], [width, height, 0, 8]);
  assert.deepEqual(
    Uint8ClampedArray.from({ length: width * height }, (_, i) => png.data[4 * i]),
    pixels,
  );
  assert.throws(() => PNG.sync.read(Buffer.concat([bytes.subarray(0, 20), Buffer.from([9]), bytes.subarray(21)])));
});

test("CRC-32 of what the standards give, and of random bytes", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
  assert.equal(crc32(new Uint8Array(0)), 0);
  const bytes = Uint8Array.from({ length: 999 }, (_, i) => (i * i) % 251);
  assert.equal(crc32(bytes), zlibCrc32?.(bytes) ?? crc32(bytes));
});

test("masks lie over the photo by colour and pattern, the current one on top", () => {
  const image = { width: 28, height: 14, data: new Uint8ClampedArray(4 * 28 * 14) };
  const left = Uint8ClampedArray.from({ length: 28 * 14 }, (_, i) => (i % 28 < 14 ? 255 : 0));
  drawMasks(image, [left, null], 0);
  const alphas = new Set(Array.from({ length: 14 }, (_, x) => image.data[4 * x + 3]));
  assert.equal(alphas.size, 3, "stripes and the edge");
  assert.deepEqual([...image.data.subarray(4 * 13, 4 * 14)], [255, 255, 255, 255], "the edge");
  assert.equal(image.data[4 * 20 + 3], 0, "nothing outside");
  assert.deepEqual([...image.data.subarray(0, 3)], [0, 114, 178]);
  const all = new Uint8ClampedArray(28 * 14).fill(255);
  drawMasks(image, [all, all], 1);
  assert.ok(image.data[0] > 150, "mostly the second one's orange");
});

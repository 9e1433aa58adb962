// Tests of the tiles that are kept from visit to visit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { keepTiles, keptTiles } from "../../www/engine/tiles.js";

/** A storage that holds `text`. */
const storage = (text = null) => ({
  text,
  getItem() {
    return this.text;
  },
  setItem(_, value) {
    this.text = value;
  },
});

test("tiles are kept for each device", () => {
  const kept = storage();
  keepTiles({ name: "a", tiles: { linear: "64 × 64" } }, kept);
  keepTiles({ name: "b", tiles: { linear: "128 × 128" } }, kept);
  keepTiles({ name: "a", tiles: { linear: "64 × 128", convolution: "by rule" } }, kept);
  assert.deepEqual(keptTiles(kept), {
    a: { linear: "64 × 128", convolution: "by rule" },
    b: { linear: "128 × 128" },
  });
});

test("a device without a trial leaves what is kept", () => {
  const kept = storage('{"a":{"linear":"64 × 64"}}');
  keepTiles({ name: "a", tiles: {} }, kept);
  keepTiles({ name: "processor" }, kept);
  assert.deepEqual(keptTiles(kept), { a: { linear: "64 × 64" } });
});

test("a forbidden or damaged storage is an empty one", () => {
  const forbidden = {
    getItem() {
      throw new Error("forbidden");
    },
    setItem() {
      throw new Error("forbidden");
    },
  };
  assert.deepEqual(keptTiles(forbidden), {});
  assert.doesNotThrow(() => keepTiles({ name: "a", tiles: { linear: "64 × 64" } }, forbidden));
  for (const text of ["{", "[]", "3", "null"]) assert.deepEqual(keptTiles(storage(text)), {});
});

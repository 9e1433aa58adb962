// Which device a choice comes to, in browsers with and without WebGPU and vector instructions.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { DEVICE_CHOICES, deviceFor, hasVectors } from "../../www/engine/adapter.js";

const real = Object.getOwnPropertyDescriptor(globalThis, "navigator");
const { validate } = WebAssembly;
afterEach(() => {
  WebAssembly.validate = validate;
  Reflect.deleteProperty(globalThis, "navigator"); // there is none in Node.js 20
  if (real) Object.defineProperty(globalThis, "navigator", real);
});

const adapter = (description, more = {}) => ({ info: { description, ...more } });
/** @param {(() => unknown) | null} requestAdapter null for a browser without WebGPU */
function pose(requestAdapter) {
  const gpu = requestAdapter && { requestAdapter: async () => requestAdapter() };
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { ...(gpu && { gpu }) } });
}

for (const [what, requestAdapter, expected] of [
  ["a graphics card", () => adapter("GeForce"), "gpu"],
  ["no WebGPU", null, "cpu"],
  ["no adapter", () => null, "cpu"],
  ["a software adapter", () => adapter("Google SwiftShader"), "cpu"],
  ["a fallback adapter", () => adapter("", { isFallbackAdapter: true }), "cpu"],
  [
    "an adapter that fails",
    () => {
      throw new Error("lost");
    },
    "cpu",
  ],
]) {
  test(`${what}: the ${expected === "gpu" ? "GPU" : "processor"} is chosen, unless one is named`, async () => {
    pose(requestAdapter);
    const devices = await Promise.all(DEVICE_CHOICES.map(deviceFor));
    assert.deepEqual(devices, [expected, "gpu", "cpu"]);
  });
}

test("without vector instructions only a GPU is left, whose program says what is wrong", async () => {
  assert.ok(hasVectors(), "here there are some");
  pose(null);
  WebAssembly.validate = () => false;
  assert.equal(await deviceFor("auto"), "gpu");
});

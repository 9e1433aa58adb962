// Runs on adapters that can do less than this machine's, and on some that fail: the worker's adapter is masked.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { decodePng, largestDifference, readGolden } from "./goldens.js";
import { start } from "./page.js";

/** Largest difference of a channel, of 255: sums of f32 in another order are rounded differently. */
const TOLERANCE = 2;
const GOLDEN = "micro15.diffusers.n4.rect";

/** WebGPU's default limits, which every adapter has: those that matter to compute shaders. */
const DEFAULT_LIMITS = {
  maxBindGroups: 4,
  maxBindingsPerBindGroup: 1000,
  maxBufferSize: 256 * 2 ** 20,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxStorageBuffersPerShaderStage: 8,
  maxUniformBufferBindingSize: 65536,
  maxUniformBuffersPerShaderStage: 12,
};

/**
 * A script that makes adapters offer no features but `features` (all they have, if null) and at most `limits`, and
 * refuse devices that want more. The device itself is the browser's own, without what was not asked for.
 */
const mask = ({ features = null, limits = {} }) => `{
  const allowed = ${JSON.stringify(features)};
  const limits = ${JSON.stringify(limits)};
  const { prototype } = GPUAdapter;
  const getter = (name) => Object.getOwnPropertyDescriptor(prototype, name).get;
  const [realFeatures, realLimits, realRequest] = [getter("features"), getter("limits"), prototype.requestDevice];
  const seen = (adapter) => new Set([...realFeatures.call(adapter)].filter((name) => !allowed || allowed.includes(name)));
  Object.defineProperty(prototype, "features", { configurable: true, get() { return seen(this); } });
  Object.defineProperty(prototype, "limits", {
    configurable: true,
    get() {
      const real = realLimits.call(this);
      const masked = {};
      for (const name in real) if (typeof real[name] === "number") masked[name] = Math.min(real[name], limits[name] ?? Infinity);
      return masked;
    },
  });
  prototype.requestDevice = async function (descriptor = {}) {
    const offered = seen(this);
    for (const name of descriptor.requiredFeatures ?? []) if (!offered.has(name)) throw new TypeError(name + " is not offered");
    const device = await realRequest.call(this, descriptor);
    for (const name in limits) if (device.limits[name] > limits[name]) throw new TypeError(name + " was not masked");
    console.info("masked device: " + JSON.stringify([...device.features]));
    return device;
  };
}\n`;

/** A script that calls `change(number, descriptor, device)` before each call of a method of GPUDevice. */
const tamper = (method, change) => `{
  const { prototype } = GPUDevice;
  const real = prototype.${method};
  let calls = 0;
  prototype.${method} = function (descriptor) {
    (${change})(++calls, descriptor, this);
    console.info("${method}: " + calls);
    return real.call(this, descriptor);
  };
}\n`;

let browser;
let golden;
let page;
/** What the worker said in its console. @type {string[]} */
let said;
before(async () => {
  golden = await readGolden(GOLDEN);
  browser = await start();
});
afterEach(async () => {
  page?.server.prepend.clear();
  await page?.close();
});
after(() => browser?.close());

/** Does the golden's run on the page, with `script` in front of the worker's own. @returns the status at the end */
async function run(script) {
  said = [];
  page = await browser.open();
  page.page.on("console", (message) => said.push(message.text()));
  page.server.prepend.set("worker.js", script);
  await page.goto("?model=micro15");
  await page.choose(golden);
  await page.set({ size: "keep", steps: 4 });
  return go();
}

async function go() {
  await page.go.click();
  return page.waitForEnd();
}

/** The name of the last shader of the golden's run. */
let last = "";
/** A script's expression for the name of a shader's entry point. */
const ENTRY = "descriptor.code.match(/@compute[^{]*fn (\\w+)/)[1]";

test("WebGPU's default limits, without timestamp queries or any other feature, give the reference's picture", async (t) => {
  const counted = tamper("createShaderModule", `(_, descriptor) => console.info("shader: " + ${ENTRY})`);
  assert.match(await run(mask({ features: [], limits: DEFAULT_LIMITS }) + counted), /^Done in /);
  const device = said.find((line) => line.startsWith("masked device: "));
  assert.match(device, /^masked device: \[("core-features-and-limits")?\]$/);
  const { width, height, rgb } = decodePng((await page.download()).bytes);
  assert.deepEqual([width, height], [golden.image.width, golden.image.height]);
  const difference = largestDifference(rgb, golden.image.rgb);
  const shaders = said.filter((line) => line.startsWith("shader: "));
  last = shaders.at(-1)?.slice("shader: ".length) ?? "";
  t.diagnostic(`largest difference ${difference} of 255; ${shaders.length} shaders`);
  assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);
  page.assertClean();
});

/** Asserts that a run with `script` is refused and gives no picture, and that a second run is refused, too. */
async function assertRefused(t, script) {
  const isRefused = async (end) => {
    assert.match(
      end,
      /^This GPU cannot run one of the program's kernels \(.+\), so there is no result; update the browser/,
    );
    assert.ok(await page.page.getByRole("link", { name: "Download PNG" }).isHidden());
  };
  const end = await run(script);
  t.diagnostic(end);
  await isRefused(end);
  await isRefused(await go());
  return end;
}

test("a shader that does not compile ends the run with a sentence, even where it is the last one", async (t) => {
  assert.ok(last);
  const broken = `(_, descriptor) => { if (${ENTRY} === "${last}") descriptor.code += "fn more() { let a: u32 = oops; }"; }`;
  // With the features of the run above: shaders have other names where others are written.
  const script = mask({ features: [] }) + tamper("createShaderModule", broken);
  assert.match(await assertRefused(t, script), /`.+`.*oops/);
});

test("a pipeline that cannot be made ends the run with a sentence", async (t) => {
  const broken = `(number, descriptor) => { if (number === 10) descriptor.compute.entryPoint = "nonesuch"; }`;
  assert.match(await assertRefused(t, tamper("createComputePipeline", broken)), /nonesuch/);
});

/** A script that reports `error` at the tenth pipeline, as the browser does when a driver fails. */
const report = (error) =>
  tamper(
    "createComputePipeline",
    `(number, _, device) => {
      const event = () => new GPUUncapturedErrorEvent("uncapturederror", { error: ${error} });
      if (number === 10) device.dispatchEvent(event());
    }`,
  );

test("an error of the driver's compiler ends the run with a sentence", async (t) => {
  const script = report(`new GPUInternalError("The pipeline could not be compiled.\\nD3D said more.")`);
  assert.match(await assertRefused(t, script), /\(The pipeline could not be compiled\)/);
});

test("memory that runs out ends the run with a sentence, after one more try of its own", async () => {
  const end = await run(report(`new GPUOutOfMemoryError("Out of memory.")`));
  assert.match(end, /^The memory ran out\. .+, or close other tabs and programs\.$/);
  await page.notices.getByText(/^The memory ran out; trying once more .+\.$/).waitFor({ timeout: 1000 });
});

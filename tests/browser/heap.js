// Measures what a model of the true size costs in the browser: wasm memory, GPU buffers as the browser makes them, time
// and bytes fetched; the same when it is loaded from the disk; and on request a whole run. This is not a test: run
// `./dev bench heap [FOLDER] [--run STEPS] [--size PIXELS]` after `./dev bench loading [FOLDER]` has made the models
// there. On a software adapter a step at 256 pixels takes a quarter of an hour.

import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startHub } from "../hub/server.js";
import { launchIn } from "./browsers.js";
import { serve } from "./server.js";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { run: { type: "string" }, size: { type: "string", default: "256" } },
});
const root = positionals[0] ?? path.join(tmpdir(), "styleid-true-size");
const dist = process.env.STYLEID_DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));
const folder = await mkdtemp(path.join(tmpdir(), "styleid-heap-"));

const WORKER = `
// Every buffer of the GPU, whoever makes it: independent of the allocator's own figures. One that is let go of without being
// destroyed is there until the browser collects it, which is asked for once a model is loaded.
const buffers = { now: 0, peak: 0, largest: 0 };
const alive = new Map();
const gone = (id) => {
  buffers.now -= alive.get(id) ?? 0;
  alive.delete(id);
};
const collected = new FinalizationRegistry(gone);
const ids = new WeakMap();
let made = 0;
const { createBuffer } = GPUDevice.prototype;
GPUDevice.prototype.createBuffer = function (descriptor) {
  const buffer = createBuffer.call(this, descriptor);
  const id = made++;
  alive.set(id, descriptor.size);
  ids.set(buffer, id);
  collected.register(buffer, id);
  buffers.now += descriptor.size;
  buffers.peak = Math.max(buffers.peak, buffers.now);
  buffers.largest = Math.max(buffers.largest, descriptor.size);
  return buffer;
};
const { destroy } = GPUBuffer.prototype;
GPUBuffer.prototype.destroy = function () {
  gone(ids.get(this));
  destroy.call(this);
};

const { default: init, loadModel, memoryBytes, openDevice, stylize } = await import("./styleid.js");
onmessage = async ({ data: { model, run } }) => {
  try {
    await init();
    await openDevice();
    const notices = [];
    let needed = 0;
    const before = memoryBytes();
    const started = performance.now();
    await loadModel(model, [], (event) => ("notice" in event ? notices.push(event.notice) : (needed = event.steps)));
    const seconds = (performance.now() - started) / 1000;
    gc();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const loaded = { before, after: memoryBytes(), needed, buffers: { ...buffers }, seconds };
    let ran = null;
    if (run) {
      Object.assign(buffers, { peak: buffers.now, largest: 0 });
      const phases = new Map();
      const onEvent = (event) => {
        if ("notice" in event) notices.push(event.notice);
        if ("phase" in event) phases.set(event.phase, Math.max(buffers.now, phases.get(event.phase) ?? 0));
      };
      const read = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
      const request = { content: await read("photo.jpg"), styles: [{ picture: await read("painting.jpg") }] };
      const result = await stylize(request, run, onEvent);
      const { seconds, gpuBytesInUse, gpuBytesReserved } = result;
      ran = { seconds, gpuBytesInUse, gpuBytesReserved, buffers: { ...buffers }, after: memoryBytes(), phases: [...phases] };
    }
    postMessage({ loaded, ran, notices });
  } catch (error) {
    postMessage({ error: String(error) });
  }
};
postMessage("ready");`;

for (const file of ["styleid.js", "styleid_bg.wasm"]) await copyFile(path.join(dist, file), path.join(folder, file));
await copyFile(path.join(dist, "pictures/photo-coffee.jpg"), path.join(folder, "photo.jpg"));
await copyFile(path.join(dist, "pictures/style-hokusai-great-wave.jpg"), path.join(folder, "painting.jpg"));
await writeFile(path.join(folder, "worker.js"), WORKER);
await writeFile(path.join(folder, "index.html"), "<!doctype html><title>heap</title>");

const mib = (/** @type {number} */ bytes) => (bytes / 2 ** 20).toFixed(1);
const run = values.run ? { steps: Number(values.run), size: Number(values.size) } : null;
const server = await serve(folder, "/");
const hub = await startHub({ root });
const browser = await launchIn(path.join(folder, "profile"), ["--js-flags=--expose-gc"]);
try {
  for (const [repo, weights] of [
    ["test/sd15-f16", "q8"],
    ["test/sd15-gguf", "q8"],
    ["test/sd15-gguf", "q4"],
  ]) {
    for (const visit of ["fetched", "from disk"]) {
      const page = await browser.newPage();
      await page.goto(server.url);
      await hub.reset();
      const model = { source: repo, weights, prediction: null, hub: hub.hub };
      const message = { model, run: visit === "from disk" ? run : null };
      const result = await page.evaluate(
        (message) =>
          new Promise((resolve) => {
            const worker = new Worker("worker.js", { type: "module" });
            worker.onmessage = ({ data }) => (data === "ready" ? worker.postMessage(message) : resolve(data));
            worker.onerror = (event) => resolve({ error: event.message });
          }),
        message,
      );
      await page.close();
      if (result.error) throw new Error(result.error);
      const { loaded, ran } = result;
      const sent = hub.log.reduce((sum, entry) => sum + entry.bytes, 0);
      console.log(
        `${repo} ${weights} ${visit}: wasm memory ${mib(loaded.before)} -> ${mib(loaded.after)} MiB, needed ${(loaded.needed / 1e6).toFixed(1)} MB, ` +
          `sent ${(sent / 1e6).toFixed(1)} MB in ${hub.log.length} requests, ${loaded.seconds.toFixed(1)} s, ` +
          `GPU buffers ${mib(loaded.buffers.now)} MiB (peak ${mib(loaded.buffers.peak)}, largest ${mib(loaded.buffers.largest)})`,
      );
      if (ran) {
        console.log(
          `  ${run?.steps} steps at ${run?.size} px: ${ran.seconds.toFixed(0)} s, wasm memory ${mib(ran.after)} MiB, ` +
            `GPU ${mib(ran.gpuBytesInUse)} MiB in tensors, ${mib(ran.gpuBytesReserved)} in the allocator's buffers, ` +
            `${mib(ran.buffers.peak)} in all buffers, the largest ${mib(ran.buffers.largest)}`,
        );
        for (const [phase, bytes] of ran.phases) console.log(`    ${phase}: ${mib(bytes)} MiB in all buffers`);
      }
      for (const notice of result.notices) console.log(`  ${notice}`);
    }
  }
} finally {
  await browser.close();
  server.close();
  await hub.close();
  await rm(folder, { recursive: true, force: true });
}

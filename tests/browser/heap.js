// What loading a true-size model costs in the browser: wasm memory, time, bytes fetched; then a second time from the disk.
// Not a test, a measurement: `./dev bench heap [FOLDER]`, after `./dev bench loading [FOLDER]` made the models there.

import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { startHub } from "../hub/server.js";
import { FLAGS } from "./page.js";
import { serve } from "./server.js";

const root = process.argv[2] ?? path.join(tmpdir(), "styleid-true-size");
const dist = process.env.STYLEID_DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));
const folder = await mkdtemp(path.join(tmpdir(), "styleid-heap-"));

const WORKER = `
import init, { loadModel, memoryBytes, openDevice } from "./styleid.js";
onmessage = async ({ data }) => {
  try {
    await init();
    await openDevice();
    const notices = [];
    let needed = 0;
    const before = memoryBytes();
    const started = performance.now();
    await loadModel(data, [], (event) => ("notice" in event ? notices.push(event.notice) : (needed = event.steps)));
    postMessage({ before, after: memoryBytes(), needed, notices, seconds: (performance.now() - started) / 1000 });
  } catch (error) {
    postMessage({ error: String(error) });
  }
};`;

for (const file of ["styleid.js", "styleid_bg.wasm"]) await copyFile(path.join(dist, file), path.join(folder, file));
await writeFile(path.join(folder, "worker.js"), WORKER);
await writeFile(path.join(folder, "index.html"), "<!doctype html><title>heap</title>");

const server = await serve(folder, "/");
const hub = await startHub({ root });
const browser = await chromium.launchPersistentContext(path.join(folder, "profile"), {
  executablePath: process.env.CHROME ?? "/usr/bin/chromium",
  args: FLAGS,
});
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
      const options = { source: repo, weights, prediction: null, hub: hub.hub };
      const result = await page.evaluate(
        (options) =>
          new Promise((resolve) => {
            const worker = new Worker("worker.js", { type: "module" });
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = (event) => resolve({ error: event.message });
            worker.postMessage(options);
          }),
        options,
      );
      await page.close();
      if (result.error) throw new Error(result.error);
      const sent = hub.log.reduce((sum, entry) => sum + entry.bytes, 0);
      const mib = (/** @type {number} */ bytes) => (bytes / 2 ** 20).toFixed(1);
      console.log(
        `${repo} ${weights} ${visit}: wasm memory ${mib(result.before)} -> ${mib(result.after)} MiB, needed ${(result.needed / 1e6).toFixed(1)} MB, ` +
          `sent ${(sent / 1e6).toFixed(1)} MB in ${hub.log.length} requests, ${result.seconds.toFixed(1)} s`,
      );
      for (const notice of result.notices) console.log(`  ${notice}`);
    }
  }
} finally {
  await browser.close();
  server.close();
  await hub.close();
  await rm(folder, { recursive: true, force: true });
}

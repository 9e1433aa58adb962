// A page in Chromium with a worker that measures.

import { copyFile, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "../browser/browsers.js";
import { serve } from "../browser/server.js";

const here = path.dirname(fileURLToPath(import.meta.url));

/** Opens a page with the wasm that lies in `out`. @param {string} out */
export async function openBench(out) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "styleid-bench-"));
  for (const file of ["styleid.js", "styleid_bg.wasm"]) await copyFile(path.join(out, file), path.join(folder, file));
  for (const file of ["worker.js", "peer.js", "peers.js", "onnx.js"])
    await copyFile(path.join(here, file), path.join(folder, file));
  await symlink(path.join(here, "node_modules/onnxruntime-web/dist"), path.join(folder, "ort"));
  await writeFile(
    path.join(folder, "index.html"),
    '<!doctype html><link rel="icon" href="data:,"><title>bench</title>',
  );
  const server = await serve(folder, "/");
  const browser = await launch();
  return {
    version: browser.version(),
    /**
     * Gives `job` to a worker, and what it posts to `receive`, until it is done.
     * @param {object} job
     * @param {(data: any) => void | Promise<void>} receive
     */
    async work(job, receive) {
      const page = await browser.newPage();
      page.on("console", (message) => message.type() === "error" && console.error(message.text()));
      await page.goto(server.url);
      await page.exposeFunction("receive", receive);
      const error = await page.evaluate(
        (job) =>
          new Promise((resolve) => {
            const worker = new Worker("worker.js", { type: "module" });
            // What was posted is kept before the worker's end is believed.
            let kept = Promise.resolve();
            worker.onmessage = ({ data }) => {
              if ("done" in data || "error" in data) kept.then(() => resolve(data.error));
              else kept = kept.then(() => window.receive(data));
            };
            worker.onerror = (event) => resolve(event.message ?? "the worker did not start");
            worker.postMessage(job);
          }),
        job,
      );
      if (error) throw new Error(error);
    },
    async close() {
      await browser.close();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

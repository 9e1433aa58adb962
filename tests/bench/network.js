// Measures calls of the UNet or whole runs of Stable Diffusion at its true size in Chromium on WebGPU.
// `./dev bench step --chromium [options]` and `./dev bench run --chromium [options]` build the wasm and run it.

import { writeFile } from "node:fs/promises";
import os from "node:os";
import { parseArgs } from "node:util";
import { openBench } from "./page.js";

const MODELS = {
  sd15: "SD 1.5",
  sd21: "SD 2.1-base",
  "bk-base": "BK-SDM base",
  "bk-small": "BK-SDM small",
  "bk-tiny": "BK-SDM tiny",
};

const { values, positionals } = parseArgs({
  allowPositionals: true, // the folder with the wasm; step or run
  options: {
    model: { type: "string", default: "sd15" },
    weights: { type: "string", default: "q8" },
    size: { type: "string", default: "256" },
    version: { type: "string", default: "fast" },
    steps: { type: "string" },
    repetitions: { type: "string", default: "1" },
    json: { type: "string" },
    commit: { type: "string", default: "unknown" },
    machine: { type: "string", default: `${os.cpus()[0]?.model ?? "unknown processor"}, ${os.cpus().length} cores` },
  },
});
const [out, what] = positionals;
/** @param {Record<string, unknown>} known @param {string} name */
const one = (known, name) => {
  if (!(name in known)) throw new Error(`${name} is none of ${Object.keys(known).join(", ")}`);
  return known[name];
};
const network = {
  model: one(MODELS, values.model),
  weights: values.weights,
  pixels: Number(values.size),
  repetitions: what === "step" ? Number(values.repetitions) : null,
  version: values.version,
  steps: values.steps ? Number(values.steps) : null,
};

const bench = await openBench(out);
const record = {
  machine: values.machine,
  load: os.loadavg()[0],
  commit: values.commit,
  time: Math.floor(Date.now() / 1000),
};
try {
  await bench.work({ network }, async ({ progress, network }) => {
    if (progress) return void process.stderr.write(`\r${progress}      `);
    process.stderr.write("\n");
    const { step, run } = network;
    if (step)
      console.log(`first ${step.first.toFixed(1)} s, then ${step.seconds.map((s) => s.toFixed(1)).join(", ")} s`);
    for (const lap of run ? [run.first, run.then] : [])
      console.log(
        `${lap.seconds.toFixed(1)} s: ${lap.phases.map(([name, s]) => `${name} ${s.toFixed(1)}`).join(", ")}`,
      );
    network.adapter.backend = `Chromium ${bench.version}`;
    if (values.json) await writeFile(values.json, `${JSON.stringify({ ...record, network }, null, 2)}\n`);
  });
} finally {
  await bench.close();
}

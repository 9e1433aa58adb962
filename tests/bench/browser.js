// Measures our kernels in Chromium on WebGPU, against burn's own and against onnxruntime-web in the same browser.
// `./dev bench browser [options]` builds the wasm and runs it.

import { writeFile } from "node:fs/promises";
import os from "node:os";
import { parseArgs } from "node:util";
import { openBench } from "./page.js";
import { DEFAULT_PEERS, PEERS, TOLERANCE } from "./peers.js";

const list = (/** @type {string | undefined} */ text) => (text ? text.split(",").filter(Boolean) : []);
const { values, positionals } = parseArgs({
  allowPositionals: true, // the folder with the wasm
  options: {
    filter: { type: "string" },
    kernels: { type: "string" },
    weights: { type: "string", default: "exact" },
    "seconds-per-row": { type: "string", default: "1" },
    "most-gflop": { type: "string" },
    peers: { type: "string", default: DEFAULT_PEERS.join(",") },
    "peers-only": { type: "boolean", default: false }, // no rows but those that a peer is measured beside
    json: { type: "string" },
    commit: { type: "string", default: "unknown" },
    machine: { type: "string", default: `${os.cpus()[0]?.model ?? "unknown processor"}, ${os.cpus().length} cores` },
  },
});
const peers = values.peers === "none" ? [] : list(values.peers);
const unknown = peers.find((name) => !(name in PEERS));
if (unknown) throw new Error(`there is no peer ${unknown}: ${Object.keys(PEERS).join(", ")}, or none`);
const filter = list(values.filter);
if (values["peers-only"] && !peers.length) throw new Error("--peers-only needs peers");
const options = {
  // A peer's row is measured in the same run, whatever the filter.
  filter:
    filter.length || values["peers-only"] ? [...new Set([...filter, ...peers.map((name) => PEERS[name].row)])] : [],
  kernels: list(values.kernels),
  weights: values.weights,
  secondsPerRow: Number(values["seconds-per-row"]),
  mostGflop: values["most-gflop"] ? Number(values["most-gflop"]) : null,
};

const bench = await openBench(positionals[0]);
const run = {
  machine: values.machine,
  browser: `Chromium ${bench.version}`,
  load: os.loadavg()[0],
  commit: values.commit,
  time: Math.floor(Date.now() / 1000),
  setting: null,
  rows: [],
  peers: [],
};

const ms = (/** @type {number} */ seconds) => `${(1e3 * seconds).toFixed(3)} ms`;

/** Prints and keeps what the worker posted. @param {any} data */
async function receive(data) {
  if (data.setting) {
    run.setting = data.setting;
    const { adapter, peak, wait } = data.setting;
    const [one, many] = [peak.oneChain, peak.manyChains].map(({ gflops }) => gflops.toFixed(1));
    const name = adapter.name || "unnamed adapter";
    console.log(`${name}, peak of one chain ${one} GFLOPS, of many chains ${many} GFLOPS, wait ${ms(wait)}`);
  } else if (data.row) {
    run.rows.push(data.row);
    const { name, times, gflop, gbyte, difference, failed } = data.row;
    const rate = (/** @type {any} */ { seconds }) =>
      gflop ? `${(gflop / seconds).toFixed(2)} GFLOPS` : `${(gbyte / seconds).toFixed(2)} GB/s`;
    const measured = run.setting.kernels.filter((/** @type {string} */ name) => times[name]);
    const cells = measured.map(
      (/** @type {string} */ name) => `${name} ${ms(times[name].seconds)}, ${rate(times[name])}`,
    );
    console.log(["", name, ...cells, difference?.toExponential(1), failed].filter((cell) => cell != null).join(" | "));
  } else if (data.first) {
    console.log(` | ONNX Runtime ${data.peer} | first ${ms(data.first)} | …`);
  } else if (data.peer) {
    run.peers.push(data.peer);
    const { name, row, timing, difference, failed } = data.peer;
    const ours = run.rows.find((other) => other.name === row)?.times[run.setting.kernels[0]];
    if (failed) console.log(` | ONNX Runtime ${name} | ${failed}`);
    else {
      const ratio = ours ? `ours takes ${(ours.seconds / timing.seconds).toFixed(3)} of it` : "";
      console.log(
        ` | ONNX Runtime ${name} | first ${ms(timing.first)} | then ${ms(timing.seconds)} | ${ratio} | ${difference.toExponential(1)}`,
      );
      if (!(difference <= TOLERANCE)) {
        console.error(`error: ${name} differs by ${difference} from what ONNX Runtime computes`);
        process.exitCode = 1;
      }
    }
  }
  if (values.json) await writeFile(values.json, `${JSON.stringify(run, null, 2)}\n`);
}

try {
  await bench.work({ options, peers }, receive);
} finally {
  await bench.close();
}

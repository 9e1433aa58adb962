// Tests of the report's arithmetic, and of the bytes of an ONNX model. Nothing is timed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "./onnx.js";
import {
  costsPlot,
  costsTable,
  digits,
  kindsTable,
  networksTable,
  peersTable,
  plot,
  processorTable,
  rowsTable,
  wholeTable,
} from "./tables.js";

const row = (name, uses, times) => ({
  name,
  kind: "conv",
  gflop: 2,
  gbyte: 0,
  uses,
  times,
  difference: 1e-6,
  failed: null,
});
const run = {
  machine: "m",
  commit: "c",
  time: 0,
  setting: {
    kernels: ["software", "reference"],
    peak: { oneChain: { gflops: 5 }, manyChains: { gflops: 10 } },
    networks: ["UNet", "VAE"],
    rows: 2,
  },
  rows: [
    row("a & b", [3, 0], { software: { seconds: 0.5 }, reference: { seconds: 2 } }),
    { ...row("b", [1, 1], {}), failed: "left out" },
  ],
  peers: [{ name: "p", row: "a & b", timing: { first: 5, seconds: 4 }, difference: 2e-6 }],
};

test("digits are three", () => {
  assert.deepEqual([0, 0.01234, 1.234, 12.34, 1234].map(digits), ["0", "0.0123", "1.23", "12.3", "1234"]);
});

test("rates, fractions and ratios", () => {
  const lines = rowsTable(run, "conv").split("\n");
  assert.equal(lines[2], "| a & b | 500 | 4.00 | 80 % | 40 % | 2000 | 0.250 | 1.0e-6 |");
  assert.match(lines[3], /^\| b \| left out \|/);
  assert.equal(peersTable(run).split("\n")[2], "| p | a & b | 500 | 5000 | 4000 | 0.125 | 2.0e-6 |");
});

test("a peer that computes something else has no ratio", () => {
  const wrong = { ...run, peers: [{ ...run.peers[0], difference: 0.35 }] };
  assert.equal(peersTable(wrong).split("\n")[2], "| p | a & b | 500 | 5000 | 4000 |  | 3.5e-1 |");
  assert.equal(plot(wrong).match(/height="6"/g)?.length, 2, "no bar");
});

test("a network with a row missing has no sum", () => {
  assert.equal(networksTable(run), "");
  const whole = { ...run, rows: [run.rows[0], row("b", [1, 1], { software: { seconds: 1 } })] };
  assert.match(networksTable(whole), /\| UNet \| 2\.50 \|  \|\n\| VAE \| 1\.00 \|  \|/);
  assert.equal(networksTable({ ...whole, setting: { ...run.setting, rows: 3 } }), "", "rows were filtered out");
});

test("whole networks are a line each", () => {
  const facts = {
    adapter: { name: "a", backend: "Vulkan" },
    kernels: "software",
    model: "SD 1.5",
    weights: "q8",
    activations: "f32",
    heap: { before: 0, peak: 3 << 20 },
  };
  const peak = { inUse: 5 << 20, reserved: 7 << 20 };
  const step = { pixels: 512, first: 9, seconds: [3, 1, 2], peak };
  const run = { pixels: 256, version: "fast", steps: 10, first: { seconds: 70 }, then: { seconds: 60 }, peak: null };
  const common = { machine: "m", load: 0.25, commit: "c", time: 86400 };
  const lines = wholeTable([
    { ...common, network: { ...facts, step } },
    { ...common, network: { ...facts, run } },
  ]).split("\n");
  const end = "a (Vulkan), software kernels | m | 0.3 | 1970-01-02 | c |";
  assert.equal(
    lines[2],
    `| SD 1.5, weights q8, activations f32, 512 px | step | 2.00 | first 9.00 | 5 | 7 | 3 | ${end}`,
  );
  assert.equal(
    lines[3],
    `| SD 1.5, weights q8, activations f32, 256 px | run, fast, 10 steps | 60.0 | first 70.0 |  |  | 3 | ${end}`,
  );
});

test("the costs of a run add up to it", () => {
  const then = {
    seconds: 50,
    phases: [
      ["encode-content", 2, {}],
      ["encode-style", 1, {}],
      ["warm-up", 2, {}],
      ["invert-content", 8, {}],
      ["invert-style", 11, {}],
      ["stylize", 12, {}],
      ["decode", 8, {}],
    ],
    calls: 30,
  };
  const run = { pixels: 256, version: "fast", steps: 10, first: { seconds: 55 }, then };
  const runs = [{ network: { adapter: { name: "a (b)", backend: "c" }, model: "SD 1.5", run } }];
  const [, , line] = costsTable(runs).split("\n");
  const cells = line.split(" | ").slice(2, 9);
  assert.deepEqual(cells, [
    "2.00 (4.0 %)",
    "19.0 (38.0 %)",
    "12.0 (24.0 %)",
    "3.00 (6.0 %)",
    "8.00 (16.0 %)",
    "6.00 (12.0 %)",
    "5.00 (10.0 %)",
  ]);
  const widths = [...costsPlot(runs).matchAll(/width="([0-9.]+)" height="22"/g)].map(([, width]) => Number(width));
  assert.equal(widths.length, 7);
  assert.ok(Math.abs(widths.reduce((all, width) => all + width) - 640) < 0.5, "the bar is as long as the first run");
});

test("the plot is well-formed and escapes names", () => {
  const svg = plot(run);
  assert.match(svg, /a &amp; b/);
  assert.equal(svg.match(/height="6"/g)?.length, 3, "ours, burn and the peer");
});

test("a model's bytes", () => {
  const graph = new Graph();
  const model = graph.finish(graph.node("Relu", [graph.input("x", [300])]), [300]);
  // ir_version 8, then both opsets: "" 17 and "com.microsoft" 1.
  assert.deepEqual([...model.slice(0, 8)], [8, 8, 0x42, 4, 0x0a, 0, 0x10, 17]);
  const relu = Buffer.from([0x0a, 13, 0x0a, 1, 0x78, 0x12, 2, 0x76, 0x30, 0x22, 4, ...Buffer.from("Relu")]);
  assert.ok(Buffer.from(model).includes(relu), "the node");
  // dim_value 300 is two bytes: 0xac 0x02.
  assert.ok(Buffer.from(model).includes(Buffer.from([0x0a, 3, 0x08, 0xac, 0x02])), "the dimension");
});

test("on the processor, ours is set beside PyTorch's, and q8 beside ours", () => {
  const medians = (ours, q8) => ({ medians: { ours, PyTorch: 2, ...(q8 && { "ours, q8": q8 }) } });
  const peak = (gib) => ({ peak: gib * 2 ** 30, system: gib / 100 });
  const processes = { ours: peak(3), PyTorch: peak(4), "ours, q8": peak(1) };
  const entry = { threads: 2, calls: { "unet 256": medians(1.5, 1.65) }, run: medians(1), processes, start: 0.071 };
  const lines = processorTable({ processor: [entry] })
    .split("\n")
    .slice(2);
  assert.deepEqual(lines, [
    "| unet 256 px | 2 | 2.00 | 1.50 | 0.75 | 1.65 | 1.10 |",
    "| whole run | 2 | 2.00 | 1.00 | 0.50 |  |  |",
    "| start to first step, s | 2 |  | 0.07 |  |  |  |",
    "| peak memory, GiB | 2 | 4.00 | 3.00 |  | 1.00 |  |",
    "| of the time, the system's | 2 | 4 % | 3 % |  | 1 % |  |",
  ]);
});

test("where our time goes: shares of a call, with what no kind has", () => {
  const kinds = { "unet 256": { attention: 0.25, norms: 0.5, whole: 2 }, "decode 256": { norms: 1, whole: 4 } };
  assert.deepEqual(kindsTable({ kinds }).split("\n").slice(2), [
    "| attention | 12.5 % | 0.0 % |",
    "| norms | 25.0 % | 25.0 % |",
    "| the rest: copies, additions, concatenations | 62.5 % | 75.0 % |",
    "| seconds | 2.00 | 4.00 |",
  ]);
});

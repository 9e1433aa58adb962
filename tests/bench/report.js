// Makes docs/bench/README.md, and a plot for each run, from the runs in docs/bench/*.json.

import { readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import {
  costsPlot,
  costsTable,
  day,
  kindsTable,
  networksTable,
  peersTable,
  plot,
  processorTable,
  rowsTable,
  table,
  wholeTable,
} from "./tables.js";

const folder = fileURLToPath(new URL("../../docs/bench", import.meta.url));
const KINDS = { block: "Blocks", conv: "Convolutions", linear: "Linear layers", attention: "Attention", norm: "Norms" };

const INTRODUCTION = `# Measured kernels

\`./dev bench report\` makes this page of the runs in this folder; do not edit it. \`./dev bench kernels\`, \`browser\`, \`step\`
and \`run\` make the runs, each with \`--json docs/bench/NAME.json\`.

Every operation of Stable Diffusion 1.5 and 2.1 at 512 px, batch 1, activations in f32. Times are medians after a first run;
what takes more than two seconds was measured once, and what takes more than thirty in its first run, only then. A block of ONNX
Runtime's is measured right after ours. "burn" is burn's own operation. A multiply-add counts as two operations; a convolution
counts as the products of its definition, whatever the kernel does. Norms are credited with reading their input once and
writing their output once. "difference" is the largest from burn's or ONNX Runtime's result, of its largest value.

Fractions are given of two peaks, both measured in the same run by kernels that only multiply and add in registers. In the first
each invocation has one chain of \`v = v·a + b\` on a vec4, where every step waits for the one before. In the second it has as many
independent chains as are fastest, which is what the units can do at best. Kernels with register tiles have many chains too, so
they can pass 100 % of the first. The aims of this project, 35 % of the peak on SwiftShader and 45 % on lavapipe, took simple
kernels for the peak, which found about 11 and 20 GFLOPS; a chain of single floats, tried apart, reaches 8.6 and 22 here. In the
plots bars are fractions of the second peak, and the dashed line is the first. Software adapters share the processor with
whatever else runs: "load" is how many other programs wanted it on average in the minute before a run.`;

const SHARED = `On software adapters whose subgroups have four or eight lanes, a workgroup is one subgroup, and each lane loads another row or
key and hands it to the others. These adapters take as long for a load that is the same for all lanes as for one that differs (72
cycles for a vec4 on lavapipe, about 100 on SwiftShader, measured by loops of nothing else). Both ways on lavapipe within one hour,
machine and peak (128 GFLOPS) as they were then:

| | one load for each lane | shared loads | ratio |
| --- | --- | --- | --- |
| call of the UNet, SD 1.5, q8, 512 px | 29.6 s | 16.1 s | 0.54 |
| call of the UNet, SD 1.5, q8, 768 px | 91.9 s | 51.7 s | 0.56 |
| block self-attention 4096 8x40 | 1031 ms | 470 ms | 0.46 |
| block transformer 4096 8x40 | 1529 ms | 785 ms | 0.51 |
| conv3x3 320-320 @64 | 138 ms | 109 ms | 0.79 |
| conv1x1 640-640 @32 | 31.4 ms | 17.5 ms | 0.56 |
| linear 320-320 x4096 | 37.8 ms | 19.5 ms | 0.52 |
| linear 320-2560 x4096 | 258 ms | 160 ms | 0.62 |
| linear 2560-640 x1024 | 117 ms | 64.9 ms | 0.55 |
| linear 1280-1280 x256 | 30.6 ms | 17.3 ms | 0.57 |

In Chromium on SwiftShader (subgroups of four), in turn, the peak being 44 GFLOPS then:

| | one load for each lane | shared loads | ratio |
| --- | --- | --- | --- |
| block self-attention 4096 8x40, 8 queries to a lane | 3660 ms | 2690 ms | 0.74 |
| the same, 16 queries, as from 2048 tokens on | 3660 ms | 2363 ms | 0.65 |
| linear 320-320 x4096 | 119 ms | 111 ms | 0.93 |
| linear 2560-640 x1024 | 446 ms | 422 ms | 0.95 |
| call of the UNet, SD 1.5, q8, 256 px | 29.6 s | 27.0 s | 0.91 |
| call of the UNet, SD 1.5, q8, 512 px | 110 s | 104 s | 0.95 |

Kernels there also hold every partial sum as a value of its own, since SwiftShader loads and stores variables at every use. Multiply-adds
whose operands come from memory reach 25 of its peak's 66 GFLOPS without any load, because every sum is stored under a mask once a turn of
its loop; so 35 % of the peak cannot be reached with loads beside them. Firefox has no subgroups. Real GPUs have other kernels, with tiles
in workgroup memory, and none was measured; which tiles is found out by a trial on each.`;

const WHOLE = `Stable Diffusion at its true size with weights by formula, batch 1 unless a run has room to invert both pictures at once.
A step is one call of the UNet: the first, which compiles the shaders, and the median of those after it. A run goes from two
pictures to the result, the model being loaded; there are two, of other pictures each, and the first compiles the shaders. "in use" are bytes of tensors on the GPU, "reserved" bytes of buffers, those
included that wait to be used again; both are the most that was seen between the networks' blocks, weights included. The heap is
what the program allocated itself at most, which on a software adapter leaves out the adapter's own memory, the GPU's.
\`./dev bench step\` and \`./dev bench run\` make them.`;

const COSTS = `The time of the second run, and what the first took longer. Inversions and reverse pass are calls of the UNet, and beside them
what keeps and gives features, the sampler and one number read back a step; before and after the phases pictures are fitted and the
result is read back. In Chromium there are 3 steps, a third of the usual calls, to be done in minutes, which makes the VAE's share
larger; from its reverse pass on the second run there shared the machine with a compiler (the first took 65 s for the reverse pass and 65 s
to decode).`;

const PROCESSOR = `Stable Diffusion 1.5 at its true size in f32, batch 1, and the demonstration model's whole run: 256 px, 20 steps of the version
\`diffusers\`, two files to a third, the program's start included. PyTorch runs diffusers' modules. Ours and theirs take turns; times are
medians. q8 is ours with weights kept as 8-bit integers. The first step begins when both pictures are read and the model is loaded.
\`./dev bench processor\` makes it.`;

const KINDS_OF_TIME = `Shares of one call on two threads, by kind of operation.`;

/** @param {string} name @param {any} run */
function section(name, run) {
  const { adapter, peak, wait, weights, kernels } = run.setting;
  const variants = peak.variants.map(
    (/** @type {any} */ { chains, fused, gflops }) => `${chains} ${fused ? "fma" : "a·b+c"} ${gflops.toFixed(1)}`,
  );
  const facts = [
    ["machine", run.machine],
    ["adapter", `${adapter.name || "unnamed"} (${run.browser ?? adapter.backend})`],
    ["load", run.load == null ? "unknown" : run.load.toFixed(1)],
    ["date", day(run)],
    ["commit", run.commit],
    ["ours", `${kernels[0]} kernels, weights ${weights}`],
    ["peak, one chain of vec4", `${peak.oneChain.gflops.toFixed(1)} GFLOPS`],
    ["peak, many chains", `${peak.manyChains.gflops.toFixed(1)} GFLOPS (${peak.manyChains.chains} chains)`],
    ["all that were tried", `chains of vec4, GFLOPS: ${variants.join(", ")}`],
    ...(Object.keys(adapter.tiles ?? {}).length
      ? [
          [
            "tiles that a trial chose",
            Object.entries(adapter.tiles)
              .map((pair) => pair.join(" "))
              .join(", "),
          ],
        ]
      : []),
    ["one readback, taken off", `${(1e3 * wait).toFixed(2)} ms`],
  ];
  const parts = [`## ${name}`, table(["", ""], facts)];
  if (run.peers.length) parts.push("### Against ONNX Runtime's WebGPU, in the same browser", peersTable(run));
  const networks = networksTable(run);
  if (networks) parts.push("### Operations added up", networks);
  if (run.rows.some((/** @type {any} */ row) => row.gflop)) parts.push(`![Fraction of the peak](${name}.svg)`);
  for (const [kind, title] of Object.entries(KINDS)) {
    if (run.rows.some((/** @type {any} */ row) => row.kind === kind)) parts.push(`### ${title}`, rowsTable(run, kind));
  }
  return parts.join("\n\n");
}

const sections = [INTRODUCTION];
const networks = [];
const processors = [];
let runs = 0;
for (const file of (await readdir(folder)).filter((file) => file.endsWith(".json")).sort()) {
  const run = JSON.parse(await readFile(path.join(folder, file), "utf8"));
  const name = path.basename(file, ".json");
  if (run.network) networks.push(run);
  if (run.processor) processors.push(run);
  if (!run.setting) continue; // it failed before it had a device
  await writeFile(path.join(folder, `${name}.svg`), plot(run));
  sections.push(section(name, run));
  runs += 1;
}
if (runs) sections.push("## Loads shared by the lanes of a subgroup", SHARED);
if (networks.length) sections.push("## Whole networks", WHOLE, wholeTable(networks));
const whole = networks.filter(({ network }) => network.run);
if (whole.length) {
  await writeFile(path.join(folder, "costs.svg"), costsPlot(whole));
  const heading = "### Where the time of a run goes";
  sections.push(heading, COSTS, costsTable(whole), "![Where the time of a run goes](costs.svg)");
}
for (const run of processors) {
  const facts = [
    ["machine", run.machine],
    ["load", run.load.toFixed(1)],
    ["date", day(run)],
    ["commit", run.commit],
  ];
  sections.push("## On the processor, beside PyTorch", PROCESSOR, table(["", ""], facts), processorTable(run));
  if (run.kinds) sections.push("### Where our time goes", KINDS_OF_TIME, kindsTable(run));
}
if (sections.length === 1) sections.push("Nothing has been measured since the kernels last changed.");
await writeFile(path.join(folder, "README.md"), `${sections.join("\n\n")}\n`);
console.log(
  `docs/bench/README.md: ${runs} runs over operations, ${networks.length} of whole networks, ${processors.length} on the processor`,
);

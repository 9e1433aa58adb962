// Figures of a run as Markdown, and as bars in an SVG.

import { TOLERANCE } from "./peers.js";

/** @typedef {{ name: string, kind: string, gflop: number, gbyte: number, uses: number[], times: Record<string, { seconds: number }>, difference: number | null, failed: string | null }} Row */
/** @typedef {{ machine: string, browser?: string, commit: string, time: number, setting: any, rows: Row[], peers: any[] }} Run */

/** Three significant digits, without an exponent. @param {number} value */
export function digits(value) {
  if (!value) return "0";
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(places, 6));
}

/** @param {string[]} heads @param {string[][]} rows */
export function table(heads, rows) {
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The name of our kernels in a run. @param {Run} run */
const ours = (run) => run.setting.kernels[0];

/** Whether a peer ran and computed the same as ours; others are not compared. @param {any} peer */
const agrees = (peer) => peer.timing && peer.difference <= TOLERANCE;

/** Seconds of the fastest peer of a row, or null. @param {Run} run @param {Row} row */
function peerSeconds(run, row) {
  const times = run.peers.filter((peer) => peer.row === row.name && agrees(peer)).map((peer) => peer.timing.seconds);
  return times.length ? Math.min(...times) : null;
}

/** Rate of a row: 10⁹ operations a second, or for norms 10⁹ bytes a second. @param {Row} row @param {number} seconds */
const rate = (row, seconds) => (row.gflop || row.gbyte) / seconds;

/**
 * Peaks in 10⁹ operations a second: with one chain of multiply-adds in an invocation, and with the best number of them.
 * @param {Run} run
 */
const peaks = ({ setting: { peak } }) => [peak.oneChain.gflops, peak.manyChains.gflops];

/** The rows of one kind. @param {Run} run @param {string} kind */
export function rowsTable(run, kind) {
  const rows = run.rows.filter((row) => row.kind === kind);
  const moves = kind === "norm";
  const unit = moves ? "GB/s" : "GFLOPS";
  const heads = [
    "",
    `ours, ms`,
    `ours, ${unit}`,
    ...(moves ? [] : ["of one chain's peak", "of many chains'"]),
    "burn, ms",
    "ours / burn",
    "difference",
  ];
  const body = rows.map((row) => {
    const [mine, stock] = [row.times[ours(run)], row.times.reference];
    if (!mine) return [row.name, row.failed ?? "", ...heads.slice(2).map(() => "")];
    const fractions = peaks(run).map((peak) => `${((100 * rate(row, mine.seconds)) / peak).toFixed(0)} %`);
    return [
      row.name,
      digits(1e3 * mine.seconds),
      digits(rate(row, mine.seconds)),
      ...(moves ? [] : fractions),
      stock ? digits(1e3 * stock.seconds) : "",
      stock ? digits(mine.seconds / stock.seconds) : "",
      row.difference == null ? "" : row.difference.toExponential(1),
    ];
  });
  return table(heads, body);
}

/** Ours against the peer, where both ran. @param {Run} run */
export function peersTable(run) {
  const body = run.peers.map((peer) => {
    const mine = run.rows.find((row) => row.name === peer.row)?.times[ours(run)];
    if (!peer.timing) return [peer.name, peer.row, "", "", "", peer.failed ?? "", ""];
    return [
      peer.name,
      peer.row,
      mine ? digits(1e3 * mine.seconds) : "",
      digits(1e3 * peer.timing.first),
      digits(1e3 * peer.timing.seconds),
      mine && agrees(peer) ? digits(mine.seconds / peer.timing.seconds) : "",
      peer.difference.toExponential(1),
    ];
  });
  return table(
    ["", "row", "ours, ms", "ONNX Runtime, first, ms", "then, ms", "ours / ONNX Runtime", "difference"],
    body,
  );
}

/**
 * Seconds of a call of each network: the sum of its operations. A network with rows missing has none.
 * @param {Run} run
 */
export function networksTable(run) {
  const sum = (/** @type {number} */ network, /** @type {string} */ kernels) => {
    const used = run.rows.filter((row) => row.uses[network] > 0);
    if (!used.length || used.some((row) => !row.times[kernels])) return "";
    return digits(used.reduce((total, row) => total + row.uses[network] * row.times[kernels].seconds, 0));
  };
  // Only a run over all rows can be added up.
  const complete = run.setting.rows === run.rows.length;
  const body = run.setting.networks.map((/** @type {string} */ name, /** @type {number} */ i) => [
    name,
    complete ? sum(i, ours(run)) : "",
    complete ? sum(i, "reference") : "",
  ]);
  return body.some((/** @type {string[]} */ [, a, b]) => a || b) ? table(["one call", "ours, s", "burn, s"], body) : "";
}

/** The date of a run. @param {{ time: number }} run */
export const day = (run) => new Date(1000 * run.time).toISOString().slice(0, 10);

const mib = (/** @type {number | undefined} */ bytes) => (bytes == null ? "" : (bytes / 2 ** 20).toFixed(0));

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Steps and runs of whole networks, one a line. @param {any[]} runs */
export function wholeTable(runs) {
  const body = runs.map(({ machine, load, commit, time, network }) => {
    const { adapter, kernels, model, weights, activations, heap, defaultLimits, likeBrowsers, step, run } = network;
    const notes = [
      [defaultLimits, "WebGPU's default limits"],
      [likeBrowsers, "a buffer for every tensor"],
    ];
    const limits = notes.map(([holds, note]) => (holds ? `, ${note}` : "")).join("");
    const { pixels, peak } = step ?? run;
    const seconds = step ? (step.seconds.length ? median(step.seconds) : step.first) : run.then.seconds;
    const parts = [["first", step ? step.first : run.first.seconds]];
    return [
      `${model}, weights ${weights}, activations ${activations}, ${pixels} px`,
      step ? "step" : `run, ${run.version}, ${run.steps} steps`,
      digits(seconds),
      parts.map((/** @type {[string, number]} */ [name, part]) => `${name} ${digits(part)}`).join(", "),
      mib(peak?.inUse),
      mib(peak?.reserved),
      mib(heap.peak),
      `${adapter.name} (${adapter.backend}), ${kernels} kernels${limits}`,
      machine,
      load == null ? "" : load.toFixed(1),
      day({ time }),
      commit,
    ];
  });
  return table(
    [
      "",
      "",
      "s",
      "of which, s",
      "GPU in use, MiB",
      "GPU reserved, MiB",
      "heap, MiB",
      "adapter",
      "machine",
      "load",
      "date",
      "commit",
    ],
    body,
  );
}

/** Where the time of a run goes, as names and seconds that add up to it. @param {any} run */
function costs({ first, then }) {
  const phases = new Map();
  for (const [phase, seconds] of then.phases) phases.set(phase, (phases.get(phase) ?? 0) + seconds);
  const sum = (/** @type {RegExp} */ of) =>
    [...phases].reduce((total, [phase, seconds]) => total + (of.test(phase) ? seconds : 0), 0);
  const all = [...phases.values()].reduce((total, seconds) => total + seconds, 0);
  return [
    ["first call with each size of batch", sum(/^warm/)],
    ["the rest of the inversions", sum(/^invert/)],
    ["the rest of the reverse pass", sum(/^stylize/)],
    ["VAE encoder", sum(/^encode/)],
    ["VAE decoder", sum(/^decode/)],
    ["before and after the phases", then.seconds - all],
    ["more in a first run: compiling", first.seconds - then.seconds],
  ];
}

const runName = (/** @type {any} */ { network: { adapter, model, run } }) =>
  `${model}, ${run.pixels} px, ${run.version}, ${run.steps} steps, ${adapter.name.split(" (")[0]} (${adapter.backend})`;

/** Where the time of whole runs goes. @param {any[]} runs */
export function costsTable(runs) {
  const body = runs.map((record) => {
    const { run } = record.network;
    const cells = costs(run).map(
      ([, seconds]) => `${digits(seconds)} (${((100 * seconds) / run.then.seconds).toFixed(1)} %)`,
    );
    return [runName(record), digits(run.then.seconds), ...cells, run.then.calls];
  });
  const names = runs.length ? costs(runs[0].network.run).map(([name]) => String(name)) : [];
  return table(["", "s", ...names, "calls of the UNet"], body);
}

/** The same as bars, each as long as the run. @param {any[]} runs */
export function costsPlot(runs) {
  const COLOURS = ["#56b4b4", "#3b82c4", "#8a63b8", "#e08a3c", "#d9c04a", "#8c959f", "#7fb069"];
  const [left, wide, high] = [10, 640, 22];
  const parts = [];
  const text = (/** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ body) =>
    parts.push(`<text x="${x.toFixed(1)}" y="${y}">${escaped(body)}</text>`);
  const names = runs.length ? costs(runs[0].network.run).map(([name]) => String(name)) : [];
  names.forEach((name, i) => {
    const [x, y] = [left + 330 * (i % 2), 8 + 18 * Math.floor(i / 2)];
    parts.push(`<rect x="${x}" y="${y}" width="10" height="10" fill="${COLOURS[i]}"/>`);
    text(x + 15, y + 9, name);
  });
  let y = 8 + 18 * Math.ceil(names.length / 2) + 20;
  for (const record of runs) {
    const { run } = record.network;
    text(left, y - 5, `${runName(record)}: ${digits(run.then.seconds)} s`);
    let x = left;
    const longest = Math.max(run.first.seconds, run.then.seconds);
    costs(run).forEach(([, seconds], i) => {
      const width = Math.max(0, (wide * Number(seconds)) / longest);
      parts.push(
        `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${high}" fill="${COLOURS[i]}"/>`,
      );
      x += width;
    });
    y += high + 28;
  }
  return svg(left + wide + 10, y - 10, "Where the time of whole runs goes", parts);
}

/**
 * Calls of networks on the processor beside PyTorch, and whole runs, one line for each number of threads.
 * @param {any} run
 */
export function processorTable(run) {
  const seconds = (/** @type {number | undefined} */ value, /** @type {number} */ theirs) =>
    value == null ? ["", ""] : [digits(value), (value / theirs).toFixed(2)];
  const line = (
    /** @type {string} */ name,
    /** @type {number} */ threads,
    /** @type {Record<string, number>} */ medians,
  ) => [
    name,
    threads,
    digits(medians.PyTorch),
    ...seconds(medians.ours, medians.PyTorch),
    ...seconds(medians["ours, q8"], medians.ours),
  ];
  const body = run.processor.flatMap((/** @type {any} */ { threads, calls, processes, run: whole, start }) => {
    const system = (/** @type {string} */ name) => `${Math.round(100 * processes[name].system)} %`;
    const gib = (/** @type {string} */ name) => (processes[name].peak / 2 ** 30).toFixed(2);
    return [
      ...Object.entries(calls).map(([name, call]) => line(`${name} px`, threads, call.medians)),
      line("whole run", threads, whole.medians),
      ["start to first step, s", threads, "", start.toFixed(2), "", "", ""],
      ["peak memory, GiB", threads, gib("PyTorch"), gib("ours"), "", gib("ours, q8"), ""],
      ["of the time, the system's", threads, system("PyTorch"), system("ours"), "", system("ours, q8"), ""],
    ];
  });
  return table(["", "threads", "PyTorch, s", "ours, s", "ours / PyTorch", "ours, q8, s", "q8 / ours"], body);
}

/** Where our time goes on the processor: shares of each call by kind of operation. @param {any} run */
export function kindsTable(run) {
  const calls = Object.entries(run.kinds);
  const kinds = [...new Set(calls.flatMap(([, seconds]) => Object.keys(seconds)))].filter((kind) => kind !== "whole");
  const share = (/** @type {any} */ seconds, /** @type {number} */ part) =>
    `${((100 * part) / seconds.whole).toFixed(1)} %`;
  const rest = (/** @type {any} */ seconds) => kinds.reduce((left, kind) => left - (seconds[kind] ?? 0), seconds.whole);
  return table(
    ["", ...calls.map(([name]) => `${name} px`)],
    [
      ...kinds.map((kind) => [kind, ...calls.map(([, seconds]) => share(seconds, seconds[kind] ?? 0))]),
      ["the rest: copies, additions, concatenations", ...calls.map(([, seconds]) => share(seconds, rest(seconds)))],
      ["seconds", ...calls.map(([, seconds]) => digits(seconds.whole))],
    ],
  );
}

const escaped = (/** @type {string} */ text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** A picture for light and dark pages. @param {number} width @param {number} height @param {string} title @param {string[]} parts */
const svg = (
  width,
  height,
  title,
  parts,
) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<title>${title}</title>
<style>
text { font: 11px system-ui, sans-serif; fill: #24292f; }
line { stroke: #8c959f; stroke-opacity: 0.4; }
.simple { stroke: #c0392b; stroke-opacity: 1; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) { text { fill: #d1d7de; } }
</style>
${parts.join("\n")}
</svg>
`;

const SERIES = [
  ["ours", "#3b82c4"],
  ["burn", "#e08a3c"],
  ["ONNX Runtime", "#8a63b8"],
];
const LEFT = 270;
const WIDE = 420;
const BAR = 7;

/** Fractions of many chains' peak as bars, one chain's as a dashed line, light and dark. @param {Run} run */
export function plot(run) {
  const rows = run.rows.filter((row) => row.gflop > 0.15 && row.times[ours(run)]);
  const [simple, peak] = peaks(run);
  const values = rows.map((row) =>
    [row.times[ours(run)]?.seconds, row.times.reference?.seconds, peerSeconds(run, row)].map((seconds) =>
      seconds ? rate(row, seconds) / peak : null,
    ),
  );
  // Winograd needs fewer operations than are counted, so a fraction may be above 1.
  const most = Math.max(0.1, Math.ceil(10 * Math.max(0, ...values.flat().map((value) => value ?? 0))) / 10);
  const parts = [];
  let y = 40;
  const text = (/** @type {number} */ x, /** @type {number} */ at, /** @type {string} */ body, anchor = "start") =>
    parts.push(`<text x="${x}" y="${at}" text-anchor="${anchor}">${escaped(body)}</text>`);
  SERIES.forEach(([name, colour], i) => {
    parts.push(`<rect x="${LEFT + 130 * i}" y="8" width="10" height="10" fill="${colour}"/>`);
    text(LEFT + 130 * i + 15, 17, name);
  });
  rows.forEach((row, i) => {
    const bars = values[i].flatMap((value, series) => (value == null ? [] : [{ value, colour: SERIES[series][1] }]));
    text(LEFT - 8, y + (bars.length * BAR) / 2 + 4, row.name, "end");
    for (const { value, colour } of bars) {
      parts.push(
        `<rect x="${LEFT}" y="${y}" width="${((WIDE * value) / most).toFixed(1)}" height="${BAR - 1}" fill="${colour}"/>`,
      );
      y += BAR;
    }
    y += 6;
  });
  for (let i = 0; i <= 4; i++) {
    const x = LEFT + (WIDE * i) / 4;
    parts.unshift(`<line x1="${x}" x2="${x}" y1="30" y2="${y}"/>`);
    text(x, y + 14, `${digits((100 * most * i) / 4)} %`, "middle");
  }
  const x = (LEFT + (WIDE * simple) / peak / most).toFixed(1);
  if (simple <= most * peak) parts.unshift(`<line class="simple" x1="${x}" x2="${x}" y1="24" y2="${y}"/>`);
  const title = `Fraction of the adapter's peak of ${digits(peak)} GFLOPS (many chains); dashed: ${digits(simple)} GFLOPS (one chain)`;
  return svg(LEFT + WIDE + 40, y + 24, title, parts);
}

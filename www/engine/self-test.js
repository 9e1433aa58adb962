// The results of the device's kernel test in words: for the user, and for a bug report.

/**
 * @typedef {import("../styleid.js").Adapter} Adapter
 * @typedef {import("../styleid.js").KernelTest} KernelTest
 */

/** No further kernel is started after this many seconds. */
export const SECONDS = 10;

/**
 * Which family of kernels a device runs, and in which precisions.
 * @param {Pick<Adapter, "kernels" | "shaderF16"> & Partial<Pick<Adapter, "tiles">>} adapter
 */
export function choiceOf({ kernels, shaderF16, tiles = {} }) {
  if (kernels === "processor")
    return "processor, with vector instructions, 3x3 convolutions by Winograd's algorithm; in f32 only";
  const chosen = Object.entries(tiles).map(([shapes, tile]) => `${shapes} ${tile}`);
  const family =
    kernels === "hardware"
      ? `hardware, in tiles of workgroup memory${chosen.length ? ` (${chosen.join(", ")})` : ""}`
      : "software, in tiles of registers, 3x3 convolutions by Winograd's algorithm";
  return `${family}; in f32${shaderF16 ? ", or f16 for the UNet" : " only"}`;
}

/** @param {KernelTest} kernel */
const fullName = ({ precision, name }) => `${precision} ${name}`;

/** @param {number} value to three digits, without an exponent */
const rounded = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** A kernel's result in one line. @param {KernelTest} kernel */
export function lineOf(kernel) {
  const { verdict, difference, gflops, gigabytes } = kernel;
  const name = fullName(kernel);
  if (verdict === "failed") return `${name}: FAILED`;
  if (verdict === "skipped") return `${name}: not run`;
  const speed =
    gflops === null ? (gigabytes === null ? "" : `${rounded(gigabytes)} GB/s`) : `${rounded(gflops)} GFLOPS`;
  const far =
    difference !== null && Number.isFinite(difference)
      ? `largest difference ${difference.toPrecision(2)} of the largest value`
      : "a result that is no number";
  const word = verdict === "right" ? "ok" : `WRONG (${far})`;
  return `${name}: ${[word, speed].filter(Boolean).join(", ")}`;
}

/**
 * The summary for the user.
 * @param {KernelTest[]} kernels tested or skipped ones @param {string} [device] "GPU" or "processor"
 */
export function sentenceOf(kernels, device = "GPU") {
  const tested = kernels.filter(({ verdict }) => verdict === "right" || verdict === "wrong");
  const wrong = tested.filter(({ verdict }) => verdict === "wrong");
  if (tested.length === 0) return `No kernel of this ${device} could be tested.`;
  if (wrong.length > 0) {
    const names = wrong.map(fullName).join("; ");
    return `This ${device} gets ${wrong.length} of ${tested.length} kernels wrong: ${names}, so results here may be wrong; please report this.`;
  }
  if (tested.length === kernels.length) return `This ${device} computes everything right.`;
  return `This ${device} computes right all that was tested, ${tested.length} of ${kernels.length} kernels.`;
}

/**
 * As {@link sentenceOf}, for a test that ended early.
 * @param {KernelTest[]} kernels @param {string} why a sentence @param {string} [device]
 */
export function sentenceOfEnd(kernels, why, device) {
  if (kernels.length === 0) return why;
  const last = kernels.at(-1);
  const where = last?.verdict === "failed" ? `at ${fullName(last)}` : "early";
  const known = kernels.some(({ verdict }) => verdict === "wrong") ? ` ${sentenceOf(kernels, device)}` : "";
  return `The test ended ${where}: ${why}${known}`;
}

/** The device in such sentences. @param {{ isProcessor: boolean }} engine */
export const testedDevice = ({ isProcessor }) => (isProcessor ? "processor" : "GPU");

/**
 * The whole test as lines for a bug report, `sentence` last.
 * @param {KernelTest[]} kernels @param {string} sentence @param {number | null} [seconds] the test's duration
 * @param {string} [device]
 */
export function textOf(kernels, sentence, seconds = null, device = "GPU") {
  const run = kernels.filter(({ verdict }) => verdict !== "skipped");
  const skipped = kernels.filter(({ verdict }) => verdict === "skipped").map(fullName);
  return [
    `${device === "GPU" ? device : "Processor"} test: ${run.length} of ${kernels.length} kernels${seconds === null ? "" : ` in ${seconds.toFixed(1)} s`}`,
    ...run.map(lineOf),
    ...(skipped.length > 0 ? [`Not run, as the time was over: ${skipped.join("; ")}`] : []),
    sentence,
  ].join("\n");
}

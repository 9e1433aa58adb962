// The test of this GPU's kernels against known values, in words: for a person, and for a bug report.

/**
 * @typedef {import("../styleid.js").Adapter} Adapter
 * @typedef {import("../styleid.js").KernelTest} KernelTest
 */

/** After so many seconds no kernel is begun any more. */
export const SECONDS = 10;

/** Which kernels run on a GPU, and in what they may compute. @param {Pick<Adapter, "kernels" | "shaderF16">} adapter */
export function choiceOf({ kernels, shaderF16 }) {
  const family =
    kernels === "hardware"
      ? "hardware, in tiles of workgroup memory"
      : "software, in tiles of registers, 3x3 convolutions by Winograd's algorithm";
  return `${family}; in f32${shaderF16 ? ", or f16 for the UNet" : " only"}`;
}

/** @param {KernelTest} kernel */
const fullName = ({ precision, name }) => `${precision} ${name}`;

/** @param {number} value to three digits, without an exponent */
const rounded = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** What came of a kernel, in a line. @param {KernelTest} kernel */
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

/** What a person is told in the end. @param {KernelTest[]} kernels what was tested, or should have been */
export function sentenceOf(kernels) {
  const tested = kernels.filter(({ verdict }) => verdict === "right" || verdict === "wrong");
  const wrong = tested.filter(({ verdict }) => verdict === "wrong");
  if (tested.length === 0) return "No kernel of this GPU could be tested.";
  if (wrong.length > 0) {
    const names = wrong.map(fullName).join("; ");
    return `This GPU gets ${wrong.length} of ${tested.length} kernels wrong: ${names}, so results here may be wrong; please report this.`;
  }
  if (tested.length === kernels.length) return "This GPU computes everything right.";
  return `This GPU computes right all that was tested, ${tested.length} of ${kernels.length} kernels.`;
}

/** As {@link sentenceOf}, for a test that ended before its time. @param {KernelTest[]} kernels @param {string} why a sentence */
export function sentenceOfEnd(kernels, why) {
  if (kernels.length === 0) return why;
  const last = kernels.at(-1);
  const where = last?.verdict === "failed" ? `at ${fullName(last)}` : "early";
  const known = kernels.some(({ verdict }) => verdict === "wrong") ? ` ${sentenceOf(kernels)}` : "";
  return `The test ended ${where}: ${why}${known}`;
}

/**
 * Everything as lines for a bug report, `sentence` last.
 * @param {KernelTest[]} kernels @param {string} sentence @param {number | null} [seconds] that it took
 */
export function textOf(kernels, sentence, seconds = null) {
  const run = kernels.filter(({ verdict }) => verdict !== "skipped");
  const skipped = kernels.filter(({ verdict }) => verdict === "skipped").map(fullName);
  return [
    `GPU test: ${run.length} of ${kernels.length} kernels${seconds === null ? "" : ` in ${seconds.toFixed(1)} s`}`,
    ...run.map(lineOf),
    ...(skipped.length > 0 ? [`Not run, as the time was over: ${skipped.join("; ")}`] : []),
    sentence,
  ].join("\n");
}

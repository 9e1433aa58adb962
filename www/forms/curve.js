// Schedules of a parameter over the steps of a run: their values, and a small plot.

/** @typedef {import("../styleid.js").Curve} Curve @typedef {Curve["curve"]} CurveName */

/**
 * Fraction of the way from start to end at `a` from 0 to 1 (Kulkarni 2026).
 * @type {Record<CurveName, (a: number) => number>}
 */
const WAYS = {
  constant: () => 0,
  linear: (a) => a,
  cosine: (a) => (1 - Math.cos(Math.PI * a)) / 2,
  sqrt: Math.sqrt,
  quadratic: (a) => a * a,
  exponential: (a) => Math.expm1(a) / Math.expm1(1),
};

/** Names for a select. @type {Record<CurveName, string>} */
export const CURVE_NAMES = {
  constant: "constant",
  linear: "linear",
  cosine: "cosine",
  sqrt: "square root",
  quadratic: "quadratic",
  exponential: "exponential",
};

/**
 * The value at a point of the run.
 * @param {CurveName} curve @param {number} start @param {number} end @param {number} a from 0 (first step) to 1 (last step)
 */
export const curveValue = (curve, start, end, a) => start + (end - start) * WAYS[curve](a);

/**
 * The value at every step; a run of one step has the start value.
 * @param {Curve | null} curve null = constant @param {number} start @param {number[]} ways each step's progress
 *   (`waysOf`)
 */
export function curvePoints(curve, start, ways) {
  const { curve: name, end } = curve ?? { curve: /** @type {const} */ ("constant"), end: start };
  return ways.map((way) => curveValue(name, start, end, way));
}

const WIDTH = 240;
const HEIGHT = 72;
const MARGIN = { left: 38, right: 38, top: 10, bottom: 10 };

/** At most three decimals, without trailing zeros. @param {number} value */
const short = (value) => String(Number(value.toFixed(3)));

/**
 * Plots the values of all steps into an SVG element, with a marker per step.
 * @param {SVGSVGElement} svg its content is replaced
 * @param {{ points: number[], name?: string, range?: [number, number] }} drawing `points`: the value at each step;
 *   `name`: for the text alternative ("γ"); `range`: the minimum extent of the axis
 */
export function drawCurve(svg, { points, name = "Value", range }) {
  const values = points.length ? points : [0];
  const [start, end] = [values[0], values[values.length - 1]];
  let low = Math.min(...values, ...(range ?? []));
  let high = Math.max(...values, ...(range ?? []));
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5]; // a constant is drawn through the middle
  const x = (/** @type {number} */ i) =>
    MARGIN.left + ((WIDTH - MARGIN.left - MARGIN.right) * i) / Math.max(1, values.length - 1);
  const y = (/** @type {number} */ value) =>
    HEIGHT - MARGIN.bottom - ((HEIGHT - MARGIN.top - MARGIN.bottom) * (value - low)) / (high - low);
  const place = (/** @type {number} */ value, /** @type {number} */ i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`;

  const isLevel = values.every((value) => Math.abs(value - start) < 1e-9);
  const steps = `${values.length} step${values.length === 1 ? "" : "s"}`;
  const text = isLevel
    ? `${name} is ${short(start)} at ${values.length === 1 ? "the one step" : `all ${steps}`}`
    : `${name} goes from ${short(start)} to ${short(end)} over ${steps}`;
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", text);
  svg.classList.add("curve-drawing");
  // Straight lines between steps, because there are no values in between. A single step is drawn as a horizontal line.
  const line =
    values.length > 1 ? values.map(place) : [place(start, 0), `${WIDTH - MARGIN.right},${y(start).toFixed(1)}`];
  // With many steps, only as many markers as can be distinguished.
  const every = Math.ceil(values.length / 60);
  const marked = values.map((value, i) => ({ value, i })).filter(({ i }) => i % every === 0 || i === values.length - 1);
  svg.replaceChildren(
    shape("line", { class: "curve-axis", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y(low), y2: y(low) }),
    shape("polyline", { class: "curve-line", points: line.join(" ") }),
    ...marked.map(({ value, i }) =>
      shape("circle", { class: "curve-step", cx: x(i), cy: y(value), r: marked.length > 30 ? 1.2 : 2 }),
    ),
    shape("text", { class: "curve-text", x: MARGIN.left - 6, y: y(start) + 4, "text-anchor": "end" }, short(start)),
    ...(isLevel
      ? []
      : [shape("text", { class: "curve-text", x: WIDTH - MARGIN.right + 6, y: y(end) + 4 }, short(end))]),
  );
}

/** @param {string} tag @param {Record<string, string | number>} attributes @param {string} [text] */
function shape(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.textContent = text;
  return element;
}

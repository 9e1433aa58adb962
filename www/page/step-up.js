// From the demonstration model to one that paints for real: which, and the sentence that offers it.

import { formatBytes } from "../shared/format.js";

/** @typedef {import("../engine/models.js").Model} Model */

/** Whether a model is there to show the method, not to paint for real. @param {Model} model */
export const isSmall = ({ place, parameters, bytes }) =>
  place === "page" && parameters === undefined && (bytes ?? Infinity) < 50e6;

/**
 * The model to go on to after a picture by a small one.
 * @param {Model[]} models @param {Model | null} suited the one that suits this computer
 * @returns {Model | null} the first full one of the list where none suits, as a person may not mind to wait
 */
export function stepUp(models, suited) {
  if (suited && !isSmall(suited)) return suited;
  return models.find(({ id }) => id === "sd15-q8") ?? null;
}

/** @param {Model} model @param {string} time that a picture takes, in words; empty where nobody knows @param {boolean} isKept */
export function stepUpSentence({ name, bytes }, time, isKept) {
  const what = name.replace(/, \d+ bits$/, "");
  const costs = [
    isKept ? "on this device already" : bytes === null ? "" : `${formatBytes(bytes)} once`,
    time && `${time} a picture here`,
  ].filter(Boolean);
  return `${what} paints it for real: ${costs.join(", ")}.`;
}

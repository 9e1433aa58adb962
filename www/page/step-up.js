// The step from the demonstration model to a full one: which model, and the sentence that offers it.

import { isSmall } from "../engine/models.js";
import { formatBytes } from "../shared/format.js";

/** @typedef {import("../engine/models.js").Model} Model */

/**
 * The model to offer after a picture by the demonstration model.
 * @param {Model[]} models @param {Model | null} suited the one that suits this computer
 * @returns {Model | null} `suited`, or else `sd15-q8`, because the user may not mind waiting
 */
export function stepUp(models, suited) {
  if (suited && !isSmall(suited)) return suited;
  return models.find(({ id }) => id === "sd15-q8") ?? null;
}

/** @param {Model} model @param {string} time per picture in words, empty if unknown @param {boolean} isKept */
export function stepUpSentence({ name, bytes }, time, isKept) {
  const what = name.replace(/, \d+ bits$/, "");
  const costs = [
    isKept ? "on this device already" : bytes === null ? "" : `${formatBytes(bytes)} once`,
    time && `${time} a picture here`,
  ].filter(Boolean);
  return `${what} paints it for real: ${costs.join(", ")}.`;
}

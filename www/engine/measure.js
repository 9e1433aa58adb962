// Measures results. The weights of LPIPS are a file of this site, fetched when the first result is measured.

import { EngineError } from "./engine.js";

/**
 * @typedef {import("../styleid.js").Measures} Measures
 * @typedef {import("../styleid.js").Request} Request
 */

const ADDRESS = new URL("../metrics/lpips-alex-f16.safetensors", import.meta.url);

/** @type {Promise<Uint8Array> | null} */
let weights = null;

async function fetchWeights() {
  try {
    const response = await fetch(ADDRESS);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new EngineError(
      "model",
      `LPIPS's weights could not be fetched (${why}): check the connection and try again.`,
    );
  }
}

/**
 * @param {import("./engine.js").Engine} engine @param {Request} request the pictures that the result was made from
 * @param {Uint8Array} result a picture's file @param {{ signal?: AbortSignal }} [options] @returns {Promise<Measures>}
 */
export async function measure(engine, request, result, options = {}) {
  try {
    return await engine.measure(request, result, await (weights ??= fetchWeights()), options);
  } catch (error) {
    // The weights did not arrive, or are damaged: fetch them again next time.
    if (error instanceof EngineError && error.kind === "model") weights = null;
    throw error;
  }
}

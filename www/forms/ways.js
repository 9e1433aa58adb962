// The position of each step of a run on its parameter curves: 0 at the first, 1 at the last.

// Stable Diffusion's training schedule, and the grid of `fast` over it (crate/src/diffusion/levels.rs).
const TRAINED = 1000;
const BETAS = [0.00085, 0.012].map(Math.sqrt);
const NOISIEST = 951;
const RHO = 7;

/** ln σ at each training timestep. */
function logSigmas() {
  let alpha = 1;
  return Array.from({ length: TRAINED }, (_, t) => {
    alpha *= 1 - (BETAS[0] + ((BETAS[1] - BETAS[0]) * t) / (TRAINED - 1)) ** 2;
    return Math.log((1 - alpha) / alpha) / 2;
  });
}

/** The fractional training timestep of a noise level. @param {number} log ln σ @param {number[]} logs */
function timestepOf(log, logs) {
  const after = logs.findIndex((at) => at > log);
  return after < 1 ? 0 : after - 1 + (log - logs[after - 1]) / (logs[after] - logs[after - 1]);
}

/**
 * Steps are evenly spaced in timesteps, except for `fast`, which uses the Karras schedule of noise levels.
 * @param {string} preset @param {number} steps
 * @returns {number[]}
 */
export function waysOf(preset, steps) {
  const even = Array.from({ length: steps }, (_, i) => (steps > 1 ? i / (steps - 1) : 0));
  if (preset !== "fast" || steps < 2) return even;
  const logs = logSigmas();
  const [least, most] = [logs[0], logs[NOISIEST]].map((log) => Math.exp(log / RHO));
  const timesteps = even.map((way) => timestepOf(Math.log(most + way * (least - most)) * RHO, logs));
  return timesteps.map((timestep, i) => (i + 1 === steps ? 1 : (timesteps[0] - timestep) / timesteps[0]));
}

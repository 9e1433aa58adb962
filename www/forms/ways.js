// How far each step of a run is along its curves: 0 at the first, 1 at the last.

// Stable Diffusion's schedule of training, and the grid of `fast` over it (crate/src/diffusion/levels.rs).
const TRAINED = 1000;
const BETAS = [0.00085, 0.012].map(Math.sqrt);
const NOISIEST = 951;
const RHO = 7;

/** ln σ at each trained timestep. */
function logSigmas() {
  let alpha = 1;
  return Array.from({ length: TRAINED }, (_, t) => {
    alpha *= 1 - (BETAS[0] + ((BETAS[1] - BETAS[0]) * t) / (TRAINED - 1)) ** 2;
    return Math.log((1 - alpha) / alpha) / 2;
  });
}

/** Where a noise lies among trained timesteps. @param {number} log ln σ @param {number[]} logs */
function timestepOf(log, logs) {
  const after = logs.findIndex((at) => at > log);
  return after < 1 ? 0 : after - 1 + (log - logs[after - 1]) / (logs[after] - logs[after - 1]);
}

/**
 * The steps of a version are even in timesteps, but those of `fast` are on Karras' grid of noise levels.
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

// Measures our rows, then the peers, in one worker; every result is posted as it comes.

import init, { benchInput, benchOpen, benchOperations, benchOutput, benchWeight } from "./styleid.js";
import { runPeer } from "./peer.js";
import { PEERS } from "./peers.js";

/** Largest difference, of the largest value of `theirs`. */
function difference(ours, theirs) {
  if (ours.length !== theirs.length) return Infinity;
  let [most, scale] = [0, 0];
  for (let i = 0; i < ours.length; i++) {
    most = Math.max(most, Math.abs(ours[i] - theirs[i]));
    scale = Math.max(scale, Math.abs(theirs[i]));
  }
  return most / scale;
}

onmessage = async ({ data: { options, peers } }) => {
  try {
    await init();
    postMessage({ setting: await benchOpen(options) });
    await benchOperations((row) => postMessage({ row }));
    for (const name of peers) {
      const { row, build } = PEERS[name];
      try {
        const { timing, output } = await runPeer(build(benchWeight, benchInput));
        postMessage({ peer: { name, row, timing, difference: difference(await benchOutput(row), output) } });
      } catch (error) {
        postMessage({ peer: { name, row, failed: String(error) } });
      }
    }
    postMessage({ done: true });
  } catch (error) {
    postMessage({ error: String(error) });
  }
};

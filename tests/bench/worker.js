// Measures our rows and their peers in one worker, or a whole network; every result is posted as it comes.

import init, { benchInput, benchNetwork, benchOpen, benchOutput, benchRow, benchRows, benchWeight } from "./styleid.js";
import { runPeer } from "./peer.js";
import { PEERS } from "./peers.js";

/** The largest difference, relative to the largest value of `theirs`. */
function difference(ours, theirs) {
  if (ours.length !== theirs.length) return Infinity;
  let [most, scale] = [0, 0];
  for (let i = 0; i < ours.length; i++) {
    most = Math.max(most, Math.abs(ours[i] - theirs[i]));
    scale = Math.max(scale, Math.abs(theirs[i]));
  }
  return most / scale;
}

onmessage = async ({ data: { network, options, peers } }) => {
  try {
    const { memory } = await init();
    if (network) {
      const figures = await benchNetwork(network, (/** @type {string} */ progress) => postMessage({ progress }));
      // A wasm's memory never shrinks, so this is the most that it was.
      postMessage({ network: { ...figures, heap: { before: 0, peak: memory.buffer.byteLength } } });
      postMessage({ done: true });
      return;
    }
    postMessage({ setting: await benchOpen(options) });
    // A peer comes right after its row, so that both see the same machine.
    for (const name of benchRows()) {
      postMessage({ row: await benchRow(name) });
      for (const peer of peers.filter((peer) => PEERS[peer].row === name)) {
        try {
          const { timing, output } = await runPeer(PEERS[peer].build(benchWeight, benchInput), (first) =>
            postMessage({ peer, first }),
          );
          postMessage({
            peer: { name: peer, row: name, timing, difference: difference(await benchOutput(name), output) },
          });
        } catch (error) {
          postMessage({ peer: { name: peer, row: name, failed: String(error) } });
        }
      }
    }
    postMessage({ done: true });
  } catch (error) {
    postMessage({ error: String(error) });
  }
};

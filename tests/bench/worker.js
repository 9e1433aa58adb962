// Measures our rows and their peers in one worker; every result is posted as it comes.

import init, { benchInput, benchOpen, benchOutput, benchRow, benchRows, benchWeight } from "./styleid.js";
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

onmessage = async ({ data: { options, peers } }) => {
  try {
    await init();
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

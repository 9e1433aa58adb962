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

/** What the browser says of its adapter: wgpu passes neither the name nor that it is the processor. */
async function describeAdapter() {
  const info = (await navigator.gpu?.requestAdapter())?.info;
  const name = [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(" ");
  return { name, software: info?.isFallbackAdapter || /swiftshader|llvmpipe/i.test(name) };
}

onmessage = async ({ data: { options, peers } }) => {
  try {
    await init();
    const { name, software } = await describeAdapter();
    if (software) {
      if (!options.kernels.length) options.kernels = ["software", "reference"];
      options.mostGflop ??= 40;
    }
    const setting = await benchOpen(options);
    Object.assign(setting.adapter, {
      name: setting.adapter.name || name,
      software: setting.adapter.software || software,
    });
    postMessage({ setting });
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

// Runs a peer's graph in onnxruntime-web on WebGPU, timed as our rows are: a first run, a second, then batches if it is
// short.

import * as ort from "./ort/ort.webgpu.min.mjs";

/** A graph whose second run takes more than this many seconds is not run again. */
const LONG = 2;
/** Short runs are batched so that a batch takes about this many seconds, including the wait for the device. */
const BATCH_SECONDS = 0.1;
const BATCH_MOST = 64;
const REPETITIONS = 5;

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = 1;

const seconds = () => performance.now() / 1000;

/**
 * @param {{ model: Uint8Array, feeds: Record<string, [Float32Array, number[]]> }} graph
 * @param {(seconds: number) => void} onFirst hears how long the first run took, as soon as it is over
 * @returns {Promise<{ timing: object, output: Float32Array }>}
 */
export async function runPeer({ model, feeds }, onFirst) {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["webgpu"],
    preferredOutputLocation: { y: "gpu-buffer", probe: "cpu" },
  });
  const device = await ort.env.webgpu.device;
  const buffers = [];
  const inputs = {};
  for (const [name, [values, dims]] of Object.entries(feeds)) {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ size: Math.ceil(values.byteLength / 16) * 16, usage });
    device.queue.writeBuffer(buffer, 0, values);
    buffers.push(buffer);
    inputs[name] = ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims });
  }
  let last;
  // "y" stays on the GPU. The last run also gives "probe": one number that is read back after all queued work.
  const batch = async (runs) => {
    const begun = seconds();
    for (let run = 1; run < runs; run++) (await session.run(inputs, ["y"])).y.dispose();
    last?.dispose();
    last = (await session.run(inputs, ["y", "probe"])).y;
    return (seconds() - begun) / runs;
  };
  try {
    const first = await batch(1);
    onFirst(first);
    const second = await batch(1);
    const timing = { seconds: second, first, second, repetitions: 1, batch: 1 };
    if (second <= LONG) {
      timing.batch = Math.min(BATCH_MOST, Math.ceil(BATCH_SECONDS / second));
      const each = [];
      for (let i = 0; i < REPETITIONS; i++) each.push(await batch(timing.batch));
      timing.repetitions = REPETITIONS;
      timing.seconds = each.sort((a, b) => a - b)[REPETITIONS >> 1];
    }
    return { timing, output: Float32Array.from(await last.getData()) };
  } finally {
    last?.dispose();
    await session.release();
    for (const buffer of buffers) buffer.destroy();
  }
}

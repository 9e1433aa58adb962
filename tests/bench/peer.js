// Runs a peer's graph in onnxruntime-web on WebGPU, timed as our rows are: first run, then a second, then batches if it is short.

import * as ort from "./ort/ort.webgpu.min.mjs";

/** What takes this many seconds is measured once. */
const LONG = 2;
/** Short runs are batched until a batch takes about this long: waiting for the device is part of it. */
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
  // "y" stays on the GPU; asked for "probe" too, one number is read back, after all that was queued before it.
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

// What this browser can compute on: a GPU through WebGPU, or the processor through WebAssembly's vector instructions.

/**
 * @typedef {{ vendor?: string, architecture?: string, device?: string, description?: string,
 *   isFallbackAdapter?: boolean }} AdapterInfo
 * @typedef {{ info: AdapterInfo, features: Iterable<string>, limits: Record<string, number>,
 *   isFallbackAdapter?: boolean }} GpuAdapter
 * @typedef {{ requestAdapter: (options?: object) => Promise<GpuAdapter | null> }} Gpu
 * @typedef {"gpu" | "cpu"} Device
 * @typedef {Device | "auto"} DeviceChoice "auto" is the GPU, but the processor where there is none or only an emulated one
 */

/** @type {DeviceChoice[]} */
export const DEVICE_CHOICES = ["auto", "gpu", "cpu"];

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render|warp/i;

/** WebGPU, in a page or a worker that has it. @returns {Gpu | undefined} */
export const webGpu = () => /** @type {{ gpu?: Gpu }} */ (navigator).gpu;

/** Requests the adapter with the program's options. @param {Gpu | undefined} gpu @returns {Promise<GpuAdapter | null>} */
export async function firstAdapter(gpu) {
  try {
    return (await gpu?.requestAdapter({ powerPreference: "high-performance" })) ?? null;
  } catch {
    return null;
  }
}

/** @param {GpuAdapter} adapter */
export const nameOf = ({ info: { vendor, architecture, device, description } }) =>
  [vendor, architecture, device, description].filter(Boolean).join(" ") || "unnamed";

/** Whether the adapter is the processor pretending to be a GPU. @param {GpuAdapter} adapter */
export const isSoftware = (adapter) =>
  adapter.info.isFallbackAdapter === true || adapter.isFallbackAdapter === true || SOFTWARE.test(nameOf(adapter));

/** A module of one function, `i8x16.splat` of a constant, which only browsers with vector instructions accept. */
const VECTORS = [
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic and version
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b], // type: () -> v128
  ...[0x03, 0x02, 0x01, 0x00], // function 0 has type 0
  ...[0x0a, 0x08, 0x01, 0x06, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0x0b], // body: i32.const 0, i8x16.splat, end
];

/** Whether the program for the processor can run here. */
export const hasVectors = () => WebAssembly.validate(new Uint8Array(VECTORS));

/** The device for a choice. @param {DeviceChoice} choice @returns {Promise<Device>} */
export async function deviceFor(choice) {
  if (choice !== "auto") return choice;
  if (!hasVectors()) return "gpu";
  const adapter = await firstAdapter(webGpu());
  return adapter && !isSoftware(adapter) ? "gpu" : "cpu";
}

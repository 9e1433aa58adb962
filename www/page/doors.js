// Limitations ("doors") of this browser and computer, each as one sentence on its effect and the remedy; and a
// diagnosis for a bug report, without personal data.

import { firstAdapter, hasVectors, isSoftware, nameOf, webGpu } from "../engine/adapter.js";
import { isPhone } from "../engine/phone.js";
import { formatBytes } from "../shared/format.js";

/**
 * @typedef {{ kind: "insecure" | "no-webgpu" | "no-adapter" | "software" | "no-vectors" | "memory" | "buffers" | "no-f16"
 *   | "no-storage" | "little-storage" | "phone", tone: "plain" | "problem", sentence: string }} Door
 * @typedef {import("../engine/adapter.js").Gpu} Gpu
 * @typedef {import("../engine/adapter.js").GpuAdapter} GpuAdapter
 * @typedef {Omit<import("../engine/models.js").Device, "gpuBytes">} Computer
 * @typedef {{ persisted: boolean | null, usage: number | null, quota: number | null, files: boolean }} Storage
 */

/** Gigabytes of main memory, as the browser rounds them, below which a full-size model may fail. */
const LITTLE_MEMORY = 4;
/** Disk space for a run at 512 px with 8-bit weights; private windows on small disks have less. */
const MODEL_BYTES = 1.1e9;
/** Buffer size that WebGPU guarantees; with no more, more of a run is offloaded to main memory. */
const LEAST_BUFFER = 256 * 2 ** 20;

/** Limits that a bug report needs. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBuffersPerShaderStage",
];

/**
 * Examines browser and computer, without prompting the user or fetching anything.
 * @returns {Promise<{ doors: Door[], diagnosis: string, features: string[], device: Computer }>} the most serious door
 *   first; `features` of the GPU
 */
export async function examine() {
  const gpu = webGpu();
  const [adapter, storage] = await Promise.all([firstAdapter(gpu), lookAtStorage()]);
  const doors = [...gpuDoors(gpu, adapter), ...machineDoors(storage)];
  doors.sort((a, b) => Number(b.tone === "problem") - Number(a.tone === "problem"));
  const { deviceMemory } = /** @type {Navigator & { deviceMemory?: number }} */ (navigator);
  const device = {
    hasGpu: adapter !== null,
    isSoftware: adapter !== null && isSoftware(adapter),
    isPhone: isPhone(),
    maxBufferMiB: adapter && adapter.limits.maxBufferSize / 2 ** 20,
    memoryGiB: deviceMemory ?? null,
  };
  const features = [...(adapter?.features ?? [])];
  return { doors, diagnosis: diagnose(gpu, adapter, storage, doors), features, device };
}

/** @returns {Promise<Storage>} */
async function lookAtStorage() {
  const { storage } = navigator;
  const [estimate, persisted, files] = await Promise.all([
    storage?.estimate?.().catch(() => null),
    storage?.persisted?.().catch(() => null),
    storage?.getDirectory?.().then(
      () => true,
      () => false,
    ),
  ]);
  return {
    persisted: persisted ?? null,
    usage: estimate?.usage ?? null,
    quota: estimate?.quota ?? null,
    files: files ?? false,
  };
}

/**
 * Why there is no GPU, what runs all the same, and how to get one.
 * @param {Gpu | undefined} gpu @param {GpuAdapter | null} adapter @returns {Door}
 */
function withoutGpu(gpu, adapter) {
  const [kind, why, remedy] = reasonWithoutGpu(gpu, adapter);
  if (!hasVectors()) {
    const sentence = `${why}, and it lacks WebAssembly's vector instructions, with which the processor would paint: ${remedy}. Choosing pictures works here all the same.`;
    return { kind: "no-vectors", tone: "problem", sentence };
  }
  const sentence = `${why}, so the processor paints: the demonstration model takes a minute or so a picture, Stable Diffusion the better part of an hour. For a graphics card, which takes seconds, ${remedy}.`;
  return { kind, tone: "plain", sentence };
}

/**
 * @param {Gpu | undefined} gpu @param {GpuAdapter | null} adapter
 * @returns {[kind: Door["kind"], why: string, remedy: string]}
 */
function reasonWithoutGpu(gpu, adapter) {
  if (adapter) {
    const remedy = "switch hardware acceleration on in the browser's settings, or use a computer with a GPU";
    return ["software", "This browser only emulates a GPU", remedy];
  }
  if (gpu) {
    const remedy =
      "update the graphics driver, switch hardware acceleration on in the browser's settings, or use another browser";
    return ["no-adapter", "This browser has WebGPU but finds no GPU to use", remedy];
  }
  if (!isSecureContext) {
    const remedy = "open the page over https or at localhost";
    return ["insecure", "This address is not secure, as WebGPU needs it", remedy];
  }
  return ["no-webgpu", "This browser has no WebGPU", "open the page in a current Chrome, Edge or Safari 26"];
}

/** @param {Gpu | undefined} gpu @param {GpuAdapter | null} adapter @returns {Door[]} */
function gpuDoors(gpu, adapter) {
  if (!adapter || isSoftware(adapter)) return [withoutGpu(gpu, adapter)];
  /** @type {Door[]} */
  const doors = [];
  if (!new Set(adapter.features).has("shader-f16")) {
    doors.push({
      kind: "no-f16",
      tone: "plain",
      sentence:
        "This GPU does not compute in half precision: the pictures are the same, but take more time and memory; weights of 8 or 4 bits help.",
    });
  }
  if (adapter.limits.maxBufferSize <= LEAST_BUFFER) {
    doors.push({
      kind: "buffers",
      tone: "plain",
      sentence:
        "This GPU allows only small buffers: part of the work waits in main memory, which is slower; sizes up to 512 pixels go best.",
    });
  }
  return doors;
}

/** @param {Storage} storage @returns {Door[]} */
function machineDoors({ usage, quota, files }) {
  /** @type {Door[]} */
  const doors = [];
  const { deviceMemory } = /** @type {Navigator & { deviceMemory?: number }} */ (navigator);
  if (isPhone()) {
    doors.push({
      kind: "phone",
      tone: "plain",
      sentence:
        "On a phone the demonstration model runs; Stable Diffusion seldom fits into its memory and drains the battery: use BK-SDM tiny or 4 bits, and 256 pixels, or a computer.",
    });
  } else if (deviceMemory !== undefined && deviceMemory < LITTLE_MEMORY) {
    doors.push({
      kind: "memory",
      tone: "problem",
      sentence: `This computer has only about ${deviceMemory} GB of memory: the demonstration model runs, Stable Diffusion may not; use BK-SDM tiny or 4 bits, and 256 pixels, and close other tabs.`,
    });
  }
  if (!files) {
    doors.push({
      kind: "no-storage",
      tone: "plain",
      sentence:
        "This window keeps no files, as a private one: a model is fetched anew at every visit; open the page in a normal window to keep it.",
    });
  } else if (quota !== null && quota - (usage ?? 0) < MODEL_BYTES) {
    const free = formatBytes(Math.max(0, quota - (usage ?? 0)));
    doors.push({
      kind: "little-storage",
      tone: "plain",
      sentence: `This page may store only ${free} more, as in a private window or on a full disk: a large model runs, but is fetched anew at every visit; free some space, or open a normal window.`,
    });
  }
  return doors;
}

/** @param {Gpu | undefined} gpu @param {GpuAdapter | null} adapter @param {Storage} storage @param {Door[]} doors */
function diagnose(gpu, adapter, storage, doors) {
  const { deviceMemory, hardwareConcurrency, userAgent } = /** @type {Navigator & { deviceMemory?: number }} */ (
    navigator
  );
  const size = (/** @type {number | null} */ bytes) => (bytes === null ? "unknown" : formatBytes(bytes));
  const lines = [
    ["StyleID", `page of ${new Date(document.lastModified).toISOString()}`],
    ["Browser", userAgent],
    ["Secure", isSecureContext ? "yes" : "no"],
    ["WebGPU", !gpu ? "none" : adapter ? "yes" : "no adapter"],
  ];
  if (adapter) {
    lines.push(["Adapter", nameOf(adapter) + (isSoftware(adapter) ? " (software)" : "")]);
    lines.push(["Features", [...adapter.features].sort().join(" ") || "none"]);
    for (const name of LIMITS) lines.push([name, String(adapter.limits[name])]);
  }
  lines.push(
    ["Processor", `${hardwareConcurrency ?? "unknown"} threads, ${hasVectors() ? "with" : "no"} vector instructions`],
    ["Memory", deviceMemory === undefined ? "unknown" : `${deviceMemory} GB or more`],
    ["Screen", `${screen.width} × ${screen.height} at ${devicePixelRatio}${isPhone() ? ", a phone" : ""}`],
    ["Storage", `${size(storage.usage)} of ${size(storage.quota)}`],
    ["Files", storage.files ? `yes${storage.persisted ? ", persistent" : ""}` : "no"],
    ["Offline", navigator.serviceWorker?.controller ? "ready" : "no"],
    ["Doors", doors.map(({ kind }) => kind).join(" ") || "none"],
  );
  return lines.map(([name, value]) => `${name}: ${value}`).join("\n");
}

/**
 * What the crate's wasm surface exports. `styleid.js` itself is made by wasm-bindgen at build time; this file lets the
 * type checker know its shape without a build, and is the one place where the page and the crate agree on it.
 */

export interface Adapter {
  /** As the browser names it; often only a vendor and a family. */
  name: string;
  backend: string;
  /** Computed on the CPU: correct, and slow. */
  software: boolean;
  shaderF16: boolean;
  maxBufferMiB: number;
}

export interface ModelInfo {
  name: string;
  /** How its files are laid out, for people. */
  layout: string;
  /** "1.x", "2.x" or "unconditional". */
  version: string;
  prediction: "epsilon" | "v_prediction";
  /** Who says what the UNet predicts, as the end of a sentence. */
  predictionBy: string;
  parameters: number;
  bytes: number;
  /** Decoder layers with self-attention, at which features can be injected. */
  layers: number[];
}

export interface PictureInfo {
  width: number;
  height: number;
}

/** `null` asks for the preset's own value. Unknown fields are an error. */
export interface Options {
  preset: "diffusers" | "ldm";
  steps: number | null;
  gamma: number;
  temperature: number;
  layers: number[] | null;
  /** Pixels of the square that both pictures are cropped and scaled to, "keep", or null for the model's own. */
  size: number | "keep" | null;
  initAdain: boolean;
  attnInjection: boolean;
  /** Seed of the VAE's posterior sample. */
  vaeSample: number | null;
}

export type Phase =
  | "load"
  | "encode-content"
  | "encode-style"
  | "warm-up"
  | "invert-content"
  | "invert-style"
  | "invert-both"
  | "stylize"
  | "decode";

/** What weights are kept as; "exact" is the file's own values. */
export type WeightType = "exact" | "f32" | "f16" | "q8" | "q4";

export interface ModelOptions {
  /** `owner/repo[@revision][/file]` of the Hugging Face Hub, or an absolute http(s) address of a file or folder. */
  source: string | null;
  weights: WeightType;
  /** What the UNet predicts, where the files do not say; null leaves it to them. */
  prediction: "epsilon" | "v_prediction" | null;
  /** Another address for the Hub, such as a mirror's; null for the Hub itself. */
  hub: string | null;
}

/** A file that the visitor picked or dropped, with its path in the dropped folder, or its name. */
export interface PickedFile {
  path: string;
  file: File;
}

/** A model kept on the visitor's disk. */
export interface KeptModel {
  /** What `purgeKept` takes. */
  folder: string;
  /** Which model: absent where nothing says so any more. */
  origin?: string;
  revision?: string;
  file?: string;
  weights?: WeightType;
  bytes: number;
  /** False where a visit ended in mid-download; loading goes on from there. */
  complete: boolean;
}

export interface KeptModels {
  models: KeptModel[];
  /** Bytes used and allowed, as the browser estimates; null where it does not say. */
  usage: number | null;
  quota: number | null;
  /** False where the browser gives no storage (a private window): loading works, but nothing is kept. */
  available: boolean;
}

/** A sentence for the person: something unusual happened that is no failure. */
export interface Notice {
  notice: string;
}

/** `step` of `steps` are done, in bytes while a model is loaded; a phase begins with none, and `steps` may be 0 until it is known. */
export interface ProgressEvent {
  phase: Phase;
  step: number;
  steps: number;
}

export interface Stylized {
  png: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  seconds: number;
  /** The most bytes of GPU buffers, as the engine counts them: those of tensors, and those that wait to be used again. */
  gpuBytesReserved: number;
}

/** Every function throws or rejects with an `Error` whose `name` is one of these and whose `message` is one sentence. */
export type ErrorKind = "cancelled" | "picture" | "model" | "device" | "settings" | "file" | "internal";

/** Instantiates the wasm module. Comes first. */
export default function init(): Promise<unknown>;

/** Asks for a WebGPU device. */
export function openDevice(): Promise<Adapter>;

/** Loads a model: `files` if there are any, else `options.source`. From the visitor's disk if it is kept there. */
export function loadModel(
  options: ModelOptions,
  files: PickedFile[],
  onEvent: (event: ProgressEvent | Notice) => void,
): Promise<ModelInfo>;

/** The models on the visitor's disk. */
export function listKept(): Promise<KeptModels>;

/** Removes one of them, or all where `folder` is empty. */
export function purgeKept(folder: string): Promise<void>;

/** Bytes that the wasm memory has grown to; it never shrinks. */
export function memoryBytes(): number;

/** Decodes a picture, EXIF orientation applied, and forgets it. */
export function checkPicture(bytes: Uint8Array): PictureInfo;

export function stylize(
  content: Uint8Array,
  style: Uint8Array,
  options: Options,
  onEvent: (event: ProgressEvent) => void,
): Promise<Stylized>;

/** Makes the running `loadModel` or `stylize` reject with "cancelled" at its next block. */
export function cancel(): void;

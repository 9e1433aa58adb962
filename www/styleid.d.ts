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
  /** "1.x", "2.x" or "unconditional". */
  version: string;
  prediction: "epsilon" | "v_prediction";
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
  "load" | "encode-content" | "encode-style" | "invert-content" | "invert-style" | "stylize" | "decode";

/** `step` of `steps` are done; a phase begins with none. */
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
}

/** Every function throws or rejects with an `Error` whose `name` is one of these and whose `message` is one sentence. */
export type ErrorKind = "cancelled" | "picture" | "model" | "device" | "settings" | "internal";

/** Instantiates the wasm module. Comes first. */
export default function init(): Promise<unknown>;

/** Asks for a WebGPU device. */
export function openDevice(): Promise<Adapter>;

/** Loads a folder in diffusers layout; `url` is absolute. */
export function loadModel(url: string, onEvent: (event: ProgressEvent) => void): Promise<ModelInfo>;

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

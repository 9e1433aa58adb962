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
  /** Those of them that are injected where nobody asks for others; those of the method's version for null. */
  injectionLayers: number[] | null;
}

export interface PictureInfo {
  /** Upright. */
  width: number;
  height: number;
  /** What its owner might not expect ("It is animated; its first frame is used."), for the person; usually null. */
  note: string | null;
}

/** Pixels of an upright picture. What reaches over an edge is left out; fractions are rounded. */
export interface Crop {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface StyleSource {
  /** A picture's file. */
  picture: Uint8Array;
  /** The part of it that is used; null for all, of which the middle is cut as `size` asks. */
  crop?: Crop | null;
  /** Above 0; weights count beside each other. Default 1. */
  weight?: number;
  /**
   * A PNG of any size, stretched over the whole upright photo, before its crop: white where this style applies, black and
   * transparent where it does not, grey between; null for everywhere.
   */
  mask?: Uint8Array | null;
}

export interface Request {
  /** The photo's file. */
  content: Uint8Array;
  crop?: Crop | null;
  /** 1 to 4. */
  styles: StyleSource[];
}

/** A value over the reverse steps i of N: start + (end − start) · w(i / (N − 1)). */
export interface Curve {
  curve: "constant" | "linear" | "cosine" | "sqrt" | "quadratic" | "exponential";
  end: number;
}

/** Every field has a default, which `null` asks for where it is allowed. Unknown fields are an error. */
export interface Options {
  preset?: "diffusers" | "ldm";
  steps?: number | null;
  layers?: number[] | null;
  initAdain?: boolean;
  attnInjection?: boolean;
  /** Seed of the VAE's posterior sample. */
  vaeSample?: number | null;
  gamma?: number;
  /** Null keeps γ where it is. */
  gammaCurve?: Curve | null;
  /** A layer's own start in place of `gamma`, as { "6": 0.75 }. */
  gammaByLayer?: Record<string, number> | null;
  temperature?: number;
  temperatureCurve?: Curve | null;
  /** How several styles become one: attended together, or their keys and values averaged, which takes equal sizes. */
  blend?: "together" | "average";
  /** The result's luminance with the photo's chroma. */
  keepColours?: boolean;
  /** α: scales the low frequencies of the photo's noise; 1 leaves them. */
  damping?: number;
  /** Pixels of the square that all pictures are cropped and scaled to, "keep", or null for the model's own. */
  size?: number | "keep" | null;
  /** `size` is the long side instead, and the pictures keep their shape. */
  keepAspect?: boolean;
  /** A preview after every so many reverse steps; 0 for none. */
  previewEvery?: number;
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
  /** Bytes that a run may take on the GPU, the weights included; without: 1 GiB beside the weights. */
  gpuBytes?: number | null;
  /** Whether the UNet's activations are f16, added up in f32; only for GPUs with the feature `shader-f16`. */
  halfPrecision?: boolean;
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

/** What the result looks like so far: a pixel a latent, `step` of `steps` of the reverse pass done. */
export interface Preview {
  width: number;
  height: number;
  /** 4 bytes a pixel, row by row. */
  rgba: Uint8Array<ArrayBuffer>;
  step: number;
  steps: number;
}

export interface Stylized {
  /** With the settings in its text chunks: "Title", "Software", and "StyleID" with JSON. */
  png: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
  /** Without pauses. */
  seconds: number;
  /** Evaluations of the UNet, one a picture and step: 60 for a first run of 20 steps, 20 where both inversions are kept. */
  unetCalls: number;
  /** The most bytes of GPU buffers, as the engine counts them: those of tensors, and those that wait to be used again. */
  gpuBytesReserved: number;
}

/** How near a result is to what it was made of. */
export interface Measures {
  /** Against the photo, LPIPS with AlexNet: 0 is the photo itself; less means that more of it is left. */
  lpips: number;
  /** Against each style, in the request's order. */
  styles: {
    /** Of the means and deviations of AlexNet's features: 0 is the painting itself. */
    styleDistance: number;
    /** Of HistoGAN's RGB-uv histograms: from 0, the same colours, to 1, nothing in common. */
    histogram: number;
  }[];
}

/** Every function throws or rejects with an `Error` whose `name` is one of these and whose `message` is one sentence. */
export type ErrorKind =
  | "cancelled"
  | "picture"
  | "model"
  /** No device, or it was lost: only a new worker gets a new one. */
  | "device"
  /** The GPU's memory or the program's ran out: less may do, in a new worker. */
  | "memory"
  | "settings"
  | "file"
  | "internal";

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

/** Whether the program's own memory ran out. May be asked after a trap, which says nothing itself. */
export function ranOutOfMemory(): boolean;

/** Decodes a picture, EXIF orientation applied, and forgets it. */
export function checkPicture(bytes: Uint8Array): PictureInfo;

/** A PNG of a picture, for what browsers do not show (TIFF). */
export function previewPicture(bytes: Uint8Array, longSide: number): Uint8Array<ArrayBuffer>;

export function stylize(
  request: Request,
  options: Options,
  onEvent: (event: ProgressEvent | Notice | { preview: Preview }) => void,
): Promise<Stylized>;

/**
 * Measures a result's file against the pictures of the request that it was made with, fitted to its size; weights and masks
 * count for nothing. `weights` is the file of LPIPS's weights. Needs a device and no model.
 */
export function measure(request: Request, result: Uint8Array, weights: Uint8Array): Promise<Measures>;

/** Holds the running `stylize` at its next block, until `resume` or `cancel`. A run begins unpaused. */
export function pause(): void;

export function resume(): void;

/** Makes the running `loadModel`, `stylize` or `measure` reject with "cancelled" at its next block, also while it is paused. */
export function cancel(): void;

declare global {
  /** Called with a panic before the instance traps; "memory" comes with a sentence for the person. */
  var styleidPanic: ((message: string, kind: "internal" | "memory") => void) | undefined;
}

// What the crate's wasm surface takes and gives. A test of the crate makes this file of its structs
// (crate/src/messages/tests.rs): change those, not this.

/** What a device is, for people. */
export type Adapter = {
  /** The adapter's name; browsers may leave it empty. */
  name: string;
  /** Graphics API beneath wgpu; empty for the processor itself. */
  backend: string;
  /** Whether it is the processor pretending to be a GPU. */
  software: boolean;
  /**
   * The operations that are chosen for it: kernels for GPUs, kernels for the processor pretending to be one, or those of the
   * processor.
   */
  kernels: "hardware" | "software" | "processor";
  /** Whether shaders may compute in f16. */
  shaderF16: boolean;
  /** Largest buffer in MiB; 0 for the processor. */
  maxBufferMiB: number;
  /** The tiles that a trial chose for the kernels for GPUs, by class of shapes. */
  tiles: { [key in string]: string };
};

/** What the UNet's output means. */
export type Prediction = "epsilon" | "v_prediction";

/** Count, bytes and dtypes of tensors. */
export type Census = {
  /** Number of weights. */
  parameters: number;
  /** Bytes that they take in the file. */
  bytes: number;
  /** Weights of each dtype. */
  dtypes: { [key in string]: number };
};

/** Figures of one part of a model. */
export type PartInfo = {
  /** Name of the network. */
  name: string;
  /** Number of weights. */
  parameters: number;
  /** Bytes that they take in the file. */
  bytes: number;
  /** Weights of each dtype. */
  dtypes: { [key in string]: number };
};

/** A level of the decoder. */
export type LevelInfo = {
  /** Pixels along each side that one of its tokens stands for. */
  stride: number;
  /** Its layers with self-attention. */
  layers: Array<number>;
};

/** What a model is, for `styleid info` and the page. */
export type ModelInfo = {
  /** Name of its file or folder. */
  name: string;
  /** Its parts that are from elsewhere (`vae`, `text_encoder`), each with the name of the file or folder that it is from. */
  taken: { [key in string]: string };
  /** How its files are laid out, for people. */
  layout: string;
  /** `1.x`, `2.x`, or `unconditional` for a model without a text encoder. */
  version: string;
  /** What the UNet predicts. */
  prediction: Prediction;
  /** Who says so, as the end of a sentence. */
  predictionBy: string;
  /** Side in pixels of the pictures it was trained on. */
  nativeSize: number;
  /** Pixels a latent along each side. */
  factor: number;
  /** Decoder layers with self-attention. */
  layers: Array<number>;
  /** The decoder's levels that have such layers, from the coarsest to the finest. */
  decoder: Array<LevelInfo>;
  /** Those layers that are injected where nobody asks for others; those of the method's version for none. */
  injectionLayers: Array<number> | null;
  /** Number of weights. */
  parameters: number;
  /** Bytes of weights in the files. */
  bytes: number;
  /** Figures of each part: name, weights, bytes, dtypes. */
  parts: Array<PartInfo>;
};

/** A decoded picture. */
export type PictureInfo = {
  /** Pixels of the upright picture. */
  width: number;
  /** Pixels of the upright picture. */
  height: number;
  /** What its owner might not expect ("It is animated; its first frame is used."), for the person; usually null. */
  note: string | null;
};

/** A rectangle in pixels of an upright picture. Fractions are rounded, and what reaches over an edge is left out. */
export type Crop = {
  /** Distance from the left edge. */
  x: number;
  /** Distance from the top edge. */
  y: number;
  /** Width. */
  width: number;
  /** Height. */
  height: number;
};

/** A painting and how it counts. */
export type StyleSource = {
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
};

/** The pictures of a run. */
export type Request = {
  /** The photo's file. */
  content: Uint8Array;
  /** The part of the photo that is used. */
  crop?: Crop | null;
  /** 1 to 4 paintings. */
  styles: Array<StyleSource>;
};

/** How a setting goes from its start, at the first reverse step (a = 0), to its end, at the last (a = 1). */
export type Shape = "constant" | "linear" | "cosine" | "sqrt" | "quadratic" | "exponential";

/** A setting's way to its end. */
export type Curve = {
  /** How it goes there. */
  curve: Shape;
  /** What it is at the last step. */
  end: number;
};

/** The two official implementations, which are different algorithms, and a faster one. */
export type Preset = "diffusers" | "ldm" | "fast";

/** How several styles become one. */
export type Blend = "together" | "average";

/** What to run. `None` leaves the choice to the preset. */
export type Params = {
  /** Which version of the method to follow. */
  preset: Preset;
  /** Calls of the UNet for a picture in each direction. */
  steps: number | null;
  /** γ: how much of the query is the content's own, 0 (all style) to 1 (paper, equation 5). */
  gamma: number;
  /** Where γ goes over the reverse steps; it stays where it is without. */
  gammaCurve: Curve | null;
  /** Layers that start from a γ of their own. */
  gammaByLayer: Record<string, number> | null;
  /** T: multiplies the attention scores, sharpening them (paper, section 4.3). */
  temperature: number;
  /** Where T goes over the reverse steps; it stays where it is without. */
  temperatureCurve: Curve | null;
  /** Decoder layers that are injected; where none are asked for, the model has the first word. */
  layers: Array<number> | null;
  /** Whether the content's noise takes the style's mean and deviation first (paper, section 4.4). */
  initAdain: boolean;
  /** Whether attention is injected. */
  attnInjection: boolean;
  /** Seed for sampling the VAE's posterior; its mode otherwise. The content uses seed + 1. */
  vaeSample: number | null;
  /** How several styles become one. */
  blend: Blend;
  /** Whether the result's colours are the photo's: its own luminance, the photo's chroma. */
  keepColours: boolean;
  /** α: multiplies the low frequencies of the content's noise before AdaIN; 1 leaves them. */
  damping: number;
  /** Share of the high frequencies of the content's noise that give way to the style's, 0 to 1: strokes instead of a colour grade. */
  redraw: number;
  /** From where on frequencies are high: deviation of a Gaussian low pass, relative to the highest frequency, 0.05 to 1. */
  redrawBand: number;
  /** How far the content's noise is moved to the style's mean and deviation, 0 to 1, where it is at all. */
  adainStrength: number;
  /**
   * How far the result's latents are moved to the mean and deviation of the style's at the end, 0 to 1 (AdaIN of the picture, not of
   * its noise).
   */
  tone: number;
  /**
   * How far the details of the result's latents are strengthened or weakened to those of the style's at the end, band by band of
   * frequencies, 0 to 1.
   */
  texture: number;
  /**
   * How far the prediction goes from the plain one towards the injected one and beyond, 1 to 5; other than 1 it takes one more call of the
   * UNet a reverse step.
   */
  styleScale: number;
  /** What the content's own keys and values weigh in the injected attention beside the styles' 1, 0 (none) to 1 (as much). */
  contentShare: number;
  /** Size of all pictures; the size the model was trained at where none is asked for. */
  size: number | "keep" | null;
  /** Whether `size` is the long side of pictures that keep their shape, not the side of a square. */
  keepAspect: boolean;
  /** A preview after every so many reverse steps; none for 0. */
  previewEvery: number;
};

/** What a run is doing. */
export type Phase = "load" | "encode-content" | "encode-style" | "warm-up" | "invert-content" | "invert-style" | "invert-both" | "stylize" | "decode";

/** One report: `step` of `steps` of a phase are done. */
export type ProgressEvent = {
  /** What is being done. */
  phase: Phase;
  /** Steps done, from 0 to `steps`. */
  step: number;
  /** Steps in all; while a model is loaded these are bytes, and 0 until they are known. */
  steps: number;
};

/** What a person asks weights to be kept as. */
export type WeightType = "exact" | "f32" | "f16" | "q8" | "q4";

/** Which model to load, and how. */
export type ModelOptions = {
  /**
   * `owner/repo[@revision][/file]` of the Hugging Face Hub, or an absolute http(s) address of a file or folder; null where
   * files are given.
   */
  source: string | null;
  /**
   * A VAE in place of the model's, or for a model without one: named as `source` is, or the name of the files that are given
   * for it; null for the model's own.
   */
  vae?: string | null;
  /** The model from which come the parts that this one lacks, as a UNet alone lacks VAE and text encoder: named as `vae` is. */
  rest?: string | null;
  /** What the weights are kept as. */
  weights: WeightType;
  /** What the UNet predicts, where the files do not say; null leaves it to them. */
  prediction: Prediction | null;
  /** Another address for the Hub, such as a mirror's; null for the Hub itself. */
  hub: string | null;
  /** Bytes that a run may take on the GPU, the weights included; without: 1 GiB beside the weights. */
  gpuBytes?: number | null;
  /** Whether the UNet's activations are f16, added up in f32; only for GPUs with the feature `shader-f16`. */
  halfPrecision?: boolean;
  /** Whether attention features are kept exactly, not as f16. */
  exactFeatures?: boolean;
};

/** Which model, of which revision, converted to what. Models of different keys never share a folder. */
export type ModelKey = {
  /** The repository, the address, or the name of a picked file or folder; of a model put together from several, all of them. */
  origin: string;
  /** Commit or other mark of the version; empty where there is none. */
  revision: string;
  /** The checkpoint's path in its folder; empty for a whole folder in the diffusers layout. */
  file: string;
  /** What the weights were converted to. */
  weights: WeightType;
};

/** A model kept on the visitor's disk. */
export type KeptFolder = {
  /** What `purgeKept` takes. */
  folder: string;
  /** Bytes that it takes. */
  bytes: number;
  /** False where a visit ended in mid-download; loading goes on from there. */
  complete: boolean;
};

/** The models kept on the visitor's disk. */
export type KeptModels = {
  /** Complete ones and others. */
  models: KeptModel[];
  /** Bytes used, as the browser estimates; null where it does not say. */
  usage: number | null;
  /** Bytes allowed, as the browser estimates; null where it does not say. */
  quota: number | null;
  /** False where the browser gives no storage (a private window): loading works, but nothing is kept. */
  available: boolean;
};

/** How near a result is to a painting. */
export type ToStyle = {
  /** Of the means and deviations of AlexNet's features: 0 is the painting itself. */
  styleDistance: number;
  /** Of HistoGAN's RGB-uv histograms: from 0, the same colours, to 1, nothing in common. */
  histogram: number;
};

/** How near a result is to what it was made of. */
export type Measures = {
  /** Against the photo, LPIPS with AlexNet: 0 is the photo itself; less means that more of it is left. */
  lpips: number;
  /** Against each style, in the request's order. */
  styles: Array<ToStyle>;
};

/** Which inversions a session lacks for a run. */
export type Lacks = {
  /** Whether it lacks the content's. */
  content: boolean;
  /** The styles whose inversions it lacks, by their numbers from 0. */
  styles: Array<number>;
};

/** What came of a kernel. */
export type Verdict = "right" | "wrong" | "failed" | "skipped";

/** The test of one kernel. */
export type KernelTest = {
  /** What it computes, at which shape, and what its weights are kept as. */
  name: string;
  /** What its activations are kept as. */
  precision: "f32" | "f16";
  /** What came of it. */
  verdict: Verdict;
  /** Largest difference from what it should compute, of the largest value; NaN where it gave something that is no number. */
  difference: number | null;
  /** 10⁹ floating-point operations a second. */
  gflops: number | null;
  /** 10⁹ bytes a second, of kernels that move rather than compute. */
  gigabytes: number | null;
};

/** A test of this GPU. */
export type SelfTest = {
  /** Every kernel, those last for which there was no time. */
  kernels: Array<KernelTest>;
  /** Seconds that it took. */
  seconds: number;
};

/** A result on its way to the page. */
export type Stylized = {
  /** A PNG file with the settings in its text chunks: "Title", "Software", and "StyleID" with JSON. */
  png: Uint8Array<ArrayBuffer>;
  /** Width in pixels. */
  width: number;
  /** Height in pixels. */
  height: number;
  /** Seconds that the run took, without its pauses. */
  seconds: number;
  /** Evaluations of the UNet, one a picture and step: 60 for a first run of 20 steps, 20 where both inversions are kept. */
  unetCalls: number;
  /** The most bytes that tensors took on the GPU, as the engine counts them. */
  gpuBytesInUse: number;
  /** The most bytes of GPU buffers: those of tensors, and those that wait to be used again. */
  gpuBytesReserved: number;
};

/** A kept model; which one is absent where nothing says so any more. */
export type KeptModel = KeptFolder & Partial<ModelKey>;

/** Every field has a default, which `null` asks for where it is allowed. Unknown fields are an error. */
export type Options = Partial<Params>;

/** Every function throws or rejects with an `Error` whose `name` is one of these and whose `message` is one sentence. */
export type ErrorKind = "cancelled" | "picture" | "model" | "settings" | "device" | "unsupported" | "memory" | "file" | "internal";

/** A file that the visitor picked or dropped, with its path in the dropped folder, or its name. */
export interface PickedFile {
  path: string;
  file: File;
  /** Whether it is read instead of the model's options `vae` or `rest`, not of its `source`. */
  part?: "vae" | "rest";
}

/** A sentence for the person: something unusual happened that is no failure. */
export interface Notice {
  notice: string;
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

/** Instantiates the wasm module. Comes first. */
export default function init(): Promise<unknown>;

/**
 * Opens the device of the program: WebGPU's, or the processor. `kept` has `tiles` of earlier visits by the device's `name`; what is
 * missing there is tried on a GPU, for up to a second.
 */
export function openDevice(kept?: Record<string, Adapter["tiles"]>): Promise<Adapter>;

/**
 * Loads a model: files in place of `options.source`, `options.vae` and `options.rest` where there are any for it. From the
 * visitor's disk if it is kept there.
 */
export function loadModel(
  options: ModelOptions,
  files: PickedFile[],
  onEvent: (event: ProgressEvent | Notice) => void,
): Promise<ModelInfo>;

/** The folder in which a model is kept, or is to be; undefined where the browser gives no storage. */
export function keptFolder(options: ModelOptions, files: PickedFile[]): Promise<string | undefined>;

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

/** Whether a picture is only for the browser's own decoders: its sides in pixels by its header, 0 where they are unknown. */
export function foreignPicture(bytes: Uint8Array): Uint32Array | undefined;

export function stylize(
  request: Request,
  options: Options,
  onEvent: (event: ProgressEvent | Notice | { preview: Preview }) => void,
): Promise<Stylized & { /** Gives back the memory of the program that it takes. */ free(): void }>;

/** Which inversions `stylize` would make. Of the processor's program only, as the next three. */
export function lacks(request: Request, options: Options): Lacks;

/**
 * Inverts the photo of the run that `lacks` was asked about last, if it lacks both kinds, and keeps that. Returns how often the UNet
 * was called.
 */
export function invertContent(onEvent: (event: ProgressEvent) => void): Promise<number>;

/** Inverts the paintings of these numbers for another worker with the same model: the UNet's calls, and a file for each. */
export function invertStyles(
  request: Request,
  options: Options,
  numbers: Uint32Array,
  onEvent: (event: ProgressEvent) => void,
): Promise<[unetCalls: number, ...files: Uint8Array<ArrayBuffer>[]]>;

/** Takes such files after `invertContent`, for the `stylize` of that run; none if another worker could not make them. */
export function takeStyles(numbers: Uint32Array, files: Uint8Array[]): void;

/**
 * Measures a result's file against the pictures of the request that it was made with, fitted to its size; weights and masks
 * count for nothing. `weights` is the file of LPIPS's weights. Needs a device and no model.
 */
export function measure(request: Request, result: Uint8Array, weights: Uint8Array): Promise<Measures>;

/**
 * Tests each kind of kernel of this device against known values, and begins none any more after `seconds`; `of` kernels in all, of
 * which each is told. Needs a device and no model.
 */
export function selfTest(
  seconds: number,
  onEvent: (event: { kernel: KernelTest; of: number }) => void,
): Promise<SelfTest>;

/** Holds the running `stylize` or inversion at its next block, until `resume` or `cancel`. A run begins unpaused. */
export function pause(): void;

export function resume(): void;

/** Makes the running `loadModel`, `stylize`, `measure` or `selfTest` reject with "cancelled" at its next block, also while it is paused. */
export function cancel(): void;

declare global {
  /** Called with a panic before the instance traps; "memory" comes with a sentence for the person. */
  var styleidPanic: ((message: string, kind: "internal" | "memory") => void) | undefined;
}

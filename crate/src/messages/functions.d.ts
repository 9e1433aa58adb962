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

// StyleID for programs: the same worker as the page's, behind two calls. Works from any page of this site, and from other
// sites' pages where this one's server sends `Access-Control-Allow-Origin` (GitHub Pages does).
//
//   import { LOOKS, StyleID } from "https://example.github.io/styleid/api.js";
//   const styleid = await StyleID.load({ model: "demo" });
//   const { blob } = await styleid.stylize({ content: photo, style: painting, ...LOOKS.painted, gamma: 0.6 });
//   image.src = URL.createObjectURL(blob);
//
// Every failure is an EngineError: `kind` says which, `message` is one sentence for a person.

import { Engine, EngineError } from "./engine/engine.js";
import { measure } from "./engine/measure.js";
import {
  fetchModels,
  filesOf,
  isWeights,
  listedOrNamed,
  parseReference,
  pickedModel,
  sourcesOf,
} from "./engine/models.js";
import { chosenFiles } from "./engine/picked.js";
import { MOST_STYLES, PRESETS } from "./engine/presets.js";
import { SECONDS, sentenceOf, textOf } from "./engine/self-test.js";

export { EngineError };

/**
 * Settings that go together, by the names of the command line's `--look`: tint, gentle, painted and bold, from the nearest to the
 * photo to the nearest to the painting. Each is the version `fast`, half the work of the default.
 * @type {Record<string, Partial<Options>>}
 */
export const LOOKS = Object.fromEntries(
  PRESETS.filter(({ options }) => options.preset === "fast").map(({ id, options }) => [id, { ...options }]),
);

/**
 * @typedef {import("./styleid.js").Crop} Crop
 * @typedef {import("./styleid.js").KernelTest} KernelTest
 * @typedef {import("./styleid.js").Measures} Measures
 * @typedef {import("./styleid.js").ModelInfo} ModelInfo
 * @typedef {import("./styleid.js").ModelOptions} ModelOptions
 * @typedef {import("./styleid.js").Options} Options
 * @typedef {import("./styleid.js").Preview} Preview
 * @typedef {import("./styleid.js").ProgressEvent} ProgressEvent
 * @typedef {import("./styleid.js").SelfTest} SelfTest
 * @typedef {import("./styleid.js").StyleSource} StyleSource
 * @typedef {import("./styleid.js").WeightType} WeightType
 *
 * @typedef {Blob | ArrayBuffer | Uint8Array | URL | string | HTMLImageElement | HTMLCanvasElement} Picture a picture file's
 *   bytes, its address, or an element that shows it; PNG, JPEG, WebP, GIF and more
 * @typedef {{ picture: Picture, crop?: Crop | null, weight?: number, mask?: Picture | null }} Style one of several: `weight`
 *   above 0 (default 1); `mask`, a PNG stretched over the photo, is white where this style goes
 * @typedef {{ content: Picture, crop?: Crop | null, style?: Picture | Style, styles?: (Picture | Style)[] }} Pictures
 *   `style` or one to four `styles`; `crop` in pixels of the upright photo
 *
 * @typedef {object} LoadOptions
 * @property {string | URL | Iterable<File>} [model] an id of this site's list ("demo", "sd15-q8", …), `owner/repo` on the
 *   Hugging Face Hub with `@revision` and `/file` if need be, an address, or files; "demo" by default
 * @property {string | URL | Iterable<File> | null} [vae] a VAE in place of the model's, or for a model without one: named as `model` is
 * @property {string | URL | Iterable<File> | null} [rest] the model from which come the parts that this one lacks, as a UNet
 *   alone lacks VAE and text encoder: named as `model` is
 * @property {WeightType} [weights] what weights are kept as: exact, f32, f16, q8 or q4; the model's own by default
 * @property {"epsilon" | "v_prediction"} [prediction] what the UNet predicts, for files that do not say it
 * @property {string} [hub] another address for the Hub, such as a mirror's
 * @property {number} [gpuBytes] what a run may take on the GPU, the weights included; 1 GiB beside the weights by default
 * @property {boolean} [halfPrecision] whether the UNet's activations are f16, on GPUs with the feature `shader-f16`
 *
 * @typedef {object} Listeners
 * @property {(event: ProgressEvent) => void} [onProgress] `{phase, step, steps}`; bytes while a model is loaded
 * @property {(sentence: string) => void} [onNotice] something unusual that is no failure, for people
 * @property {(preview: Preview) => void} [onPreview] `{width, height, rgba, step, steps}`, where `previewEvery` is above 0
 * @property {AbortSignal} [signal] ends the call with an error of kind "cancelled"
 *
 * @typedef {object} Result
 * @property {Blob} blob a PNG, with the settings in its metadata
 * @property {number} width
 * @property {number} height
 * @property {number} seconds that the run took
 * @property {number} unetCalls evaluations of the UNet, one per picture and step; fewer where inversions were kept
 * @property {number} gpuBytesReserved the most bytes of the GPU's memory
 */

/** A loaded model. Has a worker and a GPU device of its own, until `dispose`. */
export class StyleID {
  #engine;
  /** @type {[ModelOptions, import("./styleid.js").PickedFile[]]} */ #model;
  /** What is known of the model. @type {ModelInfo} */ info;

  /**
   * `StyleID.load` makes one.
   * @param {Engine} engine @param {[ModelOptions, import("./styleid.js").PickedFile[]]} model @param {ModelInfo} info
   */
  constructor(engine, model, info) {
    this.#engine = engine;
    this.#model = model;
    this.info = info;
  }

  /**
   * Loads a model: from this computer's disk if it is kept there, else over the network, without asking anybody. Some
   * gigabytes come from the Hub for Stable Diffusion, 12 MB from this site for the demonstration model.
   * @param {LoadOptions} [options] @param {Pick<Listeners, "onProgress" | "onNotice" | "signal">} [listeners]
   * @returns {Promise<StyleID>}
   */
  static async load(options = {}, listeners = {}) {
    const { model = "demo", rest, vae, weights, prediction, hub, gpuBytes, halfPrecision } = options;
    const named = {
      ...(await findModel(model)),
      rest: rest == null ? null : await findModel(rest),
      vae: vae == null ? null : await findModel(vae, "VAE"),
    };
    const reference = parseReference(named.source);
    // What the list says of a single file, which cannot say it itself.
    const listed = reference && "path" in reference && isWeights(reference.path) ? named.prediction : null;
    /** @type {[ModelOptions, import("./styleid.js").PickedFile[]]} */
    const loaded = [
      {
        ...sourcesOf(named),
        weights: weights ?? named.weights,
        prediction: prediction ?? listed,
        hub: hub?.replace(/\/+$/, "") ?? null,
        gpuBytes: gpuBytes ?? null,
        halfPrecision: halfPrecision ?? false,
      },
      filesOf(named),
    ];
    const engine = new Engine();
    try {
      return new StyleID(engine, loaded, await engine.load(...loaded, forEngine(listeners)));
    } catch (error) {
      engine.dispose();
      throw error;
    }
  }

  /**
   * Repaints `content` in the style of `style`. The other fields are the method's settings (styleid.d.ts, `Options`); what is
   * left out has its default, whichever look the page begins with (`LOOKS` has those). The same pictures with other settings take less time, as their inversions are kept. One call
   * at a time.
   * @param {Pictures & Options} request @param {Listeners} [listeners] @returns {Promise<Result>}
   */
  async stylize({ content, crop, style, styles, ...options }, listeners = {}) {
    const request = await requestOf({ content, crop, style, styles });
    const calls = forEngine(listeners);
    // Costs nothing while the worker has it; after a lost device or a crash it comes from the disk again.
    this.info = await this.#engine.load(...this.#model, calls);
    const { png, ...facts } = await this.#engine.stylize(request, options, calls);
    return { blob: new Blob([png], { type: "image/png" }), ...facts };
  }

  /**
   * How much of the photo is left in a `result`, and how near its styles it came: the request of `stylize` once more, with the
   * picture that came of it; weights, masks and settings count for nothing. The first time, 4.9 MB come from this site. One
   * call at a time, `stylize` included.
   * @param {Pictures & { result: Picture }} request @param {Pick<Listeners, "signal">} [listeners]
   * @returns {Promise<Measures>} `{lpips, styles: [{styleDistance, histogram}]}`
   */
  async measure({ result, ...pictures }, { signal } = {}) {
    return measure(this.#engine, await requestOf(pictures), await bytesOf(result, "result"), { signal });
  }

  /**
   * Tests each kind of kernel of this GPU against known values, in a worker of its own and without a model. `sentence` says to a
   * person what came of it, `text` is for a bug report. Where the GPU is lost or refuses a kernel it fails with an EngineError,
   * after `onKernel` has heard of that kernel.
   * @param {{ seconds?: number, onKernel?: (kernel: KernelTest, of: number) => void, signal?: AbortSignal }} [options] after
   *   `seconds` (10) no kernel is begun any more
   * @returns {Promise<SelfTest & { sentence: string, text: string }>}
   */
  static async selfTest({ seconds = SECONDS, ...options } = {}) {
    const engine = new Engine();
    try {
      const test = await engine.selfTest(seconds, options);
      const sentence = sentenceOf(test.kernels);
      return { ...test, sentence, text: textOf(test.kernels, sentence, test.seconds) };
    } finally {
      engine.dispose();
    }
  }

  /** Holds the running `stylize` until `resume`; it can be cancelled meanwhile. */
  pause() {
    this.#engine.pause();
  }

  resume() {
    this.#engine.resume();
  }

  /** Gives back the worker, its memory and the GPU's. What runs fails as cancelled. */
  dispose() {
    this.#engine.dispose();
  }
}

/** @param {Listeners} listeners */
const forEngine = ({ onProgress: onEvent, onNotice, onPreview, signal }) => ({ onEvent, onNotice, onPreview, signal });

/** @param {NonNullable<LoadOptions["model"]>} wanted @param {"model" | "VAE"} [what] that it is to be */
async function findModel(wanted, what = "model") {
  try {
    if (typeof wanted !== "string" && !(wanted instanceof URL)) return pickedModel(chosenFiles(wanted), what);
    const listed = await fetchModels(new URL("./models.json", import.meta.url));
    const model = listedOrNamed(listed, String(wanted), document.baseURI);
    if (model) return model;
    const ids = listed.map(({ id }) => id).join(", ");
    throw new Error(
      `“${wanted}” is neither one of ${ids} nor the name of a model on the Hugging Face Hub nor an address.`,
    );
  } catch (error) {
    throw new EngineError("model", error instanceof Error ? error.message : String(error));
  }
}

/** @param {Pictures} pictures @returns {Promise<import("./styleid.js").Request>} */
async function requestOf({ content, crop = null, style, styles }) {
  const wanted = styles ?? (style === undefined ? [] : [style]);
  if (wanted.length < 1 || wanted.length > MOST_STYLES) {
    throw new EngineError("settings", "Give one style, or up to four as `styles`.");
  }
  return {
    content: await bytesOf(content, "content"),
    crop,
    styles: await Promise.all(wanted.map((one, i) => sourceOf(one, wanted.length > 1 ? `style ${i + 1}` : "style"))),
  };
}

/** @param {Picture | Style} style @param {string} what @returns {Promise<StyleSource>} */
async function sourceOf(style, what) {
  if (!isStyle(style)) return { picture: await bytesOf(style, what) };
  const { picture, mask, ...rest } = style;
  return {
    ...rest,
    picture: await bytesOf(picture, what),
    mask: mask ? await bytesOf(mask, `mask of the ${what}`) : null,
  };
}

/** @param {Picture | Style} style @returns {style is Style} */
const isStyle = (style) => typeof style === "object" && style !== null && "picture" in style;

/** @param {Picture} picture @param {string} what @returns {Promise<Uint8Array>} */
async function bytesOf(picture, what) {
  if (picture instanceof Uint8Array) return picture;
  if (picture instanceof ArrayBuffer) return new Uint8Array(picture);
  if (picture instanceof Blob) return new Uint8Array(await picture.arrayBuffer());
  if (picture instanceof HTMLCanvasElement) return drawn(picture, what);
  const isElement = picture instanceof HTMLImageElement;
  const address = isElement ? picture.currentSrc || picture.src : picture;
  if (!isElement && typeof address !== "string" && !(address instanceof URL)) {
    throw new EngineError("picture", `The ${what} is no picture: give a Blob, bytes, an address or an element.`);
  }
  try {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new EngineError(
      "picture",
      `The ${what} at ${address} cannot be fetched (${why}): its server may not let pages read it.`,
    );
  }
}

/** @param {HTMLCanvasElement} canvas @param {string} what @returns {Promise<Uint8Array>} */
async function drawn(canvas, what) {
  /** @type {Blob | null} */
  const blob = await new Promise((resolve, reject) => {
    try {
      canvas.toBlob(resolve);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      reject(new EngineError("picture", `The canvas of the ${what} cannot be read (${why}).`));
    }
  });
  if (!blob) throw new EngineError("picture", `The canvas of the ${what} is empty.`);
  return new Uint8Array(await blob.arrayBuffer());
}

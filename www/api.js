// The JavaScript API of StyleID: the page's own worker behind two calls. It works from any page of this site. Pages of
// other sites can use it if this site's server sends `Access-Control-Allow-Origin`, as GitHub Pages does.
//
//   import { LOOKS, StyleID } from "https://example.github.io/styleid/api.js";
//   const styleid = await StyleID.load({ model: "demo" });
//   const { blob } = await styleid.stylize({ content: photo, style: painting, ...LOOKS.painted, gamma: 0.6 });
//   image.src = URL.createObjectURL(blob);
//
// Every failure is an EngineError: `kind` is its category, `message` is one sentence for the user.

import { DEVICE_CHOICES } from "./engine/adapter.js";
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
import { SECONDS, sentenceOf, testedDevice, textOf } from "./engine/self-test.js";

export { EngineError };

/**
 * Named sets of settings, the same as the command line's `--look`: tint, gentle, painted and bold, ordered from closest
 * to the photo to closest to the painting. Each uses the version `fast`, which does half the work of the default.
 * @type {Record<string, Partial<Options>>}
 */
export const LOOKS = Object.fromEntries(
  PRESETS.filter(({ options }) => options.preset === "fast").map(({ id, options }) => [id, { ...options }]),
);

/**
 * @typedef {import("./engine/adapter.js").DeviceChoice} DeviceChoice
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
 * @typedef {Blob | ArrayBuffer | Uint8Array | URL | string | HTMLImageElement | HTMLCanvasElement} Picture a picture
 *   file's bytes, its address, or an element that shows it; PNG, JPEG, WebP, GIF and more
 * @typedef {{ picture: Picture, crop?: Crop | null, weight?: number, mask?: Picture | null }} Style one of several:
 *   `weight` is above 0 (default 1); `mask` is a PNG stretched over the photo, white where this style applies
 * @typedef {{ content: Picture, crop?: Crop | null, style?: Picture | Style, styles?: (Picture | Style)[] }} Pictures
 *   give `style`, or one to four `styles`; `crop` is in pixels of the upright photo
 *
 * @typedef {object} LoadOptions
 * @property {string | URL | Iterable<File>} [model] an id of this site's list ("demo", "sd15-q8", …), `owner/repo` on
 *   the Hugging Face Hub with optional `@revision` and `/file`, an address, or files; "demo" by default
 * @property {string | URL | Iterable<File> | null} [vae] a VAE that replaces the model's, or supplies one that it
 *   lacks; same forms as `model`
 * @property {string | URL | Iterable<File> | null} [rest] the model that supplies parts missing from this one: a lone
 *   UNet has neither VAE nor text encoder; same forms as `model`
 * @property {WeightType} [weights] storage type of the weights: exact, f32, f16, q8 or q4; the model's own by default
 * @property {"epsilon" | "v_prediction"} [prediction] what the UNet predicts, for files that do not record it
 * @property {string} [hub] another address for the Hub, such as a mirror's
 * @property {number} [gpuBytes] GPU memory budget of a run, weights included; by default the weights plus at most 1 GiB
 * @property {DeviceChoice} [device] what to compute on: "gpu", "cpu" (the processor), or
 *   "auto", the default, which is the GPU, and the processor where there is none or only an emulated one
 * @property {boolean} [halfPrecision] whether the UNet's activations are f16, on GPUs with the feature `shader-f16`
 *
 * @typedef {object} Listeners
 * @property {(event: ProgressEvent) => void} [onProgress] `{phase, step, steps}`; steps are bytes while a model loads
 * @property {(sentence: string) => void} [onNotice] a warning for the user: something unusual, but no failure
 * @property {(preview: Preview) => void} [onPreview] `{width, height, rgba, step, steps}`, if `previewEvery` is above 0
 * @property {AbortSignal} [signal] ends the call with an error of kind "cancelled"
 *
 * @typedef {object} Result
 * @property {Blob} blob a PNG, with the settings in its metadata
 * @property {number} width
 * @property {number} height
 * @property {number} seconds that the run took
 * @property {number} unetCalls evaluations of the UNet, one per picture and step; fewer if inversions were reused
 * @property {number} gpuBytesReserved peak GPU memory, in bytes
 */

/** A loaded model. It owns a worker and a GPU device until `dispose`. */
export class StyleID {
  #engine;
  /** @type {[ModelOptions, import("./styleid.js").PickedFile[]]} */ #model;
  /** The model's description. @type {ModelInfo} */ info;

  /**
   * Use `StyleID.load` instead.
   * @param {Engine} engine @param {[ModelOptions, import("./styleid.js").PickedFile[]]} model @param {ModelInfo} info
   */
  constructor(engine, model, info) {
    this.#engine = engine;
    this.#model = model;
    this.info = info;
  }

  /**
   * Loads a model from the cache on this computer's disk, or else over the network, without asking for consent. Stable
   * Diffusion is a download of some gigabytes from the Hub; the demonstration model is 12 MB from this site.
   * @param {LoadOptions} [options] @param {Pick<Listeners, "onProgress" | "onNotice" | "signal">} [listeners]
   * @returns {Promise<StyleID>}
   */
  static async load(options = {}, listeners = {}) {
    const { model = "demo", rest, vae, weights, prediction, hub, gpuBytes, halfPrecision, device = "auto" } = options;
    if (!DEVICE_CHOICES.includes(device)) {
      throw new EngineError("settings", `“${device}” is no device: give one of ${DEVICE_CHOICES.join(", ")}.`);
    }
    const named = {
      ...(await findModel(model)),
      rest: rest == null ? null : await findModel(rest),
      vae: vae == null ? null : await findModel(vae, "VAE"),
    };
    const reference = parseReference(named.source);
    // A single weights file does not record what its UNet predicts, so the list's entry is used.
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
    const engine = new Engine({ device });
    try {
      return new StyleID(engine, loaded, await engine.load(...loaded, forEngine(listeners)));
    } catch (error) {
      engine.dispose();
      throw error;
    }
  }

  /**
   * Repaints `content` in the style of `style`. The other fields are the method's settings (styleid.d.ts, `Options`). A
   * field that is left out has its default, independent of the page's initial look (see `LOOKS`). Another run on the
   * same pictures with other settings is faster, because it reuses their inversions. One call at a time.
   * @param {Pictures & Options} request @param {Listeners} [listeners] @returns {Promise<Result>}
   */
  async stylize({ content, crop, style, styles, ...options }, listeners = {}) {
    const request = await requestOf({ content, crop, style, styles });
    const calls = forEngine(listeners);
    // Returns at once if the worker still holds the model; after a lost device or a crash it loads again from disk.
    this.info = await this.#engine.load(...this.#model, calls);
    const { png, ...facts } = await this.#engine.stylize(request, options, calls);
    return { blob: new Blob([png], { type: "image/png" }), ...facts };
  }

  /**
   * Measures how much of the photo is preserved in `result`, and how close it is to its styles. Takes the request of
   * `stylize` plus the resulting picture; weights, masks and settings are ignored. The first call fetches 4.9 MB from
   * this site. One call at a time, `stylize` included.
   * @param {Pictures & { result: Picture }} request @param {Pick<Listeners, "signal">} [listeners]
   * @returns {Promise<Measures>} `{lpips, styles: [{styleDistance, histogram}]}`
   */
  async measure({ result, ...pictures }, { signal } = {}) {
    return measure(this.#engine, await requestOf(pictures), await bytesOf(result, "result"), { signal });
  }

  /**
   * Tests each kind of kernel on this device against known values, in a separate worker and without a model. `sentence`
   * sums up the outcome for the user, `text` is for a bug report. If the GPU is lost or rejects a kernel, `onKernel` is
   * called for that kernel and the test then fails with an EngineError.
   * @param {{ seconds?: number, device?: DeviceChoice, onKernel?: (kernel: KernelTest, of: number) => void, signal?: AbortSignal }} [options]
   *   no further kernel is started after `seconds` (10)
   * @returns {Promise<SelfTest & { sentence: string, text: string }>}
   */
  static async selfTest({ seconds = SECONDS, device = "auto", ...options } = {}) {
    const engine = new Engine({ device });
    try {
      const test = await engine.selfTest(seconds, options);
      const tested = testedDevice(engine);
      const sentence = sentenceOf(test.kernels, tested);
      return { ...test, sentence, text: textOf(test.kernels, sentence, test.seconds, tested) };
    } finally {
      engine.dispose();
    }
  }

  /** Pauses the running `stylize` until `resume`; it can still be cancelled. */
  pause() {
    this.#engine.pause();
  }

  resume() {
    this.#engine.resume();
  }

  /** Ends the worker, which frees its memory and the GPU's. Running calls fail with kind "cancelled". */
  dispose() {
    this.#engine.dispose();
  }
}

/** @param {Listeners} listeners */
const forEngine = ({ onProgress: onEvent, onNotice, onPreview, signal }) => ({ onEvent, onNotice, onPreview, signal });

/** @param {NonNullable<LoadOptions["model"]>} wanted @param {"model" | "VAE"} [what] expected kind, for messages */
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

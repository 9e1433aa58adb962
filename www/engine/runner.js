// Runs one job: consent to the download, loading the model, the run itself, and at most one automatic retry.

import { hasVectors } from "./adapter.js";
import { adviceAfter, changed } from "./recovery.js";
import { KeptInversions } from "./kept-inversions.js";
import { filesOf, identityOfParts, isRemote, isSmall, needsConsent, partsOf } from "./models.js";
import { estimate, guessedPace, knownPace, learnPace, learnRate, paceKey, ratedPace, workOf } from "./pace.js";
import { STABLE_DIFFUSION, callsAStep, fitLayers, layersFor, stepsOf, usualLayers } from "./presets.js";
import { RunProgress } from "./progress.js";

/**
 * @typedef {import("./engine.js").Engine} Engine
 * @typedef {import("./models.js").Model} Model
 * @typedef {import("../styleid.js").Crop} Crop
 * @typedef {import("../styleid.js").ModelOptions} ModelOptions
 * @typedef {import("./presets.js").Options} Options
 * @typedef {import("../styleid.js").Stylized} Stylized
 * @typedef {object} Picture as it was chosen
 * @property {string} id
 * @property {Blob} blob as it was given
 * @property {string} url
 * @property {string} name
 * @property {number} width of the upright picture
 * @property {number} height
 * @property {Crop | null} crop null for the centre crop
 * @property {Map<string, Blob>} masks of a photo: where each painting applies, by the painting's id
 * @property {number} weight of a painting when blended with others
 * @property {string | null} note something unexpected about it, for the user
 * @property {Blob} visible what the browser displays: `blob`, or a PNG of it
 * @property {boolean} isShown whether the browser can display `visible`
 * @property {boolean} hasNoPreview whether neither the browser nor the crate could decode it for display
 * @typedef {{ picture: Picture, crop: Crop | null, weight: number, mask: Blob | null }} Style
 * @typedef {{ photo: Picture, crop: Crop | null, styles: Style[], options: Options, model: Model, loading: ModelOptions,
 *   fragment: string, decoder?: import("./presets.js").Decoder }} Job snapshot of all inputs when the run was
 *   requested; `fragment` is the link to its settings, `decoder` the decoder that `options.layers` refers to, if not
 *   the model's own
 * @typedef {{ job: Job, styled: Stylized, reused: boolean }} Outcome `job` as it finally ran
 * @typedef {ReturnType<RunProgress["update"]>} State
 * @typedef {object} Hooks
 * @property {AbortSignal} signal
 * @property {(state: State, phase: import("../styleid.js").Phase) => void} onState
 * @property {(sentence: string) => void} onNotice
 * @property {() => void} [onRetry] the job starts over, perhaps in another worker
 * @property {(preview: import("../styleid.js").Preview) => void} onPreview
 * @property {(info: import("../styleid.js").ModelInfo, job: Job) => void} onLoaded
 */

/** The user declined a download. */
export class Declined extends Error {}

/** A run that finally failed, with changes that the user may try. */
export class Failure extends Error {
  /** @param {string} sentence @param {import("./recovery.js").Change[]} offers @param {unknown} cause */
  constructor(sentence, offers, cause) {
    super(sentence, { cause });
    this.offers = offers;
  }
}

/** The longest side of all pictures of a job, cropped, in pixels. @param {Job} job */
const longestSide = ({ photo, crop, styles }) => {
  const parts = [crop ?? photo, ...styles.map(({ picture, crop }) => crop ?? picture)];
  return Math.max(...parts.flatMap(({ width, height }) => [width, height]));
};

/** Approximate number of previews per run: each costs almost nothing, but more would not help. */
const PREVIEWS = 10;

/** @param {Picture} picture @param {Crop | null} crop */
const identity = ({ id }, crop) => JSON.stringify([id, crop]);

export class Runner {
  #engine;
  #mayLoad;
  #mayTake;
  #isKept;
  #kept = new KeptInversions();
  /** Descriptions of models loaded before, by id. @type {Map<string, import("../styleid.js").ModelInfo>} */ #met =
    new Map();
  #isLoading = false;
  /** Pace keys of runs that the GPU has warmed up for. @type {Set<string>} */ #warm = new Set();

  /**
   * @param {Engine} engine
   * @param {{ mayLoad: (model: Model, loading: ModelOptions) => Promise<boolean>,
   *   mayTake: (model: Model, seconds: number | null) => Promise<boolean>,
   *   isKept: (model: Model, loading: ModelOptions) => boolean }} models `mayTake` asks whether a large model may take so
   *   long on the processor
   */
  constructor(engine, { mayLoad, mayTake, isKept }) {
    this.#engine = engine;
    this.#mayLoad = mayLoad;
    this.#mayTake = mayTake;
    this.#isKept = isKept;
  }

  /**
   * A model's layers, or a guess before it is loaded.
   * @param {Model} model @returns {import("./presets.js").Decoder}
   */
  decoderOf({ id, decoder, injectionLayers, nativeSize }) {
    const met = this.#met.get(id);
    if (met) return met;
    return {
      decoder: decoder ?? STABLE_DIFFUSION.decoder,
      injectionLayers: injectionLayers ?? null,
      nativeSize: nativeSize ?? STABLE_DIFFUSION.nativeSize,
      isGuess: decoder === undefined,
    };
  }

  /** What the first of these jobs reuses, and how long all of them take in order. @param {Job[]} jobs at least one */
  forecast(jobs) {
    const kept = this.#kept.copy();
    const warm = new Set(this.#warm);
    const first = kept.of(this.#run(jobs[0]));
    let seconds = /** @type {number | null} */ (0);
    for (const job of jobs) {
      const key = this.#paceKey(job);
      const one = estimate(knownPace(key), {
        options: job.options,
        isWarm: warm.has(key),
        ...kept.of(this.#run(job)),
      });
      seconds = one === null || seconds === null ? null : seconds + one;
      kept.note(this.#run(job));
      warm.add(key);
    }
    return { ...first, seconds, isFirst: !this.#kept.hasAny };
  }

  /**
   * Estimates the time of a picture without cached inversions, from rates measured with this model or another one.
   * @param {Model} model @param {ModelOptions} loading @param {Options} options
   * @returns {{ seconds: number, isBound: boolean } | null} `isBound`: only an upper bound; null before anything was
   *   measured
   */
  aPicture(model, loading, options) {
    const known = knownPace(paceKey(modelKey(model, loading, this.#engine.choice), options, { width: 1, height: 1 }));
    const rated = known
      ? { pace: known, isBound: false }
      : ratedPace(workOf(model, options.size), undefined, this.#engine.choice);
    const seconds = rated && estimate(rated.pace, { options, photoKept: false, newStyles: 1, isWarm: true });
    return rated && seconds !== null ? { seconds, isBound: rated.isBound } : null;
  }

  /** @param {Job} job @param {Hooks} hooks @returns {Promise<Outcome>} */
  async run(job, hooks) {
    for (let tries = 1, tried = job; ; tries++) {
      try {
        return await this.#once(tried, hooks);
      } catch (error) {
        if (error instanceof Declined || hooks.signal.aborted) throw error;
        const { sentence, retry, offers } = this.#advice(tried, error, tries > 1);
        if (!retry) throw new Failure(sentence, offers, error);
        hooks.onNotice(sentence);
        hooks.onRetry?.();
        if (retry.device) this.#engine.computeOn(retry.device);
        tried = changed(tried, retry);
      }
    }
  }

  /** @param {Job} job @param {unknown} error @param {boolean} isRetry */
  #advice(job, error, isRetry) {
    const { loading, options, model } = job;
    return adviceAfter(error, {
      weights: loading.weights,
      size: options.size,
      side: options.size === "keep" ? longestSide(job) : this.decoderOf(model).nativeSize,
      isFree: !partsOf(model).some(isRemote) && !needsConsent(model, null),
      isLoading: this.#isLoading,
      isRetry,
      canProcess: this.#engine.choice === "auto" && isSmall(model) && hasVectors(),
    });
  }

  /** @param {Job} job @param {Hooks} hooks @returns {Promise<Outcome>} */
  async #once(job, { signal, onState, onNotice, onPreview, onLoaded }) {
    const { loading, model, options } = job;
    await this.#engine.device(); // without a device, no need to ask for consent
    if (this.#engine.isProcessor && !isSmall(model)) {
      const seconds = this.aPicture(model, loading, options)?.seconds ?? onProcessor(model, options);
      if (!(await this.#mayTake(model, seconds))) throw new Declined("Nothing was computed.");
    }
    if (!(await this.#mayLoad(model, loading))) throw new Declined("Nothing was downloaded.");
    const steps = stepsOf(options);
    const key = this.#paceKey(job);
    const { photoKept, newStyles } = this.#kept.of(this.#run(job));
    const progress = new RunProgress({
      isLocal: partsOf(model).every(({ place }) => place === "files") || this.#isKept(model, loading),
      pace: knownPace(key),
      steps,
      photoKept,
      styles: newStyles,
      calls: callsAStep(options),
    });
    const listeners = {
      signal,
      onNotice: (/** @type {string} */ sentence) => {
        progress.notLocal();
        onNotice(sentence);
      },
      onEvent: (/** @type {import("../styleid.js").ProgressEvent} */ event) => {
        if (!signal.aborted) onState(progress.update(event, performance.now()), event.phase);
      },
    };
    const previewEvery = Math.max(1, Math.round(steps / PREVIEWS));
    try {
      const meant = job.decoder ?? this.decoderOf(model);
      this.#isLoading = true;
      const info = await this.#engine.load(loading, filesOf(model), listeners);
      this.#isLoading = false;
      this.#met.set(model.id, info);
      onLoaded(info, job);
      // The layers may have been requested before the model's layers were known.
      const { options: fitting, problem } = fitLayers({ ...options, layers: layersFor(options, meant, info) }, info);
      if (problem) onNotice(problem);
      const done = { ...job, options: fitting, decoder: info };
      const request = await requestOf(done);
      const styled = await this.#engine.stylize(request, { ...fitting, previewEvery }, { ...listeners, onPreview });
      this.#kept.note(this.#run(done));
      this.#warm.add(key);
      learnPace(key, progress.measured);
      learnRate(workOf(model, fitting.size), progress.measured, undefined, this.#engine.choice);
      // If both inversions were reused, only the reverse steps evaluate the UNet.
      return { job: done, styled, reused: styled.unetCalls <= steps * callsAStep(fitting) };
    } catch (error) {
      this.forget(); // it is unknown what a failed or cancelled run leaves in the cache
      learnRate(workOf(model, options.size), progress.measured, undefined, this.#engine.choice);
      throw error;
    }
  }

  /** The engine's cached inversions are no longer known. */
  forget() {
    this.#kept.forget();
    this.#warm.clear();
  }

  /** @param {Job} job */
  #run({ loading, model, options, photo, crop, styles }) {
    const layers = options.layers ?? usualLayers(options.preset, this.decoderOf(model));
    return {
      model: modelKey(model, loading, this.#engine.choice),
      options,
      layers: options.attnInjection ? layers : [],
      photo: identity(photo, crop),
      styles: styles.map((style) => identity(style.picture, style.crop)),
    };
  }

  /** @param {Job} job */
  #paceKey({ loading, model, options, photo, crop }) {
    return paceKey(modelKey(model, loading, this.#engine.choice), options, crop ?? photo);
  }
}

/** @param {Model} model @param {ModelOptions} loading @param {import("./adapter.js").DeviceChoice} device */
const modelKey = (model, { weights, prediction, gpuBytes, halfPrecision }, device) =>
  [identityOfParts(model), weights, prediction, gpuBytes, halfPrecision ? "f16" : "", device === "cpu" ? device : ""]
    .join(" ")
    .trimEnd();

/** A first estimate of a picture's seconds on the processor. @param {Model} model @param {Options} options */
const onProcessor = (model, options) =>
  estimate(guessedPace(workOf(model, options.size)), { options, photoKept: false, newStyles: 1, isWarm: true });

/** A job as the worker's request. @param {Job} job @returns {Promise<import("../styleid.js").Request>} */
export async function requestOf({ photo, crop, styles }) {
  const bytes = async (/** @type {Blob} */ blob) => new Uint8Array(await blob.arrayBuffer());
  return {
    content: await bytes(photo.blob),
    crop,
    styles: await Promise.all(
      styles.map(async ({ picture, crop, weight, mask }) => ({
        picture: await bytes(picture.blob),
        crop,
        weight,
        mask: mask && (await bytes(mask)),
      })),
    ),
  };
}

// Works one job off: the download's consent, the model, the run, and one more try where something was short.

import { adviceAfter, changed } from "./recovery.js";
import { KeptInversions } from "./kept-inversions.js";
import { filesOf, identityOfParts, isRemote, needsConsent, partsOf } from "./models.js";
import { estimate, knownPace, learnPace, learnRate, paceKey, ratedPace, workOf } from "./pace.js";
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
 * @property {Crop | null} crop null takes the middle
 * @property {Map<string, Blob>} masks of a photo: where each painting goes, by the painting's id
 * @property {number} weight of a painting that is blended with others
 * @property {string | null} note what the person might not expect of it
 * @property {Blob} visible what the browser shows: the same, or a PNG of it
 * @property {boolean} isShown whether there is something that the browser can show
 * @property {boolean} hasNoPreview neither the browser nor the crate could make something to show
 * @typedef {{ picture: Picture, crop: Crop | null, weight: number, mask: Blob | null }} Style
 * @typedef {{ photo: Picture, crop: Crop | null, styles: Style[], options: Options, model: Model, loading: ModelOptions,
 *   fragment: string, decoder?: import("./presets.js").Decoder }} Job as everything was when the person said go; `fragment` is
 *   the link to its settings, `decoder` that whose layers they mean, if it is not the model's own
 * @typedef {{ job: Job, styled: Stylized, reused: boolean }} Outcome the job as it was done at last
 * @typedef {ReturnType<RunProgress["update"]>} State
 * @typedef {object} Hooks
 * @property {AbortSignal} signal
 * @property {(state: State, phase: import("../styleid.js").Phase) => void} onState
 * @property {(sentence: string) => void} onNotice
 * @property {() => void} [onRetry] it begins anew, perhaps with another worker
 * @property {(preview: import("../styleid.js").Preview) => void} onPreview
 * @property {(info: import("../styleid.js").ModelInfo, job: Job) => void} onLoaded
 */

/** The person said no to a download. */
export class Declined extends Error {}

/** A run that failed for good, with what the person may try instead. */
export class Failure extends Error {
  /** @param {string} sentence @param {import("./recovery.js").Change[]} offers @param {unknown} cause */
  constructor(sentence, offers, cause) {
    super(sentence, { cause });
    this.offers = offers;
  }
}

/** Pixels of the longer side of the largest picture of a job, as it is given. @param {Job} job */
const longestSide = ({ photo, crop, styles }) => {
  const parts = [crop ?? photo, ...styles.map(({ picture, crop }) => crop ?? picture)];
  return Math.max(...parts.flatMap(({ width, height }) => [width, height]));
};

/** Previews in one run, roughly: each costs next to nothing, but the eye needs no more. */
const PREVIEWS = 10;

/** @param {Picture} picture @param {Crop | null} crop */
const identity = ({ id }, crop) => JSON.stringify([id, crop]);

export class Runner {
  #engine;
  #mayLoad;
  #isKept;
  #kept = new KeptInversions();
  /** What was loaded before, by the models' ids. @type {Map<string, import("../styleid.js").ModelInfo>} */ #met =
    new Map();
  #isLoading = false;
  /** What the GPU has been prepared for since the engine began. @type {Set<string>} */ #warm = new Set();

  /**
   * @param {Engine} engine
   * @param {{ mayLoad: (model: Model, loading: ModelOptions) => Promise<boolean>, isKept: (model: Model, loading: ModelOptions) => boolean }} models
   */
  constructor(engine, { mayLoad, isKept }) {
    this.#engine = engine;
    this.#mayLoad = mayLoad;
    this.#isKept = isKept;
  }

  /** A model's layers, as far as they are known before it is loaded. @param {Model} model @returns {import("./presets.js").Decoder} */
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

  /** What jobs done one after the other will re-use, and how long they will take. @param {Job[]} jobs at least one */
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
   * What a first picture takes here with a model, by what was measured with it or with another one.
   * @param {Model} model @param {ModelOptions} loading @param {Options} options
   * @returns {{ seconds: number, isBound: boolean } | null} `isBound`: at most; null before anything was measured
   */
  aPicture(model, loading, options) {
    const known = knownPace(paceKey(modelKey(model, loading), options, { width: 1, height: 1 }));
    const rated = known ? { pace: known, isBound: false } : ratedPace(workOf(model, options.size));
    const seconds = rated && estimate(rated.pace, { options, photoKept: false, newStyles: 1, isWarm: true });
    return rated && seconds !== null ? { seconds, isBound: rated.isBound } : null;
  }

  /** @param {Job} job @param {Hooks} hooks @returns {Promise<Outcome>} */
  async run(job, hooks) {
    try {
      return await this.#once(job, hooks);
    } catch (error) {
      if (error instanceof Declined || hooks.signal.aborted) throw error;
      const { sentence, retry, offers } = this.#advice(job, error);
      if (!retry) throw new Failure(sentence, offers, error);
      hooks.onNotice(sentence);
      hooks.onRetry?.();
      const other = changed(job, retry);
      try {
        return await this.#once(other, hooks);
      } catch (again) {
        if (again instanceof Declined || hooks.signal.aborted) throw again;
        const last = this.#advice(other, again, true);
        throw new Failure(last.sentence, last.offers, again);
      }
    }
  }

  /** @param {Job} job @param {unknown} error @param {boolean} [isRetry] */
  #advice(job, error, isRetry = false) {
    const { loading, options, model } = job;
    return adviceAfter(error, {
      weights: loading.weights,
      size: options.size,
      side: options.size === "keep" ? longestSide(job) : this.decoderOf(model).nativeSize,
      isFree: !partsOf(model).some(isRemote) && !needsConsent(model, null),
      isLoading: this.#isLoading,
      isRetry,
    });
  }

  /** @param {Job} job @param {Hooks} hooks @returns {Promise<Outcome>} */
  async #once(job, { signal, onState, onNotice, onPreview, onLoaded }) {
    const { loading, model, options } = job;
    await this.#engine.device(); // without one, nobody needs to be asked
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
      // What was asked for before anybody knew which layers there are.
      const { options: fitting, problem } = fitLayers({ ...options, layers: layersFor(options, meant, info) }, info);
      if (problem) onNotice(problem);
      const done = { ...job, options: fitting, decoder: info };
      const request = await requestOf(done);
      const styled = await this.#engine.stylize(request, { ...fitting, previewEvery }, { ...listeners, onPreview });
      this.#kept.note(this.#run(done));
      this.#warm.add(key);
      learnPace(key, progress.measured);
      learnRate(workOf(model, fitting.size), progress.measured);
      // Without an inversion there are only the reverse steps.
      return { job: done, styled, reused: styled.unetCalls <= steps * callsAStep(fitting) };
    } catch (error) {
      this.forget(); // what a run that was ended leaves behind is not known here
      learnRate(workOf(model, options.size), progress.measured);
      throw error;
    }
  }

  /** What the engine has kept is not known any more. */
  forget() {
    this.#kept.forget();
    this.#warm.clear();
  }

  /** @param {Job} job */
  #run({ loading, model, options, photo, crop, styles }) {
    const layers = options.layers ?? usualLayers(options.preset, this.decoderOf(model));
    return {
      model: modelKey(model, loading),
      options,
      layers: options.attnInjection ? layers : [],
      photo: identity(photo, crop),
      styles: styles.map((style) => identity(style.picture, style.crop)),
    };
  }

  /** @param {Job} job */
  #paceKey({ loading, model, options, photo, crop }) {
    return paceKey(modelKey(model, loading), options, crop ?? photo);
  }
}

/** @param {Model} model @param {ModelOptions} loading */
const modelKey = (model, { weights, prediction, gpuBytes, halfPrecision }) =>
  [identityOfParts(model), weights, prediction, gpuBytes, halfPrecision ? "f16" : ""].join(" ").trimEnd();

/** What the worker is asked for. @param {Job} job @returns {Promise<import("../styleid.js").Request>} */
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

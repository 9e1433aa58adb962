// From the go button to finished results: turns the forms into jobs, runs the queue, and reports the outcome.

import { EngineError } from "../engine/engine.js";
import { makeEntry } from "../results/history.js";
import { fileName, save } from "../pictures/images.js";
import { formatBytes, formatDuration } from "../shared/format.js";
import { combine } from "../engine/queue.js";
import { atSize, changed } from "../engine/recovery.js";
import { Declined, Failure } from "../engine/runner.js";
import { began, ended, failed, jobBegan, progressed, retried } from "./run-state.js";
import { toFragment } from "../forms/share.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {import("../results/history.js").Entry} Entry
 * @typedef {import("../engine/runner.js").Job} Job
 * @typedef {import("./run-state.js").Item} Item
 * @typedef {import("./run-state.js").Word} Word
 * @typedef {object} Parts what it works with
 * @property {import("../pictures/picture-slot.js").PictureSlot} photo
 * @property {import("../pictures/picture-slot.js").PictureSlot} painting
 * @property {import("../forms/settings.js").Settings} settings
 * @property {import("../forms/blend-form.js").BlendForm} blend
 * @property {import("../forms/model-form.js").ModelForm} modelForm
 * @property {import("../engine/runner.js").Runner} runner
 * @property {import("../engine/queue.js").Queue<Job, Entry>} queue
 * @property {import("./run-bar.js").RunBar} bar
 * @property {import("../results/result-view.js").ResultView} result
 * @property {(isRunning: boolean) => void} onRunning
 * @property {(entry: Entry) => void} onResult
 * @property {() => void} onLoaded a model has been loaded
 * @property {(sentence: string) => void} onEnd
 */

/**
 * A model's name in a link; null for picked files, which a link cannot name.
 * @param {import("../engine/models.js").Model} model
 */
const nameIn = ({ place, id }) => (place === "files" ? null : id);

export class Workshop {
  #parts;
  /** Cancels the whole queue. @type {AbortController | null} */ #all = null;
  /** Cancels only the current item. @type {AbortController | null} */ #current = null;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  get isRunning() {
    return this.#all !== null;
  }

  /** Checks the inputs, queues the jobs and runs the queue. */
  async start() {
    const { photo, painting, settings, blend, modelForm, queue, bar } = this.#parts;
    if (this.isRunning) return;
    const isMissing = [!photo.picture, !painting.picture];
    const missing = ["a photo", "a painting"].filter((_, i) => isMissing[i]).join(" and ");
    if (missing) return bar.say(`Choose ${missing} first: drop one on its place, or take a sample.`, "problem");
    if (!modelForm.selected) return bar.say("There is no model to run: reload the page.", "problem");
    const problem = modelForm.problem() ?? settings.problem() ?? blend.problem();
    if (problem) return bar.say(problem, "problem");
    try {
      await Promise.all([photo.ready(), painting.ready()]);
    } catch (error) {
      return bar.say(messageOf(error), "problem");
    }
    if (this.isRunning) return; // started again while the samples were being fetched
    queue.add(this.#jobs());
    await this.work();
  }

  /** Runs a result's job once more, whatever the slots hold now. @param {Entry} entry */
  async repeat({ photo, crop, styles, options, model, loading, fragment }) {
    this.#parts.queue.add([{ photo, crop, styles, options, model, loading, fragment }]);
    await this.work();
  }

  /** Runs the queue until it is empty, cancelled, or a download is declined. */
  async work() {
    const { queue, bar, result, onRunning, onEnd } = this.#parts;
    if (this.isRunning) return;
    this.#all = new AbortController();
    const { signal } = this.#all;
    bar.change(began);
    onRunning(true);
    /** @type {Word} */
    let last = { text: "" };
    /** @type {Word} */
    let end = { text: "The page met a fault of its own: reload it.", tone: "problem" };
    try {
      for (let item = queue.start(); item; item = queue.start()) {
        last = await this.#perform(item, signal);
        if (signal.aborted || last.isDeclined) break;
      }
      end = this.#summary(last, signal.aborted);
    } finally {
      this.#all = null;
      bar.change(ended, end);
      result.endPreview();
      onRunning(false);
    }
    if (!signal.aborted) onEnd(end.text);
    this.foretell();
  }

  /** Cancels the run; queued items keep waiting. */
  cancel() {
    this.#all?.abort();
  }

  /** @param {Item} item */
  cancelItem(item) {
    if (item.state === "running") this.#current?.abort();
    else this.#parts.queue.cancel(item);
  }

  /** @param {Item} item */
  retry(item) {
    this.#parts.queue.putBack(item);
    void this.work();
  }

  /** Shows the forecast next to the go button. */
  foretell() {
    const { bar, runner } = this.#parts;
    const jobs = this.#jobs();
    if (jobs.length === 0 || this.isRunning) return bar.foretell(null, 0);
    bar.foretell(runner.forecast(jobs), jobs.length);
  }

  /** Saves all results of the queue as one ZIP. */
  async saveZip() {
    const { zip } = await import("../results/zip.js");
    const entries = this.#parts.queue.done.map(async ({ result: entry }) => {
      const { png, photo, styles, at } = /** @type {Entry} */ (entry);
      const name = fileName(
        photo.name,
        styles.map(({ picture }) => picture.name),
      );
      return { name: `${name}.png`, bytes: new Uint8Array(await png.arrayBuffer()), date: at };
    });
    save(zip(await Promise.all(entries)), "StyleID results.zip");
  }

  /** Jobs from the forms' current state, one per result. @returns {Job[]} */
  #jobs() {
    const { photo, painting, settings, blend, modelForm, runner } = this.#parts;
    const model = modelForm.selected;
    if (!model) return [];
    const options = settings.read();
    const loading = modelForm.options(model);
    const { several, mix } = blend;
    const { weights } = loading;
    const fragment = toFragment({
      options,
      model: nameIn(model),
      rest: model.rest ? nameIn(model.rest) : null,
      vae: model.vae ? nameIn(model.vae) : null,
      weights: weights === model.weights ? null : weights,
      prediction: modelForm.chosenPrediction,
      device: modelForm.device,
      several,
      mix,
    });
    return combine(photo.pictures, painting.pictures, several).map(({ photo, styles }) => ({
      photo,
      crop: photo.crop,
      styles: blend.styles(photo, styles),
      options,
      model,
      loading,
      fragment,
      decoder: runner.decoderOf(model),
    }));
  }

  /** Runs one item. @param {Item} item @param {AbortSignal} all @returns {Promise<Word>} the message about it */
  async #perform(item, all) {
    const { queue, bar, result, runner, settings, modelForm, onLoaded, onResult } = this.#parts;
    this.#current = new AbortController();
    const signal = AbortSignal.any([all, this.#current.signal]);
    const count = queue.items.length;
    const place = count > 1 ? `${queue.items.indexOf(item) + 1} of ${count}` : "";
    bar.change(jobBegan, place);
    const { photo, options, crop } = item.job;
    const shape = crop ?? photo;
    result.begin(options.size === "keep" || options.keepAspect ? shape.width / shape.height : 1);
    try {
      const { job, styled, reused } = await runner.run(item.job, {
        signal,
        onState: (progress, phase) => bar.change(progressed, progress, phase),
        onNotice: (text) => bar.notice(text),
        onRetry: () => bar.change(retried),
        onPreview: (preview) => signal.aborted || result.preview(preview),
        onLoaded(info, { model }) {
          settings.setModel(info);
          modelForm.showLoaded(model, info);
          onLoaded();
        },
      });
      const entry = await makeEntry(job, styled, reused);
      queue.finish(item, entry);
      result.show(entry, { isQuiet: count > 1 });
      onResult(entry);
      const memory = formatBytes(styled.gpuBytesReserved);
      const where = styled.gpuBytesReserved > 0 ? `with ${memory} of the GPU's memory` : "on the processor";
      return { text: `Done in ${formatDuration(styled.seconds)}, ${where}.` };
    } catch (error) {
      if (signal.aborted || (error instanceof EngineError && error.kind === "cancelled")) {
        if (all.aborted && count > 1) queue.putBack(item);
        else queue.cancel(item);
        return { text: "Cancelled. Nothing was lost." };
      }
      if (error instanceof Declined) {
        if (count > 1) queue.putBack(item);
        else queue.cancel(item);
        return { text: error.message, isDeclined: true };
      }
      const problem = messageOf(error);
      queue.fail(item, problem);
      if (error instanceof Failure) bar.change(failed, item, error.offers);
      return { text: problem, tone: "problem" };
    } finally {
      this.#current = null;
      result.endPreview();
    }
  }

  /**
   * Retries the failed job with an offered change, and applies the change to the forms for later runs.
   * @param {Item} item @param {import("../engine/recovery.js").Change} change
   */
  tryInstead(item, change) {
    if (this.isRunning) return;
    const { modelForm, settings, queue } = this.#parts;
    const { weights, size } = change;
    const model = modelForm.selected;
    if (weights && model?.id === item.job.model.id) {
      modelForm.select(model, { weights, prediction: modelForm.chosenPrediction });
    }
    if (size) settings.write(atSize(settings.read(), size));
    queue.putBack(item, changed(item.job, change));
    void this.work();
  }

  /** The final message. @param {Word} last @param {boolean} isStopped @returns {Word} */
  #summary(last, isStopped) {
    const { items, waiting, done } = this.#parts.queue;
    if (items.length < 2) return last;
    const failed = items.filter(({ state }) => state === "failed").length;
    const rest = waiting.length > 0 ? ` ${waiting.length} still wait: go on with the queue whenever you like.` : "";
    if (isStopped || last.isDeclined) return { text: last.text + rest };
    const text = `Done: ${done.length} of ${items.length} results.`;
    return failed > 0 ? { text: `${text} ${failed} failed: the queue says why.`, tone: "problem" } : { text };
  }
}

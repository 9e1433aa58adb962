// The page's initial state: its list of models, and the settings in its address.

import { fetchModels, listedOrNamed, selectModel } from "../engine/models.js";
import { fromFragment } from "../forms/share.js";
import { messageOf } from "../shared/message.js";

/**
 * @typedef {object} Parts
 * @property {import("../forms/model-form.js").ModelForm} modelForm
 * @property {import("../forms/settings.js").Settings} settings
 * @property {import("../forms/blend-form.js").BlendForm} blend
 * @property {import("../forms/gpu-form.js").GpuForm} gpu
 * @property {import("./run-bar.js").RunBar} bar
 * @property {import("./advice.js").Advice} advice
 * @property {URLSearchParams} query of the address
 * @property {import("../styleid.js").WeightType | null} weights the query's storage type
 * @property {string[]} problems errors in the query
 */

/** Yields to the event loop, so that the browser can paint and handle input between two pieces of work. */
export const breath = () => new Promise((next) => setTimeout(next));

export class Opening {
  #parts;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Applies the settings in the address's fragment. @returns {string} its errors, as sentences */
  takeLink() {
    const { modelForm, settings, blend, gpu, weights } = this.#parts;
    const link = fromFragment(location.hash);
    if (!link) return "";
    const { shared, problems } = link;
    const named = shared.model === null ? null : selectModel(modelForm.models, shared.model, document.baseURI);
    if (named?.problem) problems.push(named.problem.replace("The address", "The link"));
    else if (named) modelForm.offer(named.models, named.selected);
    const model = modelForm.selected;
    if (model && !named?.problem) {
      /** @param {"rest" | "vae"} part */
      const taken = (part) => {
        const text = shared[part];
        const found = text === null ? null : listedOrNamed(modelForm.models, text, document.baseURI);
        if (text !== null && !found) {
          problems.push(`The link's ${part} is “${text}”, which names no model: it is left out.`);
        }
        return found;
      };
      const whole = { ...model, rest: taken("rest"), vae: taken("vae") };
      modelForm.select(whole, { weights: shared.weights ?? weights ?? model.weights, prediction: shared.prediction });
    }
    if (shared.device) gpu.setDevice(shared.device);
    settings.write(shared.options); // after selecting the model, to which its layers belong
    blend.write(shared);
    if (settings.missing) problems.push(settings.missing);
    return problems.join(" ");
  }

  /** Fetches the list of models, and selects the one in the address. */
  async offerModels() {
    const { modelForm, bar, advice, query, problems } = this.#parts;
    try {
      const listed = await fetchModels(new URL("../models.json", import.meta.url));
      const { models, selected, problem } = selectModel(listed, query.get("model"), document.baseURI);
      modelForm.offer(models, selected);
      await breath();
      advice.recommend();
      await breath();
      const all = [problem, ...problems, this.takeLink()].filter(Boolean).join(" ");
      if (all) bar.say(all, "problem");
      else if (fromFragment(location.hash)) bar.say("The settings of the link are set: choose your pictures.");
    } catch (error) {
      bar.say(messageOf(error), "problem");
    }
  }
}

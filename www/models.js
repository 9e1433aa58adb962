// Which models the page offers, and the one that the page's address asks for.

/** @typedef {{ id: string, name: string, note: string, url: string }} Model `url` is absolute: a folder in diffusers layout */

/** @param {string | URL} list address of models.json @returns {Promise<Model[]>} */
export async function fetchModels(list) {
  const response = await fetch(list);
  if (!response.ok)
    throw new Error(`The list of models could not be fetched (HTTP ${response.status}): reload the page.`);
  const models = /** @type {Model[]} */ (await response.json());
  return models.map((model) => ({ ...model, url: folder(new URL(model.url, response.url)) }));
}

/**
 * The model that `?model=` asks for: an id of the list, or the address of a folder, which is then offered too.
 * @param {Model[]} models @param {string | null} wanted @param {string} base what a relative address is relative to
 * @returns {{ models: Model[], selected: Model, problem: string | null }}
 */
export function selectModel(models, wanted, base) {
  const known = models.find(({ id }) => id === wanted);
  if (known || !wanted) return { models, selected: known ?? models[0], problem: null };
  const url = /[/:.]/.test(wanted) && URL.canParse(wanted, base) ? new URL(wanted, base) : null;
  if (!url || !/^https?:$/.test(url.protocol)) {
    const ids = models.map(({ id }) => id).join(", ");
    const problem = `The address asks for the model “${wanted}”, which is neither one of ${ids} nor a web address: ${models[0].name} is selected instead.`;
    return { models, selected: models[0], problem };
  }
  const other = {
    id: wanted,
    name: `Model at ${url.host}${url.pathname}`,
    note: "From this page's address.",
    url: folder(url),
  };
  return { models: [...models, other], selected: other, problem: null };
}

/** @param {URL} url */
const folder = ({ href }) => (href.endsWith("/") ? href : `${href}/`);

// Which models the page offers, which of them suits this computer, what names one that it does not list, and what is taken for a
// model from others.

import { STABLE_DIFFUSION } from "./presets.js";

/**
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {import("../styleid.js").ModelOptions} ModelOptions
 * @typedef {import("../styleid.js").PickedFile} PickedFile
 * @typedef {import("../styleid.js").WeightType} WeightType
 * @typedef {object} Model
 * @property {string} id
 * @property {string} name
 * @property {string} note
 * @property {string | null} licence null where only the model's own page says it
 * @property {string} [licenceText] address of its text, where that comes with the page
 * @property {number | null} bytes what loading it fetches, roughly; null where nobody knows yet
 * @property {number} [parameters] weights without the text encoder's, where they are fewer than Stable Diffusion's
 * @property {ModelOptions["prediction"]} prediction null leaves it to the files
 * @property {WeightType} weights what to keep them as, unless the person chooses
 * @property {string} source what `loadModel` takes, or the name of what was picked
 * @property {import("../styleid.js").LevelInfo[]} [decoder] layers of a listed model, so that they are shown before it is loaded
 * @property {number[]} [injectionLayers] those that its makers chose for injection, if they did
 * @property {number} [nativeSize] side of the pictures it was trained on, where it is not Stable Diffusion's
 * @property {number} [work] billions of products in a call of its UNet at its own size
 * @property {string} [look] id of the preset that suits it, where that is not the usual one
 * @property {"page" | "hub" | "web" | "files"} place where it comes from: with this page, the Hub, another address, this computer
 * @property {boolean} [start] whether a visit begins with it; with the first where no model says so
 * @property {PickedFile[]} [picked]
 * @property {Model | null} [rest] where the parts are to come from that it lacks
 * @property {Model | null} [vae] whose VAE is to be in place of its own
 * @typedef {object} Device what is known of the computer before anything runs on it
 * @property {boolean} hasGpu that the browser lets the page use
 * @property {boolean} isSoftware whether the processor plays the GPU
 * @property {boolean} isPhone
 * @property {number | null} maxBufferMiB the largest buffer of the GPU's; null where there is none
 * @property {number | null} memoryGiB main memory, as the browser rounds it; null where it does not say
 * @property {number | null} gpuBytes what the person lets a run take on the GPU; null leaves it to the page
 */

/** The Hub and its content network: these hosts, and those below them. The pages' policies list the same. */
export const HUB_HOSTS = ["huggingface.co", "hf.co"];

/** The Hub's own address. */
export const HUB = `https://${HUB_HOSTS[0]}`;

/** Where people copy addresses of the Hub's pages from. */
const HUB_PAGES = [...HUB_HOSTS, `www.${HUB_HOSTS[0]}`];

/** Up to this many bytes a model is fetched without asking. */
const ASK_ABOVE = 50e6;

const GIB = 2 ** 30;

/** Weights of a Stable Diffusion 1.x or 2.x without its text encoder, which is not kept: only one embedding of it is. */
const PARAMETERS = 0.95e9;

/** Beside its weights, what a run at 512 px keeps on the GPU at least, roughly; what it remembers may wait in main memory. */
const BESIDE_WEIGHTS = 0.5 * GIB;

/** From so many weights on a model is no small one for showing: Stable Diffusion's VAE alone has nearly as many. */
const TRUE_SIZE = 1e8;

/** Models whose numbers of weights differ by less are as good as each other. */
const SAME_SIZE = 5e7;

/** Bytes a weight; those of 8 and 4 bits come in groups of 32 with a scale of 16 bits. @type {Record<WeightType, number | null>} */
const BYTES_PER_WEIGHT = { exact: null, f32: 4, f16: 2, q8: 34 / 32, q4: 18 / 32 };

/** What weights can be kept as. */
export const WEIGHT_TYPES = /** @type {WeightType[]} */ (Object.keys(BYTES_PER_WEIGHT));

/** @param {string | URL} list address of models.json @returns {Promise<Model[]>} */
export async function fetchModels(list) {
  const response = await fetch(list);
  if (!response.ok)
    throw new Error(`The list of models could not be fetched (HTTP ${response.status}): reload the page.`);
  /** @type {(Omit<Model, "place" | "source"> & { url?: string, source?: string })[]} */
  const models = await response.json();
  return models.map(({ url, source, licenceText, ...model }) => {
    const text = licenceText && { licenceText: new URL(licenceText, response.url).href };
    const listed = { ...model, ...text, decoder: model.decoder ?? STABLE_DIFFUSION.decoder };
    return source
      ? { ...listed, source, place: "hub" }
      : { ...listed, source: folder(new URL(url ?? "", response.url)), place: "page" };
  });
}

/**
 * The model that `?model=` asks for: an id of the list, or anything that names a model, which is then offered too.
 * @param {Model[]} models @param {string | null} wanted @param {string} base what a relative address is relative to
 * @returns {{ models: Model[], selected: Model, problem: string | null }}
 */
export function selectModel(models, wanted, base) {
  const known = models.find(({ id }) => id === wanted);
  const first = models.find(({ start }) => start) ?? models[0];
  if (known || !wanted) return { models, selected: known ?? first, problem: null };
  const other = namedModel(wanted, base);
  if (!other) {
    const ids = models.map(({ id }) => id).join(", ");
    const problem = `The address asks for the model “${wanted}”, which is neither one of ${ids} nor the name of one on the Hugging Face Hub nor a web address: ${first.name} is selected instead.`;
    return { models, selected: first, problem };
  }
  return { models: [...models, other], selected: other, problem: null };
}

/**
 * The model that a person names: `owner/repo[@revision][/file]`, a page of the Hub, or another web address. Addresses
 * relative to `base` begin with a dot or a slash, as `models/x` is a name on the Hub.
 * @param {string} text @param {string} base @returns {Model | null} null where it names none
 */
export function namedModel(text, base) {
  const wanted = text.trim();
  const isRelative = /^\.{0,2}\//.test(wanted);
  const source = isRelative && URL.canParse(wanted, base) ? folder(new URL(wanted, base)) : wanted;
  const reference = parseReference(source);
  if (!reference) return null;
  const shared = { id: wanted, bytes: null, licence: null, prediction: null, weights: weightsOf(wanted) };
  if ("url" in reference) {
    const { host, pathname } = new URL(reference.url);
    const name = `Model at ${host}${pathname.replace(/\/$/, "")}`;
    return { ...shared, name, note: "A model of your own.", source: reference.url, place: "web" };
  }
  const { repo, revision, path } = reference;
  const name = `${path ? `${path.split("/").at(-1)} of ` : ""}${repo}${revision === "main" ? "" : ` @ ${revision}`}`;
  return { ...shared, name, note: "A model of your own, on the Hugging Face Hub.", source, place: "hub" };
}

/**
 * What a person names as an id of the list, or as in `namedModel`.
 * @param {Model[]} models @param {string} text @param {string} base
 */
export const listedOrNamed = (models, text, base) =>
  models.find(({ id }) => id === text.trim()) ?? namedModel(text, base);

/** A model by itself, and those that parts are taken from for it. @param {Model} model @returns {Model[]} */
export const partsOf = (model) => [model, model.rest, model.vae].filter((part) => part != null);

/** What tells a model, with what is taken for it, from the others on this page. @param {Model} model */
export const identityOfParts = ({ id, rest, vae }) =>
  [id, rest ? `rest ${rest.id}` : "", vae ? `vae ${vae.id}` : ""].filter(Boolean).join(" + ");

/** The files that are read for a model. @param {Model} model @returns {PickedFile[]} */
export const filesOf = ({ picked, rest, vae }) => [
  ...(picked ?? []),
  ...(rest?.picked ?? []).map((file) => ({ ...file, part: /** @type {const} */ ("rest") })),
  ...(vae?.picked ?? []).map((file) => ({ ...file, part: /** @type {const} */ ("vae") })),
];

/**
 * What names a model, and what is taken for it, to the crate.
 * @param {Model} model @returns {Pick<ModelOptions, "source" | "rest" | "vae">}
 */
export const sourcesOf = ({ source, rest, vae }) => ({ source, rest: rest?.source ?? null, vae: vae?.source ?? null });

/**
 * The model in what a person picked or dropped.
 * @param {PickedFile[]} picked @param {"model" | "VAE"} [what] that there is to be @returns {Model}
 */
export function pickedModel(picked, what = "model") {
  const files = picked.filter(({ path }) => isWeights(path) || /\.(json|txt)$/i.test(path));
  const weights = files.filter(({ path }) => isWeights(path));
  const [first] = picked;
  const top = first?.path.includes("/") ? first.path.split("/")[0] : null;
  if (weights.length === 0) {
    const place = top ? `the folder “${top}”` : first ? `“${first.path}”` : "what you chose";
    throw new Error(
      `There is no ${what} in ${place}: choose a .gguf, .safetensors or .ckpt file, or a ${what}'s folder in the diffusers layout.`,
    );
  }
  const others = weights.length - 1;
  const name = top ?? `${weights[0].path}${others > 0 ? ` and ${others} more` : ""}`;
  return {
    id: `files:${name}`,
    name,
    note: "A model of your own, read from this computer.",
    licence: null,
    bytes: weights.reduce((sum, { file }) => sum + file.size, 0),
    prediction: null,
    weights: weightsOf(weights[0].path),
    source: name,
    place: "files",
    picked: files,
  };
}

/** @param {string} path */
export const isWeights = (path) => /\.(gguf|safetensors|ckpt|pt|pth|bin)$/i.test(path);

/**
 * Takes apart what names a model elsewhere, as the crate does.
 * @param {string} text @returns {{ repo: string, revision: string, path: string } | { url: string } | null}
 */
export function parseReference(text) {
  const [, scheme, host, rest] = /^(?:(https?):\/\/)?([^/?#]*)\/?([^?#]*)/i.exec(text) ?? [];
  if (HUB_PAGES.includes(host?.toLowerCase())) {
    const parts = rest.split("/").filter(Boolean).map(decode);
    const [owner, repo, verb, ...more] = parts;
    if (/^(api|blog|collections|datasets|docs|models|papers|spaces)$/.test(owner)) return null;
    if (verb === undefined) return hubReference(owner, repo, []);
    return /^(tree|blob|resolve|raw)$/.test(verb) && more.length > 0 ? hubReference(owner, repo, more) : null;
  }
  if (scheme) return host && !/\s/.test(text) && URL.canParse(text) ? { url: text.replace(/#.*/, "") } : null;
  if (text.includes("://")) return null;
  const [owner, name = "", ...more] = text.split("/");
  if (more.at(-1) === "") more.pop(); // one slash at the end does no harm
  const [repo, revision] = name.split(/@(.*)/, 2);
  return hubReference(owner, repo, [revision ?? "main", ...more]);
}

/** @param {string} owner @param {string | undefined} repo @param {string[]} rest the revision's parts, then the path's */
function hubReference(owner, repo, rest) {
  // The revisions of pull requests have slashes: refs/pr/7.
  const revision = rest.length > 0 ? rest.splice(0, rest[0] === "refs" ? 3 : 1).join("/") : "main";
  const isName = (/** @type {string | undefined} */ name) => /^[\w][\w.-]{0,95}$/.test(name ?? "");
  const isPart = (/** @type {string} */ part) => !/^\.{0,2}$|[\\\0\n]/.test(part);
  const isWhole = !revision.startsWith("refs") || /^refs\/[^/]+\/[^/]+$/.test(revision);
  if (!isName(owner) || !isName(repo) || !isWhole || !revision.split("/").every(isName) || !rest.every(isPart)) {
    return null;
  }
  return { repo: `${owner}/${repo}`, revision, path: rest.join("/") };
}

/**
 * The rest of the page's address: how the model is kept, and where the Hub is.
 * @param {URLSearchParams} query @returns {{ weights: WeightType | null, hub: string | null, problems: string[] }}
 */
export function readQuery(query) {
  const problems = [];
  const weights = query.get("weights");
  const isType = weights !== null && Object.hasOwn(BYTES_PER_WEIGHT, weights);
  if (weights !== null && !isType) {
    problems.push(
      `The address asks for weights as “${weights}”, which is none of ${WEIGHT_TYPES.join(", ")}: the model's own are taken.`,
    );
  }
  const hub = query.get("hub");
  const url = hub && URL.canParse(hub) ? new URL(hub) : null;
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.pathname === "/" && !url.search && !url.hash;
  if (hub !== null && !isOrigin) {
    problems.push(
      `The address names “${hub}” in place of the Hugging Face Hub, which is no address like https://example.org: the Hub itself is taken.`,
    );
  }
  return {
    weights: isType ? /** @type {WeightType} */ (weights) : null,
    hub: isOrigin ? url.origin : null,
    problems,
  };
}

/** Whether a model comes over the network, from elsewhere than this page. @param {Model} model */
export const isRemote = ({ place }) => place === "hub" || place === "web";

/** Whether loading fetches so much that the person is to be asked. @param {Model} model @param {KeptModel | null} kept */
export const needsConsent = (model, kept) =>
  !kept?.complete && partsOf(model).some(({ place, bytes }) => place !== "files" && (bytes ?? Infinity) > ASK_ABOVE);

/** Bytes that keeping it takes, roughly; null where nobody knows. @param {Model} model @param {WeightType} weights */
export function bytesKept({ bytes, place, parameters }, weights) {
  const each = BYTES_PER_WEIGHT[weights];
  // Of the page's own models only large ones say how many weights they have.
  if (each === null || (place === "page" && parameters === undefined && bytes !== null)) return bytes;
  return (parameters ?? PARAMETERS) * each;
}

/**
 * Bytes that a run at 512 px may well take on a GPU, by what little browsers tell.
 * @param {Device} device
 */
function roomOn({ hasGpu, isSoftware, isPhone, maxBufferMiB, memoryGiB, gpuBytes }) {
  if (!hasGpu || isSoftware) return 0;
  const rooms = [gpuBytes ?? Infinity];
  // A phone ends a page that takes much; one that says nothing of its memory ends it at 1.5 GB.
  if (isPhone) rooms.push((memoryGiB ?? 0) >= 6 ? GIB : 0);
  // Main memory holds what the GPU does not, and is mostly the same where memory is short.
  if (memoryGiB !== null && memoryGiB < 8) rooms.push(memoryGiB < 2 ? 0 : memoryGiB < 4 ? GIB : 1.25 * GIB);
  // No more than every GPU promises: an old or a small one.
  if (maxBufferMiB !== null && maxBufferMiB <= 256) rooms.push(1.25 * GIB);
  return Math.min(...rooms);
}

/** Whether it is of true size and lies with the page, where its owner packed it. @param {Model} model */
const isPacked = ({ place, parameters = 0 }) => place === "page" && parameters >= TRUE_SIZE;

/**
 * The model that suits a computer best: of those that fit, one that lies with the page before those that are fetched from
 * elsewhere, then the one with the most weights, then the smallest download. Those elsewhere have at least 8 bits; what lies with
 * the page has those that its owner chose. What the page shows the method with, where none fits.
 * @param {Model[]} models @param {Device} device @returns {Model | null} null for a list without any of these
 */
export function recommended(models, device) {
  const room = roomOn(device);
  const needs = (/** @type {Model} */ model) => (bytesKept(model, model.weights) ?? Infinity) + BESIDE_WEIGHTS;
  const sizeOf = (/** @type {Model} */ { parameters = PARAMETERS }) => Math.round(parameters / SAME_SIZE);
  // Larger pictures take several times the memory and time: nobody's first choice.
  const isPlain = (/** @type {Model} */ { place, weights, nativeSize = 512 }) =>
    (place === "page" || (place === "hub" && weights !== "q4")) && nativeSize <= 512;
  const isTrue = (/** @type {Model} */ model) => model.place !== "page" || isPacked(model);
  const fitting = models.filter(
    (model) => model.bytes !== null && isTrue(model) && isPlain(model) && needs(model) <= room,
  );
  fitting.sort(
    (a, b) => Number(isPacked(b)) - Number(isPacked(a)) || sizeOf(b) - sizeOf(a) || Number(a.bytes) - Number(b.bytes),
  );
  return fitting[0] ?? models.find((model) => model.place === "page" && !isPacked(model)) ?? null;
}

/** @param {Model} model @param {string | null} hub @returns {string} whom the person gets it from */
export function hostOf({ place, source }, hub) {
  return place === "hub" ? new URL(hub ?? HUB).host : place === "files" ? "" : new URL(source).host;
}

/** Where a person can read about it. @param {Model} model @param {string | null} hub */
export function pageOf({ place, source }, hub) {
  const reference = parseReference(source);
  return place === "hub" && reference && "repo" in reference ? `${hub ?? HUB}/${reference.repo}` : null;
}

/** @param {string} name @returns {WeightType} what a file's name says of its weights; otherwise half precision, which loses nothing to be seen */
const weightsOf = (name) => (/q8_0/i.test(name) ? "q8" : /q4_0/i.test(name) ? "q4" : "f16");

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

/** @param {URL} url */
const folder = ({ href, pathname }) => (href.endsWith("/") || isWeights(pathname) ? href : `${href}/`);

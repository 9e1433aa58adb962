// The models that the page offers: the list, which one suits this computer, references to models outside the list, and
// parts (VAE, text encoder) that a model takes from other models.

import { DEVICE_CHOICES } from "./adapter.js";
import { STABLE_DIFFUSION } from "./presets.js";

/**
 * @typedef {import("./adapter.js").DeviceChoice} DeviceChoice
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {import("../styleid.js").ModelOptions} ModelOptions
 * @typedef {import("../styleid.js").PickedFile} PickedFile
 * @typedef {import("../styleid.js").WeightType} WeightType
 * @typedef {object} Model
 * @property {string} id
 * @property {string} name
 * @property {string} note
 * @property {string | null} licence null if only the model's own page states it
 * @property {string} [licenceText] address of its text, if that comes with the page
 * @property {number | null} bytes approximate download; null if not known yet
 * @property {number} [parameters] parameter count without the text encoder, if lower than Stable Diffusion's
 * @property {ModelOptions["prediction"]} prediction null: as the files say
 * @property {WeightType} weights default storage type of the weights
 * @property {string} source what `loadModel` takes, or the name of the picked files
 * @property {import("../styleid.js").LevelInfo[]} [decoder] layers of a listed model, to show before it is loaded
 * @property {number[]} [injectionLayers] layers that its makers chose for injection, if they did
 * @property {number} [nativeSize] side of its training pictures, if not Stable Diffusion's
 * @property {number} [work] billions of multiplications in one UNet evaluation at its native size
 * @property {string} [look] id of the preset that suits it, if not the usual one
 * @property {"page" | "hub" | "web" | "files"} place its origin: this page, the Hub, another address, this computer
 * @property {boolean} [start] whether it is selected initially; the first of the list if none is marked
 * @property {PickedFile[]} [picked]
 * @property {Model | null} [rest] the model that supplies the parts it lacks
 * @property {Model | null} [vae] the model whose VAE replaces its own
 * @typedef {object} Device what is known of the computer before anything runs on it
 * @property {boolean} hasGpu whether the page can use a GPU
 * @property {boolean} isSoftware whether the GPU is emulated on the CPU
 * @property {boolean} isPhone
 * @property {number | null} maxBufferMiB the GPU's largest buffer; null without a GPU
 * @property {number | null} memoryGiB main memory, as the browser rounds it; null if not reported
 * @property {number | null} gpuBytes the user's GPU memory budget for a run; null for the default
 */

/** The Hub and its CDN: these hosts and their subdomains. The pages' content security policies list the same. */
export const HUB_HOSTS = ["huggingface.co", "hf.co"];

/** The Hub's own address. */
export const HUB = `https://${HUB_HOSTS[0]}`;

/** Hosts of the Hub's web pages, whose addresses people paste. */
const HUB_PAGES = [...HUB_HOSTS, `www.${HUB_HOSTS[0]}`];

/** Downloads above this many bytes need the user's consent. */
const ASK_ABOVE = 50e6;

const GIB = 2 ** 30;

/** Parameters of a Stable Diffusion 1.x or 2.x without its text encoder, of which only one embedding is cached. */
const PARAMETERS = 0.95e9;

/** Approximate minimum GPU memory of a run at 512 px beyond the weights; features can be offloaded to main memory. */
const BESIDE_WEIGHTS = 0.5 * GIB;

/** Parameters from which a model is more than a demonstration: Stable Diffusion's VAE alone has nearly as many. */
const TRUE_SIZE = 1e8;

/** Models whose parameter counts differ by less than this rank as equal. */
const SAME_SIZE = 5e7;

/** Bytes per weight; q8 and q4 have a 16-bit scale per block of 32. @type {Record<WeightType, number | null>} */
const BYTES_PER_WEIGHT = { exact: null, f32: 4, f16: 2, q8: 34 / 32, q4: 18 / 32 };

/** The storage types of weights. */
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
 * The model that `?model=` asks for: an id of the list, or any reference to a model, which is then added to the list.
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
 * The model that the user names: `owner/repo[@revision][/file]`, a page of the Hub, or another web address. Addresses
 * relative to `base` begin with a dot or a slash, because `models/x` is a name on the Hub.
 * @param {string} text @param {string} base @returns {Model | null} null if it is no valid reference
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
 * A model by its id in the list, or by a reference as in `namedModel`.
 * @param {Model[]} models @param {string} text @param {string} base
 */
export const listedOrNamed = (models, text, base) =>
  models.find(({ id }) => id === text.trim()) ?? namedModel(text, base);

/** A model, followed by the models that supply parts of it. @param {Model} model @returns {Model[]} */
export const partsOf = (model) => [model, model.rest, model.vae].filter((part) => part != null);

/** A key for a model together with its parts, unique on this page. @param {Model} model */
export const identityOfParts = ({ id, rest, vae }) =>
  [id, rest ? `rest ${rest.id}` : "", vae ? `vae ${vae.id}` : ""].filter(Boolean).join(" + ");

/** The picked files of a model and its parts. @param {Model} model @returns {PickedFile[]} */
export const filesOf = ({ picked, rest, vae }) => [
  ...(picked ?? []),
  ...(rest?.picked ?? []).map((file) => ({ ...file, part: /** @type {const} */ ("rest") })),
  ...(vae?.picked ?? []).map((file) => ({ ...file, part: /** @type {const} */ ("vae") })),
];

/**
 * The sources of a model and its parts, as the crate takes them.
 * @param {Model} model @returns {Pick<ModelOptions, "source" | "rest" | "vae">}
 */
export const sourcesOf = ({ source, rest, vae }) => ({ source, rest: rest?.source ?? null, vae: vae?.source ?? null });

/**
 * The model in files that the user picked or dropped.
 * @param {PickedFile[]} picked @param {"model" | "VAE"} [what] expected kind, for messages @returns {Model}
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
 * Parses a reference to a model on the Hub or at an address, as the crate does.
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
  if (more.at(-1) === "") more.pop(); // a trailing slash is allowed
  const [repo, revision] = name.split(/@(.*)/, 2);
  return hubReference(owner, repo, [revision ?? "main", ...more]);
}

/** @param {string} owner @param {string | undefined} repo @param {string[]} rest segments of revision and path */
function hubReference(owner, repo, rest) {
  // Revisions of pull requests contain slashes: refs/pr/7.
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
 * The other query parameters of the page's address: storage type of the weights, address of the Hub, and device.
 * @param {URLSearchParams} query
 * @returns {{ weights: WeightType | null, hub: string | null, device?: DeviceChoice, problems: string[] }}
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
  const device = query.get("device");
  const choice = DEVICE_CHOICES.find((each) => each === device);
  if (device !== null && !choice) {
    problems.push(
      `The address asks for the device “${device}”, which is none of ${DEVICE_CHOICES.join(", ")}: the page chooses.`,
    );
  }
  return {
    ...(choice && { device: choice }),
    weights: isType ? /** @type {WeightType} */ (weights) : null,
    hub: isOrigin ? url.origin : null,
    problems,
  };
}

/** Whether a model is downloaded from another site. @param {Model} model */
export const isRemote = ({ place }) => place === "hub" || place === "web";

/** Whether the download is large enough to need consent. @param {Model} model @param {KeptModel | null} kept */
export const needsConsent = (model, kept) =>
  !kept?.complete && partsOf(model).some(({ place, bytes }) => place !== "files" && (bytes ?? Infinity) > ASK_ABOVE);

/** Whether a model is only for demonstration. @param {Model} model */
export const isSmall = ({ place, parameters, bytes }) =>
  place === "page" && parameters === undefined && (bytes ?? Infinity) < 50e6;

/** Approximate size of its cached copy, in bytes; null if unknown. @param {Model} model @param {WeightType} weights */
export function bytesKept({ bytes, place, parameters }, weights) {
  const each = BYTES_PER_WEIGHT[weights];
  // Of the page's own models, only large ones state their parameter count.
  if (each === null || (place === "page" && parameters === undefined && bytes !== null)) return bytes;
  return (parameters ?? PARAMETERS) * each;
}

/**
 * Estimates how many bytes a run at 512 px may take on the GPU, from the little that browsers report.
 * @param {Device} device
 */
function roomOn({ hasGpu, isSoftware, isPhone, maxBufferMiB, memoryGiB, gpuBytes }) {
  if (!hasGpu || isSoftware) return 0;
  const rooms = [gpuBytes ?? Infinity];
  // A phone kills a page that takes much memory; one that does not report its memory kills it at 1.5 GB.
  if (isPhone) rooms.push((memoryGiB ?? 0) >= 6 ? GIB : 0);
  // Main memory takes what does not fit on the GPU, and computers short of memory mostly share it with the GPU.
  if (memoryGiB !== null && memoryGiB < 8) rooms.push(memoryGiB < 2 ? 0 : memoryGiB < 4 ? GIB : 1.25 * GIB);
  // WebGPU's guaranteed minimum, so the GPU is old or small.
  if (maxBufferMiB !== null && maxBufferMiB <= 256) rooms.push(1.25 * GIB);
  return Math.min(...rooms);
}

/** Whether it is a full-size model that the site's owner has packed with the page. @param {Model} model */
const isPacked = ({ place, parameters = 0 }) => place === "page" && parameters >= TRUE_SIZE;

/**
 * The model that suits a computer best. Of the models that fit, one packed with the page ranks before downloads from
 * elsewhere, then the highest parameter count, then the smallest download. Downloads from elsewhere need at least 8
 * bits per weight; packed models may have fewer. If none fits, it is the demonstration model.
 * @param {Model[]} models @param {Device} device @returns {Model | null} null if the list has none of these
 */
export function recommended(models, device) {
  const room = roomOn(device);
  const needs = (/** @type {Model} */ model) => (bytesKept(model, model.weights) ?? Infinity) + BESIDE_WEIGHTS;
  const sizeOf = (/** @type {Model} */ { parameters = PARAMETERS }) => Math.round(parameters / SAME_SIZE);
  // Models for larger pictures take several times the memory and time, so they are not recommended.
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

/** @param {Model} model @param {string | null} hub @returns {string} the host it is downloaded from; "" for files */
export function hostOf({ place, source }, hub) {
  return place === "hub" ? new URL(hub ?? HUB).host : place === "files" ? "" : new URL(source).host;
}

/** The model's web page. @param {Model} model @param {string | null} hub */
export function pageOf({ place, source }, hub) {
  const reference = parseReference(source);
  return place === "hub" && reference && "repo" in reference ? `${hub ?? HUB}/${reference.repo}` : null;
}

/** The type in a file's name, else f16, which loses nothing visible. @param {string} name @returns {WeightType} */
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

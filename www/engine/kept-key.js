// The key under which the crate caches a model on this computer's disk, and the lookup of a model's cached copy.

import { parseReference, partsOf } from "./models.js";

/**
 * @typedef {import("./models.js").Model} Model
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {import("../styleid.js").ModelKey} ModelKey
 * @typedef {import("../styleid.js").WeightType} WeightType
 */

/**
 * Query parameters that distinguish files and are no secret. A model's key includes them and the path, as in the crate.
 */
const TELLING =
  "export file filename filepath format fp id modelversionid name path ref rev revision size type variant versionid".split(
    " ",
  );

/** The cache key of a file at an address, without user name, password, token or signature. @param {string} url */
export function identityOf(url) {
  const [plain] = url.split(/[?#]/);
  const shown = plain.replace(/^([^:]+:\/\/)[^/]*@/, "$1");
  const query = url.replace(/#.*/, "").split("?").slice(1).join("?");
  const telling = query.split("&").filter((parameter) => {
    const [key, ...value] = parameter.split("=");
    return TELLING.includes(key.toLowerCase()) && value.join("=").length <= 200;
  });
  return telling.length > 0 ? `${shown}?${telling.join("&")}` : shown;
}

/** Joins the keys of the parts that make up a model. */
const AND = " + ";

/**
 * The cache key of a model, parts taken from other models included. A mirror's copy of a repository has its own key.
 * @param {Model} model @param {string | null} hub @returns {Omit<ModelKey, "weights"> | null} null if a source
 *   is invalid
 */
export function keyOf(model, hub) {
  const keys = [keyAlone(model, hub)];
  const words = [""];
  for (const [word, other] of /** @type {const} */ ([
    ["rest", model.rest],
    ["VAE", model.vae],
  ])) {
    if (!other) continue;
    keys.push(keyAlone(other, hub));
    words.push(`${word} of `);
  }
  if (keys.includes(null)) return null;
  const joined = (/** @type {"origin" | "revision" | "file"} */ field) => keys.map((key) => key?.[field]).join(AND);
  const origin = keys.map((key, i) => words[i] + key?.origin).join(AND);
  return { origin, revision: joined("revision"), file: joined("file") };
}

/** @param {Model} model @param {string | null} hub @returns {Omit<ModelKey, "weights"> | null} */
function keyAlone({ source, picked }, hub) {
  if (picked) {
    const marks = picked.map(({ path, file }) => `${path}:${file.size}:${file.lastModified}`).sort();
    return { origin: source, revision: marks.join("|"), file: "" };
  }
  const reference = parseReference(source);
  if (!reference) return null;
  if ("url" in reference) return { origin: identityOf(reference.url), revision: "", file: "" };
  const { repo, revision, path } = reference;
  return { origin: hub ? `${hub}/${repo}` : repo, revision, file: path };
}

/**
 * The cached copy of a model, complete or partial.
 * @param {Model} model @param {WeightType} weights @param {KeptModel[]} kept @param {string | null} [hub]
 */
export function keptCopy(model, weights, kept, hub = null) {
  if (partsOf(model).every(({ place }) => place === "files")) return null; // picked files are not cached
  const key = keyOf(model, hub);
  if (!key) return null;
  const isIt = (/** @type {KeptModel} */ { origin, revision = "", file = "", weights: type }) =>
    origin === key.origin && revision === key.revision && file === key.file && type === weights;
  return kept.find(isIt) ?? null;
}

/** The name of a cached model that is not in the page's list. @param {KeptModel} kept */
export function nameOfKept({ origin, revision = "", file = "" }) {
  if (!origin) return "A model of which only a part can be read";
  const files = file.split(AND);
  const names = origin.split(AND);
  return names
    .map((name, i) => {
      const mark = revision.split(AND)[i] ?? "";
      // The revision of picked files is made of their sizes and dates.
      const isNamed = mark && mark !== "main" && !mark.includes(":");
      return `${name}${isNamed ? ` @ ${mark.slice(0, 12)}` : ""}${files[i] ? `/${files[i]}` : ""}`;
    })
    .join(AND);
}

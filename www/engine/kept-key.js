// What a model is kept under on this computer's disk, as the crate has it, and which of the kept ones it is.

import { parseReference, partsOf } from "./models.js";

/**
 * @typedef {import("./models.js").Model} Model
 * @typedef {import("../styleid.js").KeptModel} KeptModel
 * @typedef {import("../styleid.js").ModelKey} ModelKey
 * @typedef {import("../styleid.js").WeightType} WeightType
 */

/**
 * Parameters of an address that tell one file from another and are no secret; a model is kept under these and the path, as the
 * crate does.
 */
const TELLING =
  "export file filename filepath format fp id modelversionid name path ref rev revision size type variant versionid".split(
    " ",
  );

/** What a file at an address is kept under: no name, no password, no token, no signature. @param {string} url */
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

/** Between what a model is put together from. */
const AND = " + ";

/**
 * What a model is kept under, with what is taken for it from others. What a mirror serves under a repository's name is not what
 * the Hub does.
 * @param {Model} model @param {string | null} hub @returns {Omit<ModelKey, "weights"> | null} null where its source names nothing
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
 * What of a model is on the disk.
 * @param {Model} model @param {WeightType} weights @param {KeptModel[]} kept @param {string | null} [hub]
 */
export function keptCopy(model, weights, kept, hub = null) {
  if (partsOf(model).every(({ place }) => place === "files")) return null; // read from where they are
  const key = keyOf(model, hub);
  if (!key) return null;
  const isIt = (/** @type {KeptModel} */ { origin, revision = "", file = "", weights: type }) =>
    origin === key.origin && revision === key.revision && file === key.file && type === weights;
  return kept.find(isIt) ?? null;
}

/** What a kept model is called where the page offers no such model. @param {KeptModel} kept */
export function nameOfKept({ origin, revision = "", file = "" }) {
  if (!origin) return "A model of which only a part can be read";
  const files = file.split(AND);
  const names = origin.split(AND);
  return names
    .map((name, i) => {
      const mark = revision.split(AND)[i] ?? "";
      // What picked files have for a revision is their sizes and dates.
      const isNamed = mark && mark !== "main" && !mark.includes(":");
      return `${name}${isNamed ? ` @ ${mark.slice(0, 12)}` : ""}${files[i] ? `/${files[i]}` : ""}`;
    })
    .join(AND);
}

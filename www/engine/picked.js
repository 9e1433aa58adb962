// Model files that the user picks or drops: telling a model from a picture, and reading a dropped folder.

import { isWeights } from "./models.js";

/** @typedef {import("../styleid.js").PickedFile} PickedFile */

/** Folder depth to read: a model's own depth, plus one enclosing folder. */
const DEPTH = 3;
/** Files to read at most; a model's folder has fewer. */
const MOST = 2000;

/** The files chosen in a file input. @param {Iterable<File>} files @returns {PickedFile[]} */
export const chosenFiles = (files) =>
  Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file }));

/** Whether a drop is a model, not a picture: weights, or a folder. @param {DataTransfer | null} transfer */
export function isModelDrop(transfer) {
  if (!transfer) return false;
  const isFolder = (/** @type {DataTransferItem} */ item) => item.webkitGetAsEntry?.()?.isDirectory ?? false;
  return [...transfer.files].some(({ name }) => isWeights(name)) || [...transfer.items].some(isFolder);
}

/**
 * The files of a drop, those inside folders included. Call it synchronously in the drop handler: the browser clears the
 * transfer afterwards.
 * @param {DataTransfer} transfer @returns {Promise<PickedFile[]>}
 */
export function droppedFiles(transfer) {
  const found = [...transfer.items]
    .filter(({ kind }) => kind === "file")
    .map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  return (async () => {
    /** @type {PickedFile[]} */
    const files = [];
    for (const { entry, file } of found) {
      if (entry?.isDirectory) await walk(/** @type {FileSystemDirectoryEntry} */ (entry), DEPTH, files);
      else if (file) files.push({ path: file.name, file });
    }
    return files;
  })();
}

/** @param {FileSystemDirectoryEntry} folder @param {number} depth @param {PickedFile[]} files */
async function walk(folder, depth, files) {
  for (const entry of await entriesOf(folder)) {
    if (files.length >= MOST) return;
    if (entry.isFile) {
      const path = entry.fullPath.replace(/^\//, "");
      files.push({ path, file: await fileOf(/** @type {FileSystemFileEntry} */ (entry)) });
    } else if (depth > 0) {
      await walk(/** @type {FileSystemDirectoryEntry} */ (entry), depth - 1, files);
    }
  }
}

/** @param {FileSystemDirectoryEntry} folder */
async function entriesOf(folder) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const entries = [];
  for (;;) {
    // `readEntries` gives about a hundred at a time, and none at the end.
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return entries;
    entries.push(...some);
  }
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

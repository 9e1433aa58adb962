// Dropped files, with fakes of the entries that browsers make for a real drop and tests cannot.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chosenFiles, droppedFiles, isModelDrop } from "../../www/engine/picked.js";

const fileEntry = (fullPath) => ({
  isFile: true,
  isDirectory: false,
  fullPath,
  file: (resolve) => resolve(new File(["x"], fullPath.split("/").at(-1))),
});

/** A fake folder that gives its entries two at a time; browsers give a hundred. */
const folderEntry = (fullPath, entries) => ({
  isFile: false,
  isDirectory: true,
  fullPath,
  createReader() {
    const left = [...entries];
    return { readEntries: (resolve) => resolve(left.splice(0, 2)) };
  },
});

/** A fake of a drop's DataTransfer; once `isOver` is set, its entries are gone, as after the event. */
function transferOf(entries) {
  const transfer = { files: entries.map(({ fullPath }) => new File([], fullPath.slice(1))) };
  transfer.items = entries.map((entry, i) => ({
    kind: "file",
    webkitGetAsEntry: () => (transfer.isOver ? null : entry),
    getAsFile: () => (transfer.isOver ? null : transfer.files[i]),
  }));
  return transfer;
}

test("a folder, or a file with weights in its name, is a model", () => {
  assert.ok(isModelDrop(transferOf([folderEntry("/sd", [])])));
  assert.ok(isModelDrop(transferOf([fileEntry("/sd.GGUF")])));
  assert.ok(isModelDrop(transferOf([fileEntry("/a.png"), fileEntry("/b.safetensors")])));
  assert.ok(!isModelDrop(transferOf([fileEntry("/a.png")])));
  assert.ok(!isModelDrop(transferOf([])));
  assert.ok(!isModelDrop(null));
});

test("a dropped folder gives all of its files with their paths, however many", async () => {
  const names = ["a", "b", "c", "d", "e"].map((name) => `/sd/unet/${name}.json`);
  const tooDeep = folderEntry("/sd/1/2/3/4", [fileEntry("/sd/1/2/3/4/y.json")]);
  const deep = folderEntry("/sd/1/2/3", [fileEntry("/sd/1/2/3/x.json"), tooDeep]);
  const folders = [
    folderEntry("/sd/unet", names.map(fileEntry)),
    folderEntry("/sd/1", [folderEntry("/sd/1/2", [deep])]),
  ];
  const transfer = transferOf([folderEntry("/sd", folders), fileEntry("/x.gguf")]);
  const pending = droppedFiles(transfer);
  transfer.isOver = true;
  const files = await pending;
  assert.deepEqual(
    files.map(({ path }) => path),
    [...names.map((name) => name.slice(1)), "sd/1/2/3/x.json", "x.gguf"],
    "and nothing that is deeper than a model's folder goes",
  );
  assert.equal(files[0].file.name, "a.json");
});

test("a chosen file's path is that in its folder, or its name", () => {
  const [loose, inside] = [new File([], "a.gguf"), new File([], "b.json")];
  Object.defineProperty(inside, "webkitRelativePath", { value: "sd/unet/b.json" });
  assert.deepEqual(
    chosenFiles([loose, inside]).map(({ path }) => path),
    ["a.gguf", "sd/unet/b.json"],
  );
});

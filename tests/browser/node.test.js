// The page's program for the processor in Node.js, without a browser.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { notInFirefox } from "./browsers.js";
import { decodePng, encodePng, largestDifference, readGolden, standardDeviation } from "./goldens.js";
import { dist } from "./page.js";

/** Largest difference of a channel, of 255, as in browsers. */
const TOLERANCE = 2;
const models = fileURLToPath(new URL("../fixtures/models/", import.meta.url));
const contract = JSON.parse(await readFile(new URL("../contract.json", import.meta.url), "utf8"));

/** @type {typeof import("../../www/styleid.js")} */
let program;
before(async () => {
  // What a worker has and Node.js lacks, as far as the program asks for it.
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { storage: {} } });
  globalThis.WorkerGlobalScope = class {
    static [Symbol.hasInstance] = () => true;
  };
  program = await import(pathToFileURL(path.join(dist, "processor.js")).href);
  program.initSync({ module: await readFile(path.join(dist, "processor_bg.wasm")) });
  assert.equal((await program.openDevice()).kernels, "processor");
});

/** A model's folder as a person drops it. @param {string} model */
async function dropped(model) {
  const names = await readdir(models + model, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (file) => ({
      path: path.relative(models, file),
      file: new File([await readFile(file)], path.basename(file)),
    })),
  );
}

for (const [model, golden] of [
  ["micro15", "micro15.diffusers.n4.rect"],
  ["micro21b", "micro21b.diffusers.n4"],
]) {
  test(`${golden}: the picture is the reference's`, notInFirefox("no browser is needed"), async (t) => {
    const { content, style, image } = await readGolden(golden);
    const loading = { source: null, weights: "exact", prediction: null, hub: null };
    await program.loadModel(loading, await dropped(model), () => {});
    const request = { content: encodePng(content), styles: [{ picture: encodePng(style) }] };
    const options = { ...contract.defaults, preset: "diffusers", steps: 4, size: "keep", previewEvery: 0 };
    const { png } = await program.stylize(request, options, () => {});
    const { rgb } = decodePng(Buffer.from(png));
    assert.ok(standardDeviation(rgb) > 20, "the picture is flat");
    const difference = largestDifference(rgb, image.rgb);
    t.diagnostic(`largest difference ${difference} of 255`);
    assert.ok(difference <= TOLERANCE, `${difference} of 255 away from the reference`);
  });
}

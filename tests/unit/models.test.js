import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { keepingSentence } from "../../www/page/consent.js";
import { modelFacts, modelTitle } from "../../www/forms/model-form.js";
import {
  HUB_HOSTS,
  bytesKept,
  fetchModels,
  hostOf,
  namedModel,
  needsConsent,
  pageOf,
  parseReference,
  pickedModel,
  readQuery,
  recommended,
  selectModel,
} from "../../www/engine/models.js";
import { keptCopy } from "../../www/engine/kept-key.js";
import { PRESETS, layersOf, usualLayers } from "../../www/engine/presets.js";
import { keptName } from "../../www/page/storage.js";
import { model } from "./model.js";

const base = "https://example.org/styleid/?model=x";
const models = ["a", "b"].map((id) =>
  model({ id, name: `Model ${id}`, source: `https://example.org/styleid/${id}/`, place: "page", bytes: 4e6 }),
);
const select = (wanted) => selectModel(models, wanted, base);

/** The page's own list, and its text. */
async function catalogue() {
  const text = await readFile(new URL("../../www/models.json", import.meta.url), "utf8");
  const [real, url] = [globalThis.fetch, "https://example.org/styleid/models.json"];
  globalThis.fetch = async () => Object.defineProperty(new Response(text), "url", { value: url });
  return { text, listed: await fetchModels(url).finally(() => (globalThis.fetch = real)) };
}

test("the list of models is complete and consistent", async () => {
  const { text, listed } = await catalogue();
  assert.equal(listed[0].id, "demo", "the page starts with what comes with it");
  assert.deepEqual(
    listed.filter(({ start }) => start),
    [listed[0]],
  );
  assert.equal(new Set(listed.map(({ id }) => id)).size, listed.length);
  for (const [i, { url: address, source, files = [] }] of JSON.parse(text).entries()) {
    const { id, name, note, licence, bytes, prediction, weights, place } = listed[i];
    assert.ok(name && note && licence, id);
    assert.ok(Number.isSafeInteger(bytes) && bytes > 1e6, id);
    assert.ok(["epsilon", "v_prediction"].includes(prediction), id);
    assert.ok(["exact", "f32", "f16", "q8", "q4"].includes(weights), id);
    assert.equal(Boolean(address), !source, `${id} has either a url or a source`);
    if (source) {
      const reference = parseReference(source);
      assert.ok(reference?.repo, `${id}: ${source}`);
      assert.equal(place, "hub");
      if (reference.path)
        assert.deepEqual(
          files.map((file) => file.name),
          [reference.path],
          id,
        );
      const total = files.reduce((sum, file) => sum + file.bytes, 0);
      // The token embedding is not fetched: 49,408 rows of at most 1,024 numbers in 16 bits.
      if (total) assert.ok(bytes < total && bytes > total - 102e6, `${id}: ${bytes} of ${total}`);
    } else {
      assert.equal(place, "page");
      assert.ok(bytes < 50e6, `${id} comes with the page`);
    }
  }
  const hub = listed.filter(({ place }) => place === "hub");
  const eightBits = hub.filter(({ weights }) => weights !== "q4");
  assert.equal(hub[0], eightBits.toSorted((a, b) => a.bytes - b.bytes)[0], "the smallest of full quality comes first");
});

test("distilled models are smaller in all that they cost, come first, and have their layers at the same levels", async () => {
  const { listed } = await catalogue();
  const hub = listed.filter(({ place }) => place === "hub");
  const small = hub.filter(({ parameters }) => parameters !== undefined);
  assert.deepEqual(
    small.map(({ id }) => id),
    ["bk-tiny", "bk-small", "bk-base", "bk-v2-tiny"],
  );
  assert.deepEqual(hub.slice(0, small.length), small);
  for (const one of small) {
    const { id, bytes, parameters, decoder, weights } = one;
    // Parameters are fetched in 16 bits, those of the text encoder, too: 85 or 289 million without the token embedding.
    const text = id.includes("v2") ? 289e6 : 85e6;
    assert.ok(Math.abs(bytes - 2 * (parameters + text)) < 0.005 * bytes, `${id}: ${bytes}`);
    assert.ok(bytesKept(one, weights) < 0.72e9, id);
    const usual = ["diffusers", "ldm"].map((version) => usualLayers(version, { decoder, injectionLayers: null }));
    const isTiny = id.endsWith("tiny");
    assert.deepEqual(usual, isTiny ? [[3, 4, 5], [2, 3, 4, 5]] : [[5, 6, 7], [4, 5, 6, 7]]); // prettier-ignore
  }
  for (const { id, decoder, injectionLayers = [], look } of listed) {
    assert.ok(look === undefined || PRESETS.some((preset) => preset.id === look), `${id}: ${look}`);
    assert.ok(
      injectionLayers.every((layer) => layersOf({ decoder }).includes(layer)),
      id,
    );
    const strides = decoder.map(({ stride }) => stride);
    assert.deepEqual(
      strides.toSorted((a, b) => b - a),
      strides,
      `${id}: from the coarsest`,
    );
  }
});

test("what suits a computer depends on its GPU, its memory and what the person lets a run take", async () => {
  const { listed } = await catalogue();
  const desktop = {
    hasGpu: true,
    isSoftware: false,
    isPhone: false,
    maxBufferMiB: 2048,
    memoryGiB: 8,
    gpuBytes: null,
  };
  const on = (changes) => recommended(listed, { ...desktop, ...changes })?.id;
  assert.equal(on({}), "sd15-q8");
  assert.equal(on({ memoryGiB: null }), "sd15-q8", "a browser that does not say");
  assert.equal(on({ memoryGiB: 4 }), "bk-base");
  assert.equal(on({ memoryGiB: 2 }), "bk-tiny");
  assert.equal(on({ memoryGiB: 1 }), "demo");
  assert.equal(on({ maxBufferMiB: 256 }), "bk-base", "a GPU that has only what all have");
  assert.equal(on({ gpuBytes: 2 ** 30 }), "bk-tiny");
  assert.equal(on({ gpuBytes: 1.5 * 2 ** 30 }), "sd15-q8");
  assert.equal(on({ gpuBytes: 16 * 2 ** 30, memoryGiB: 2 }), "bk-tiny", "the least of what limits it");
  assert.equal(on({ isPhone: true }), "bk-tiny");
  assert.equal(on({ isPhone: true, memoryGiB: null }), "demo");
  assert.equal(on({ hasGpu: false, maxBufferMiB: null }), "demo");
  assert.equal(on({ isSoftware: true }), "demo");

  assert.equal(recommended([], desktop), null);
  const [tiny, demo] = ["bk-tiny", "demo"].map((id) => listed.find((one) => one.id === id));
  assert.equal(recommended([demo, tiny], desktop), tiny, "among those that are offered");
  assert.equal(recommended([model({ bytes: null }), model({ place: "web" }), demo], desktop), demo);
  assert.equal(modelTitle(demo, true), "Demonstration · 12 MB · recommended");
  assert.equal(modelTitle(demo, false), "Demonstration · 12 MB");
  assert.equal(modelTitle(demo, true, "about 9 s"), "Demonstration · 12 MB · about 9 s · recommended");
  assert.equal(modelTitle(model({ place: "files" }), false), "Model (yours)");
});

test("a model of true size that lies with the page suits every computer that it fits on", async () => {
  const { listed } = await catalogue();
  const packed = model({ id: "own", place: "page", bytes: 0.54e9, parameters: 943e6, weights: "exact" });
  const small = model({ id: "own-small", place: "page", bytes: 0.25e9, parameters: 407e6, weights: "exact" });
  const device = { hasGpu: true, isSoftware: false, isPhone: false, maxBufferMiB: 2048, memoryGiB: 8, gpuBytes: null };
  const on = (changes, own = [packed, small]) => recommended([...own, ...listed], { ...device, ...changes })?.id;
  assert.equal(on({}), "own", "nothing need be fetched from elsewhere");
  assert.equal(on({ gpuBytes: 2 ** 30 }), "own-small");
  assert.equal(on({ memoryGiB: 1 }), "demo", "not what does not fit, though it is the first of the list");
  assert.equal(on({ hasGpu: false }), "demo");
  assert.equal(on({}, [{ ...packed, nativeSize: 768 }]), "sd15-q8");
  assert.equal(on({}, [{ ...packed, parameters: 9e5 }]), "sd15-q8", "a test model");

  assert.ok(needsConsent(packed, null), "it is fetched, if from here");
  assert.equal(bytesKept(packed, "exact"), 0.54e9);
  assert.ok(bytesKept(packed, "f32") > 3.7e9);
  const facts = modelFacts({ ...packed, source: "https://me.example/m.gguf" }, null, null);
  assert.equal(facts, "540 MB, fetched once from me.example. Licence: A licence.");
});

test("a visit begins with the model that says so, wherever it stands", () => {
  const [first, second] = models;
  const offered = [first, { ...second, start: true }];
  assert.equal(selectModel(offered, null, base).selected, offered[1]);
  assert.equal(selectModel(offered, "a", base).selected, first);
  const { selected, problem } = selectModel(offered, "nonesuch", base);
  assert.equal(selected, offered[1]);
  assert.match(problem, /Model b is selected instead/);
});

test("addresses in the list are relative to it, the licence's too", async (t) => {
  const list = [{ id: "own", url: "models/own/x.gguf?revision=1", licenceText: "models/own/LICENSE.txt" }];
  const [real, url] = [globalThis.fetch, "https://example.org/styleid/models.json"];
  globalThis.fetch = async () => Object.defineProperty(new Response(JSON.stringify(list)), "url", { value: url });
  t.after(() => (globalThis.fetch = real));
  const [own] = await fetchModels(url);
  assert.equal(own.source, "https://example.org/styleid/models/own/x.gguf?revision=1");
  assert.equal(own.licenceText, "https://example.org/styleid/models/own/LICENSE.txt");
  const kept = { folder: "f", origin: own.source, revision: "", file: "", weights: "exact", bytes: 1, complete: true };
  assert.equal(keptCopy(own, "exact", [kept]), kept);
  assert.equal(keptCopy({ ...own, source: own.source.replace("=1", "=2") }, "exact", [kept]), null, "packed anew");
});

test("an id selects its model, nothing selects the first", () => {
  assert.equal(select("b").selected, models[1]);
  assert.equal(select(null).selected, models[0]);
});

test("an address is offered as one more model, its folder ending in a slash where it is relative", () => {
  const { models: offered, selected, problem } = select("https://elsewhere.example/sd/v1/");
  assert.equal(selected.source, "https://elsewhere.example/sd/v1/");
  assert.equal(selected.place, "web");
  assert.equal(selected.name, "Model at elsewhere.example/sd/v1");
  assert.equal(offered.length, 3);
  assert.equal(problem, null);
  assert.equal(select("./models/c").selected.source, "https://example.org/styleid/models/c/");
  assert.equal(select("/c/x.gguf").selected.source, "https://example.org/c/x.gguf");
});

test("a name on the Hub is offered as one more model", () => {
  const { selected, problem } = select("models/c");
  assert.deepEqual([selected.source, selected.place, selected.name], ["models/c", "hub", "models/c"]);
  assert.equal(problem, null);
  assert.equal(select("o/r@v1/a/x-Q8_0.gguf").selected.name, "x-Q8_0.gguf of o/r @ v1");
  assert.equal(select("https://huggingface.co/o/r").selected.place, "hub");
  const weights = (name) => namedModel(name, base).weights;
  assert.deepEqual(["o/r", "o/r/x-Q8_0.gguf", "o/r/x.q4_0.gguf"].map(weights), ["f16", "q8", "q4"]);
});

test("what is none of these gets a sentence, and the first model", () => {
  for (const wanted of ["nonesuch", "javascript:alert(1)", "file:///etc/passwd", "o/r@", "o/r/../x", "https://"]) {
    const { models: offered, selected, problem } = select(wanted);
    assert.equal(selected, models[0], wanted);
    assert.equal(offered.length, 2);
    assert.ok(problem?.includes(wanted));
  }
});

// The crate's own cases: the page finds a model on the disk only if it reads names as the crate does.
test("names are taken apart as the crate does", () => {
  const hub = (repo, revision, path = "") => ({ repo, revision, path });
  const sd = "stable-diffusion-v1-5/stable-diffusion-v1-5";
  for (const [text, expected] of [
    [sd, hub(sd, "main")],
    ["o/r@v1.0", hub("o/r", "v1.0")],
    ["o/r@refs/pr/7", hub("o/r", "refs/pr/7")],
    ["o/r@refs/pr/7/unet/a.safetensors", hub("o/r", "refs/pr/7", "unet/a.safetensors")],
    ["o/r/a b/c.gguf", hub("o/r", "main", "a b/c.gguf")],
    ["o/r@main/x.gguf", hub("o/r", "main", "x.gguf")],
    ["o/r/", hub("o/r", "main")],
    ["http://HuggingFace.co/o/r/", hub("o/r", "main")],
    ["huggingface.co/o/r", hub("o/r", "main")],
    ["https://hf.co/o/r/tree/fp16", hub("o/r", "fp16")],
    ["https://huggingface.co/o/r/tree/main/unet", hub("o/r", "main", "unet")],
    ["https://huggingface.co/o/r/resolve/main/a%20b.gguf?download=true", hub("o/r", "main", "a b.gguf")],
    ["https://huggingface.co/o/r/tree/refs%2Fpr%2F7/vae", hub("o/r", "refs/pr/7", "vae")],
    ["https://example.org/m/x.GGUF?k=1#top", { url: "https://example.org/m/x.GGUF?k=1" }],
    ["https://example.org", { url: "https://example.org" }],
    ["", null],
    ["model", null],
    ["./models/sd15", null],
    ["../o/r", null],
    ["/home/me/model", null],
    ["C:\\models\\sd15", null],
    ["o/r@refs/pr", null],
    ["o//r", null],
    ["o r/x", null],
    ["ftp://example.org/x.gguf", null],
    ["https:///x.gguf", null],
    ["https://huggingface.co/o", null],
    ["https://huggingface.co/datasets/o/r", null],
    ["https://huggingface.co/o/r/discussions/1", null],
    ["https://huggingface.co/o/r/tree", null],
    ["https://huggingface.co/o/r/blob/main/%2e%2e/x", null],
  ]) {
    assert.deepEqual(parseReference(text), expected, text);
  }
});

test("the address may set the weights and another Hub, and what it sets wrongly is said", () => {
  const read = (query) => readQuery(new URLSearchParams(query));
  assert.deepEqual(read(""), { weights: null, hub: null, problems: [] });
  assert.deepEqual(read("weights=q4&hub=http://127.0.0.1:8000/"), {
    weights: "q4",
    hub: "http://127.0.0.1:8000",
    problems: [],
  });
  for (const wrong of [
    "weights=q3",
    "weights=toString",
    "hub=mirror",
    "hub=ftp://a.example",
    "hub=https://a.example/x",
  ]) {
    const { weights, hub, problems } = read(wrong);
    assert.deepEqual([weights, hub, problems.length], [null, null, 1], wrong);
    assert.ok(problems[0].includes(`“${wrong.split(/=(.*)/)[1]}”`), problems[0]);
  }
});

test("picked files are a model where there are weights among them", () => {
  const file = (path, size = 1) => ({ path, file: new File(["x".repeat(size)], path.split("/").at(-1)) });
  const one = pickedModel([file("sd-Q4_0.gguf", 5)]);
  assert.deepEqual(
    [one.name, one.source, one.bytes, one.weights, one.picked.length],
    ["sd-Q4_0.gguf", "sd-Q4_0.gguf", 5, "q4", 1],
  );
  const folder = pickedModel([
    file("sd/unet/config.json", 7),
    file("sd/unet/a.safetensors", 2),
    file("sd/vae/b.safetensors", 3),
    file("sd/tokenizer/merges.txt"),
    file("sd/look.png"),
  ]);
  assert.deepEqual([folder.name, folder.bytes, folder.picked.length], ["sd", 5, 4]);
  // A file with only a UNet, beside the other parts as PyTorch files.
  const beside = [
    "sd/unet-Q8_0.gguf",
    "sd/vae/config.json",
    "sd/vae/diffusion_pytorch_model.bin",
    "sd/text_encoder/config.json",
    "sd/text_encoder/pytorch_model.bin.index.json",
    "sd/text_encoder/pytorch_model-00001-of-00001.bin",
  ].map((path) => file(path, 1));
  assert.deepEqual(pickedModel(beside).picked, beside);
  assert.throws(
    () => pickedModel([file("sd/look.png")]),
    /^Error: There is no model in the folder “sd”: choose a \.gguf/,
  );
  assert.throws(() => pickedModel([file("x.zip")]), /no model in “x\.zip”/);
  assert.throws(() => pickedModel([]), /no model in what you chose/);
  assert.throws(() => pickedModel([file("x.zip")], "VAE"), /^Error: There is no VAE in “x\.zip”: .* a VAE's folder/);
});

test("a model on the disk is found by what it is kept under", () => {
  const kept = (changes) => ({
    folder: "f",
    origin: "o/r",
    revision: "main",
    file: "",
    weights: "q8",
    bytes: 1,
    complete: true,
    ...changes,
  });
  const all = [
    kept({ weights: "q4" }),
    kept({ file: "x.gguf" }),
    kept({ revision: "v1" }),
    kept({ origin: "https://example.org/m/", revision: "", weights: "f16" }),
    { folder: "g", bytes: 5, complete: false },
    kept({}),
  ];
  const find = (source, weights, place = "hub") => all.indexOf(keptCopy(model({ source, place }), weights, all));
  assert.equal(find("o/r", "q8"), 5);
  assert.equal(find("o/r", "q4"), 0);
  assert.equal(find("o/r/x.gguf", "q8"), 1);
  assert.equal(find("https://huggingface.co/o/r/tree/v1", "q8"), 2);
  assert.equal(find("https://example.org/m/", "f16", "web"), 3);
  assert.equal(find("o/r", "f32"), -1);
  assert.equal(find("o/r", "q8", "files"), -1);
  const mirrored = [kept({ origin: "https://mirror.example/o/r" })];
  const ours = model({ source: "o/r", place: "hub" });
  assert.equal(keptCopy(ours, "q8", mirrored), null);
  assert.equal(keptCopy(ours, "q8", all, "https://mirror.example"), null);
  assert.equal(keptCopy(ours, "q8", mirrored, "https://mirror.example"), mirrored[0]);

  const listed = [model({ name: "Known", source: "o/r@v1" })];
  assert.deepEqual(
    all.map((one) => keptName(one, listed)),
    ["o/r", "o/r/x.gguf", "Known", "https://example.org/m/", "A model of which only a part can be read", "o/r"],
  );
});

test("nothing large or of unknown size is fetched without asking, and nothing is asked where nothing is fetched", () => {
  const complete = { folder: "f", bytes: 1e9, complete: true };
  assert.ok(needsConsent(model({}), null));
  assert.ok(needsConsent(model({}), { ...complete, complete: false }));
  assert.ok(needsConsent(model({ bytes: null, place: "web", source: "https://example.org/" }), null));
  assert.ok(!needsConsent(model({}), complete));
  assert.ok(!needsConsent(models[0], null));
  assert.ok(!needsConsent(model({ place: "files" }), null));
});

test("the person is told where a model comes from and whether it stays", () => {
  const web = model({ place: "web", source: "https://example.org/m/" });
  assert.equal(hostOf(model({}), null), "huggingface.co");
  assert.equal(hostOf(model({}), "http://127.0.0.1:8000"), "127.0.0.1:8000");
  assert.equal(hostOf(web, null), "example.org");
  assert.equal(pageOf(model({ source: "o/r@v1/x.gguf" }), null), "https://huggingface.co/o/r");
  assert.equal(pageOf(web, null), null);

  // Published sizes of Stable Diffusion 1.5's UNet and VAE in f16: 1.719 and 0.167 GB.
  assert.ok(Math.abs(bytesKept(model({}), "f16") - 1.886e9) < 0.05e9);
  assert.equal(bytesKept(model({ parameters: 4e8 }), "f16"), 8e8);
  assert.equal(bytesKept(model({}), "exact"), 2e9);
  assert.equal(bytesKept(model({ bytes: null }), "exact"), null);
  assert.equal(bytesKept(models[0], "f32"), 4e6);

  const room = { usage: 1e9, quota: 10e9, available: true };
  assert.match(keepingSentence(1.9e9, room), /^On this computer, about 1\.9 GB, so that it is fetched only once\./);
  assert.match(
    keepingSentence(9.1e9, room),
    /^Probably not: it takes about 9\.1 GB, and this page may store 9\.0 GB more\./,
  );
  assert.match(keepingSentence(null, { ...room, usage: null }), /^On this computer, so that/);
  assert.match(keepingSentence(1, { ...room, available: false }), /^Not on this computer: .* private windows/);
});

test("what is known of a model before it is loaded", () => {
  const copy = { folder: "f", bytes: 1.01e9, complete: true };
  assert.equal(modelFacts(model({}), null, null), "2.0 GB, fetched once from huggingface.co. Licence: A licence.");
  assert.equal(modelFacts(model({}), copy, null), "On this computer, 1.0 GB: nothing is fetched. Licence: A licence.");
  assert.equal(
    modelFacts(model({}), { ...copy, complete: false, bytes: 0.5e9 }, "https://mirror.example"),
    "2.0 GB, fetched once from mirror.example. Partly on this computer, 500 MB: loading goes on from there. Licence: A licence.",
  );
  assert.equal(modelFacts(models[0], null, null), "4.0 MB, comes with this page. Licence: A licence.");
  assert.equal(
    modelFacts(model({ bytes: null, licence: null }), null, null),
    "Size not known yet, fetched once from huggingface.co.",
  );
  assert.equal(
    modelFacts(model({ place: "files", licence: null }), null, null),
    "2.0 GB, read from where it is; nothing is fetched.",
  );
});

test("the pages' policies name this site and the Hub's hosts, and no others", async () => {
  const hosts = HUB_HOSTS.flatMap((host) => [`https://${host}`, `https://*.${host}`]);
  for (const [page, own] of [
    ["index.html", ["'self'"]],
    ["example.html", ["'self'", "blob:"]],
  ]) {
    const text = await readFile(new URL(`../../www/${page}`, import.meta.url), "utf8");
    assert.deepEqual(/connect-src ([^;]+);/.exec(text)?.[1].split(" "), [...own, ...hosts], page);
  }
});

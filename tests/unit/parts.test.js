// Parts that a model takes from other models: another VAE, or the parts that a file with only a UNet lacks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { modelFacts } from "../../www/forms/model-form.js";
import { keptCopy } from "../../www/engine/kept-key.js";
import { filesOf, listedOrNamed, needsConsent, pickedModel, sourcesOf } from "../../www/engine/models.js";
import { question } from "../../www/page/consent.js";
import { keptName } from "../../www/page/storage.js";
import { model } from "./model.js";

const base = "https://example.org/styleid/";
const small = model({ id: "b", source: "https://example.org/styleid/b/", place: "page", bytes: 4e6 });

test("what is taken from other models goes with a model, and each file with its part", () => {
  const picked = (path) => [{ path, file: new File(["x"], path) }];
  const vae = { ...pickedModel(picked("vae.safetensors")), rest: null, vae: null };
  const rest = listedOrNamed([small], " b ", base);
  assert.equal(rest, small, "an id of the list");
  assert.equal(listedOrNamed([small], "o/r", base).source, "o/r");
  assert.equal(listedOrNamed([small], "nonesuch", base), null);
  const whole = { ...pickedModel(picked("unet.gguf")), rest, vae };
  assert.deepEqual(sourcesOf(whole), { source: "unet.gguf", rest: rest.source, vae: "vae.safetensors" });
  assert.deepEqual(
    filesOf(whole).map(({ path, part }) => [path, part ?? null]),
    [
      ["unet.gguf", null],
      ["vae.safetensors", "vae"],
    ],
  );
  assert.deepEqual(sourcesOf(model({})), { source: "o/r", rest: null, vae: null });
  assert.deepEqual(filesOf(model({})), []);
});

test("a copy on the disk is that of a model with the same VAE and the same rest", () => {
  const v = model({ id: "v", source: "o/v" });
  const key = (origin, changes = {}) => ({
    folder: origin,
    origin,
    revision: "main + main",
    file: " + ",
    weights: "q8",
    bytes: 1,
    complete: true,
    ...changes,
  });
  const plain = key("o/r", { revision: "main", file: "" });
  const all = [plain, key("o/r + VAE of o/v"), key("o/r + rest of o/v")];
  const find = (parts) => keptCopy(model(parts), "q8", all)?.folder ?? null;
  assert.equal(find({}), "o/r");
  assert.equal(find({ vae: v }), "o/r + VAE of o/v");
  assert.equal(find({ rest: v }), "o/r + rest of o/v");
  assert.equal(find({ rest: v, vae: v }), null);
  assert.equal(find({ vae: model({ source: "o/v@v1" }) }), null);
  const mine = { place: "files", picked: [{ path: "u.gguf", file: new File(["abc"], "u.gguf", { lastModified: 7 }) }] };
  const kept = key("u.gguf + rest of o/v", { revision: "u.gguf:3:7 + main" });
  const ours = model({ source: "u.gguf", ...mine, rest: v });
  assert.equal(keptCopy(ours, "q8", [kept]), kept, "files, of which a part comes from elsewhere");
  assert.equal(keptCopy({ ...ours, rest: { ...v, ...mine } }, "q8", [kept]), null, "files alone");

  assert.deepEqual(
    [
      ...all,
      kept,
      key("o/r + VAE of o/v", { revision: "v1 + 0123456789abcdef", file: "x.gguf + vae" }),
      { folder: "f", bytes: 1, complete: false },
    ].map((one) => keptName(one, [])),
    [
      "o/r",
      "o/r + VAE of o/v",
      "o/r + rest of o/v",
      "u.gguf + rest of o/v",
      "o/r @ v1/x.gguf + VAE of o/v @ 0123456789ab/vae",
      "A model of which only a part can be read",
    ],
  );
  assert.equal(keptName(all[1], [model({ name: "Known" })]), "o/r + VAE of o/v", "not the model without it");
});

test("a part that is fetched is asked for like a model", () => {
  const complete = { folder: "f", bytes: 1e9, complete: true };
  const unknown = model({ bytes: null, place: "web", source: "https://example.org/vae/" });
  assert.ok(needsConsent({ ...small, vae: unknown }, null));
  assert.ok(needsConsent(model({ place: "files", rest: unknown }), null));
  assert.ok(!needsConsent(model({ place: "files", rest: unknown }), complete));
  assert.ok(!needsConsent(model({ place: "files", vae: model({ place: "files" }) }), null));
});

test("what is asked names all that is fetched, and what of it nobody knows", () => {
  const asked = (...of) => {
    const { terms, ...rest } = question(...of);
    return { ...rest, terms: terms.map(({ word, text }) => word + (text ?? "what its own page says")) };
  };
  assert.deepEqual(asked(model({}), null), {
    title: "Download Model?",
    size: "About 2.0 GB.",
    terms: ["A licence"],
    agree: "Download 2.0 GB",
  });
  const partial = { folder: "f", bytes: 1e9, complete: false };
  assert.deepEqual(asked(model({}), partial), {
    title: "Download Model?",
    size: "About 2.0 GB in all. Part of it is here from an earlier visit; only the rest is fetched.",
    terms: ["A licence"],
    agree: "Download",
  });
  const vae = model({ name: "o/v", bytes: null, licence: null });
  assert.deepEqual(asked(model({ vae }), null), {
    title: "Download Model and the VAE of o/v?",
    size: "About 2.0 GB. The VAE: not known before it begins, 0.2 to 0.4 GB as a rule.",
    terms: ["A licence", "The VAE: what its own page says"],
    agree: "Download",
  });
  const rest = model({ name: "Whole" });
  assert.deepEqual(asked(model({ place: "files", rest, vae: model({ place: "files" }) }), null), {
    title: "Download the rest of Whole?",
    size: "The rest: at most 2.0 GB.",
    terms: ["The rest: A licence"],
    agree: "Download",
  });
});

test("what is known before it is loaded of a model that is put together", () => {
  const copy = { folder: "f", bytes: 1.01e9, complete: true };
  const vae = model({ place: "web", source: "https://example.org/vae/", bytes: null });
  assert.equal(
    modelFacts(model({ vae }), null, null),
    "2.0 GB, fetched once from huggingface.co. The VAE is fetched once from example.org, its size not known yet. Licence: A licence.",
  );
  assert.equal(
    modelFacts(model({ vae }), copy, null),
    "On this computer, 1.0 GB: nothing is fetched. Licence: A licence.",
  );
  assert.equal(
    modelFacts(model({ place: "files", rest: model({}), vae: model({ place: "files", name: "v.gguf" }) }), null, null),
    "2.0 GB, read from where it is. The rest is fetched once from huggingface.co, 2.0 GB at most. The VAE is read from v.gguf.",
  );
});

// The page's line about the chosen model, and what it offers after a picture by the demonstration model.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { modelLine } from "../../www/forms/model-form.js";
import { stepUp, stepUpSentence } from "../../www/page/step-up.js";
import { model } from "./model.js";

/** The page's list, with the fields of `fetchModels` that these tests need. */
const listed = JSON.parse(readFileSync(new URL("../../www/models.json", import.meta.url), "utf8")).map((one) => ({
  ...one,
  place: one.source ? "hub" : "page",
}));

test("one line says what will run and what it costs to get", () => {
  assert.equal(modelLine(model({}), null), "Model · 2.0 GB to fetch, once");
  assert.equal(modelLine(model({}), { complete: true, bytes: 1e9 }), "Model · on this device already");
  assert.equal(modelLine(model({ bytes: null }), null), "Model · a download of unknown size");
  assert.equal(modelLine(model({ place: "files" }), null), "Model · from your files");
  const [demo] = listed.filter(({ id }) => id === "demo");
  assert.equal(modelLine(demo, null), "Demonstration · 12 MB, with this page");
});

test("after the demonstration model, the one that suits the computer is offered, else the full one with its true time", () => {
  const of = (id) => listed.find((one) => one.id === id);
  assert.equal(stepUp(listed, of("bk-tiny")).id, "bk-tiny");
  assert.equal(stepUp(listed, of("demo")).id, "sd15-q8");
  assert.equal(stepUp(listed, null).id, "sd15-q8");
  assert.equal(stepUp([of("demo")], of("demo")), null);
  const full = of("sd15-q8");
  assert.equal(
    stepUpSentence(full, "about 40 s", false),
    "Stable Diffusion 1.5 paints it for real: 1.7 GB once, about 40 s a picture here.",
  );
  assert.equal(stepUpSentence(full, "", true), "Stable Diffusion 1.5 paints it for real: on this device already.");
});

test("every model that paints has its work named, from which its time is told", () => {
  for (const { id, work } of listed) assert.equal(work > 0, !id.startsWith("micro"), id);
});

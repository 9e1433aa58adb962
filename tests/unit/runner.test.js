// One job with a fake engine: consent, recovery, and what is re-used.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError } from "../../www/engine/engine.js";
import { DEFAULTS, STABLE_DIFFUSION } from "../../www/engine/presets.js";
import { Declined, Failure, Runner } from "../../www/engine/runner.js";

const picture = (id) => ({ id, name: id, blob: new Blob([id]), width: 64, height: 64 });
const job = (changes = {}) => ({
  photo: picture("photo"),
  crop: null,
  styles: [{ picture: picture("style"), crop: null, weight: 1, mask: new Blob(["mask"]) }],
  options: { ...DEFAULTS, size: 512, steps: 10 },
  model: { id: "m", place: "page" },
  loading: { source: "m", weights: "f16", prediction: null, hub: null },
  fragment: "",
  ...changes,
});
const styled = { png: new Uint8Array(), width: 1, height: 1, seconds: 1, unetCalls: 30, gpuBytesReserved: 1 };

/** What the engine's model says of itself, unless a test says otherwise. */
const INFO = {
  decoder: [
    { stride: 16, layers: [3] },
    { stride: 8, layers: [9] },
  ],
  injectionLayers: [9],
  nativeSize: 128,
};
/** A distilled model's decoder. */
const TINY = {
  decoder: [
    { stride: 32, layers: [0, 1] },
    { stride: 16, layers: [2, 3] },
    { stride: 8, layers: [4, 5] },
  ],
  injectionLayers: null,
  nativeSize: 512,
};

/** A runner, and the calls that its engine got. `answers` are what `stylize` returns or throws, one after the other. */
function start(answers, { mayLoad = async () => true, info = INFO } = {}) {
  const asked = [];
  const engine = {
    loads: [],
    device: async () => ({}),
    async load(loading, files) {
      asked.push(["load", loading.weights]);
      engine.loads.push([loading, files]);
      return info;
    },
    async stylize(request, options, listeners) {
      asked.push(["stylize", options.size]);
      engine.request = request;
      engine.options = options;
      listeners.onEvent({ phase: "stylize", step: 1, steps: 10 });
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const notices = [];
  const states = [];
  const controller = new AbortController();
  const hooks = {
    signal: controller.signal,
    onState: (state) => states.push(state),
    onNotice: (sentence) => notices.push(sentence),
    onPreview() {},
    onLoaded() {},
  };
  return {
    runner: new Runner(engine, { mayLoad, isKept: () => true }),
    engine,
    asked,
    notices,
    states,
    hooks,
    controller,
  };
}

const memory = () => new EngineError("memory", "The GPU has no memory left.");

test("a run hands over bytes, crops, weights and masks, and asks for previews", async () => {
  const { runner, engine, hooks, states } = start([styled]);
  const crop = { x: 1, y: 2, width: 30, height: 30 };
  const { reused } = await runner.run(job({ crop }), hooks);
  assert.equal(reused, false);
  const text = (bytes) => new TextDecoder().decode(bytes);
  assert.deepEqual([text(engine.request.content), engine.request.crop], ["photo", crop]);
  const [style] = engine.request.styles;
  assert.deepEqual([text(style.picture), style.crop, style.weight, text(style.mask)], ["style", null, 1, "mask"]);
  assert.equal(engine.options.previewEvery, 1);
  assert.equal(states.length, 1);
});

test("the same pictures are foretold as re-used, until something fails", async () => {
  const { runner, hooks } = start([styled, { ...styled, unetCalls: 10 }, new EngineError("picture", "No.")]);
  const again = job();
  assert.equal(runner.forecast([again]).isFirst, true);
  await runner.run(again, hooks);
  const { photoKept, newStyles } = runner.forecast([{ ...again, options: { ...again.options, gamma: 0.1 } }]);
  assert.deepEqual([photoKept, newStyles], [true, 0]);
  assert.equal((await runner.run(again, hooks)).reused, true);
  await assert.rejects(runner.run(again, hooks));
  assert.equal(runner.forecast([again]).photoKept, false);
});

test("a style scale doubles the calls of the reverse steps, in a run that re-uses both inversions, too", async () => {
  const scaled = job({ options: { ...job().options, styleScale: 2 } });
  const { runner, hooks } = start([
    { ...styled, unetCalls: 40 },
    { ...styled, unetCalls: 20 },
  ]);
  assert.equal((await runner.run(scaled, hooks)).reused, false);
  assert.equal((await runner.run(scaled, hooks)).reused, true);
});

test("layers that the model has chosen are the usual ones", async () => {
  const { runner, hooks } = start([styled]);
  const listed = job({ model: { id: "m", place: "page", injectionLayers: [3, 9] } });
  assert.deepEqual(runner.decoderOf(listed.model).injectionLayers, [3, 9], "as the list has it");
  assert.deepEqual(runner.decoderOf(job().model), { ...STABLE_DIFFUSION, isGuess: true }, "not known yet");
  await runner.run(listed, hooks);
  assert.deepEqual(runner.decoderOf(listed.model), INFO, "as the model itself says");
  const isKept = (layers) => runner.forecast([job({ options: { ...job().options, layers } })]).photoKept;
  assert.deepEqual([isKept([9]), isKept(null), isKept([7, 8, 9, 10, 11]), isKept([3])], [true, true, false, false]);
});

test("layers that were chosen before anybody knew which there are become those that the model has", async () => {
  const run = async (layers, changes = {}) => {
    const { runner, hooks, engine, notices } = start([styled, styled], { info: TINY });
    const asked = job({ options: { ...job().options, layers }, ...changes });
    const { job: done } = await runner.run(asked, hooks);
    assert.deepEqual(done.options.layers, engine.options.layers, "the result says what it was made with");
    const told = runner.forecast([done]);
    assert.equal(told.photoKept, true);
    await runner.run(asked, hooks);
    return [engine.options.layers, notices.length, notices[0] ?? null];
  };
  assert.deepEqual(await run(null), [null, 0, null]);
  const decoder = { ...STABLE_DIFFUSION, isGuess: true };
  assert.deepEqual(await run([9, 10, 11], { decoder }), [[4, 5], 0, null], "a preset's: the finest level");
  assert.deepEqual(await run([7, 8, 9, 10, 11], { decoder }), [null, 0, null], "the usual ones");
  assert.deepEqual(await run([0, 5], { decoder }), [[0, 5], 0, null], "the model's own numbers");
  const missing = "This model has no layer 8, but 0 to 5: it is left out.";
  assert.deepEqual(await run([4, 8], { decoder }), [[4], 2, missing]);
});

test("memory that runs out is met once, with a sentence; then the person is offered what else there is", async () => {
  const { runner, hooks, asked, notices } = start([memory(), styled]);
  const { job: done } = await runner.run(job(), hooks);
  assert.equal(notices.length, 1);
  assert.match(notices[0], /^The memory ran out; trying once more /);
  const changed = done.loading.weights !== "f16" || done.options.size !== 512;
  assert.ok(changed, "the job tells what it was done with");
  assert.deepEqual(asked.at(-1), ["stylize", done.options.size]);

  const twice = start([memory(), memory()]);
  await assert.rejects(twice.runner.run(job(), twice.hooks), (error) => {
    assert.ok(error instanceof Failure);
    assert.ok(error.offers.length > 0);
    return true;
  });
  assert.equal(twice.asked.filter(([what]) => what === "stylize").length, 2, "not a third time");
});

test("a GPU that is lost twice makes way for the processor with a small model, and for nothing with a large one", async () => {
  const lost = () => new EngineError("device", "The GPU was lost (unknown): start again.");
  for (const [bytes, expected] of [
    [12e6, 3],
    [1.7e9, 2],
  ]) {
    const { runner, engine, asked, notices, hooks } = start([lost(), lost(), styled]);
    Object.assign(engine, { choice: "auto", isProcessor: false });
    engine.computeOn = (choice) => asked.push(["compute on", (engine.choice = choice)]);
    const run = runner.run(job({ model: { id: "m", place: "page", bytes } }), hooks);
    if (expected === 3) {
      await run;
      assert.deepEqual(asked.at(-3), ["compute on", "cpu"]);
      assert.match(notices[1], /^The GPU was lost .* The processor goes on, which takes longer\.$/);
    } else await assert.rejects(run, Failure);
    assert.equal(asked.filter(([what]) => what === "stylize").length, expected);
  }
});

test("a large model on the processor is asked about, with the time that it takes", async () => {
  for (const agrees of [true, false]) {
    const { engine, asked } = start([styled]);
    Object.assign(engine, { choice: "auto", isProcessor: true });
    const questions = [];
    const mayTake = async ({ id }, seconds) => (questions.push([id, seconds]), agrees);
    const { hooks } = start([]);
    const runner = new Runner(engine, { mayLoad: async () => true, mayTake, isKept: () => true });
    const run = runner.run(job({ model: { id: "large", place: "hub", bytes: 1.7e9, work: 400 } }), hooks);
    if (agrees) await run;
    else await assert.rejects(run, /Nothing was computed/);
    // 30 calls of 400 billion multiplications, 10 billion in a second, and what encodes and decodes.
    assert.equal(questions[0][0], "large");
    assert.ok(questions[0][1] >= 1200 && questions[0][1] < 1500, questions[0][1]);
    assert.equal(asked.length > 0, agrees);
  }
});

test("memory that runs out at the model's own size, and at that of the pictures, is met with a smaller one", async () => {
  const run = async (changes) => {
    const { runner, hooks } = start([memory(), styled], { info: { ...INFO, nativeSize: 512 } });
    const asked = job({ options: { ...DEFAULTS, steps: 10, ...changes.options }, ...changes.job });
    const { options } = (await runner.run(asked, hooks)).job;
    return [options.size, options.keepAspect];
  };
  assert.equal(DEFAULTS.size, null, "what a visitor has");
  assert.deepEqual(await run({ options: {} }), [384, DEFAULTS.keepAspect]);
  const large = { ...picture("large"), width: 3000, height: 900 };
  const keep = { options: { size: "keep" }, job: { photo: large } };
  assert.deepEqual(await run(keep), [1024, true], "and the pictures keep their shapes");
  const crop = { x: 0, y: 0, width: 600, height: 700 };
  assert.deepEqual(await run({ ...keep, job: { photo: large, crop } }), [640, true]);
  const styles = [{ picture: large, crop: null, weight: 1, mask: null }];
  assert.deepEqual(
    await run({ options: { size: "keep" }, job: { styles } }),
    [1024, true],
    "a painting can be the larger",
  );

  const weights = job({ loading: { ...job().loading, weights: "q4" }, options: { ...DEFAULTS, steps: 10 } });
  const twice = start([memory(), memory()], { info: { ...INFO, nativeSize: 512 } });
  await assert.rejects(twice.runner.run(weights, twice.hooks), (error) => {
    assert.deepEqual(error.offers, [{ size: 256 }]);
    return true;
  });
});

test("a fault that trying again does not mend is said at once", async () => {
  const { runner, hooks, asked } = start([new EngineError("settings", "Two sizes cannot be averaged.")]);
  await assert.rejects(runner.run(job(), hooks), { message: "Two sizes cannot be averaged." });
  assert.equal(asked.filter(([what]) => what === "stylize").length, 1);
});

test("a second try is told of, once, and before it begins", async () => {
  const lost = new EngineError("device", "The GPU was lost (unknown): start again.");
  const { runner, hooks, asked } = start([lost, styled]);
  const told = [];
  await runner.run(job(), { ...hooks, onRetry: () => told.push(asked.length) });
  assert.deepEqual(told, [2], "after a load and a run");
});

test("a lost GPU's second try has the same VAE and rest, the files picked for them included", async () => {
  const lost = new EngineError("device", "The GPU was lost (unknown): start again.");
  const { runner, hooks, engine } = start([lost, styled]);
  const file = (name) => ({ path: name, file: new File(["x"], name) });
  const model = {
    id: "m",
    place: "files",
    picked: [file("u.gguf")],
    rest: { id: "r", place: "hub" },
    vae: { id: "files:v", place: "files", picked: [file("v.gguf")] },
  };
  const loading = { source: "u.gguf", rest: "o/r", vae: "v.gguf", weights: "f16", prediction: null, hub: null };
  await runner.run(job({ model, loading }), hooks);
  assert.equal(engine.loads.length, 2);
  for (const [options, files] of engine.loads) {
    assert.deepEqual(options, loading);
    assert.deepEqual(
      files.map(({ path, part }) => [path, part]),
      [
        ["u.gguf", undefined],
        ["v.gguf", "vae"],
      ],
    );
  }
});

test("other weights are tried by themselves only where no part of the model would be downloaded for them", async () => {
  const retried = async (vae) => {
    const { runner, hooks, asked } = start([memory(), styled]);
    await runner.run(job({ model: { id: "m", place: "page", bytes: 12e6, vae } }), hooks);
    return asked.filter(([what]) => what === "load").map(([, weights]) => weights);
  };
  assert.deepEqual(await retried(null), ["f16", "q4"]);
  assert.deepEqual(await retried({ id: "v", place: "files" }), ["f16", "q4"]);
  assert.deepEqual(await retried({ id: "v", place: "hub" }), ["f16", "f16"]);
});

test("a model with another VAE has nothing kept from runs without it", async () => {
  const { runner, hooks } = start([styled]);
  const isKept = (parts) => runner.forecast([job({ model: { id: "m", place: "page", ...parts } })]).photoKept;
  await runner.run(job({ model: { id: "m", place: "page", vae: { id: "v", place: "hub" } } }), hooks);
  const v = { id: "v", place: "hub" };
  assert.deepEqual(
    [isKept({ vae: v }), isKept({}), isKept({ rest: v }), isKept({ rest: v, vae: v })],
    [true, false, false, false],
  );
});

test("without consent nothing is loaded, and a cancel is no failure", async () => {
  const declined = start([], { mayLoad: async () => false });
  await assert.rejects(declined.runner.run(job(), declined.hooks), (error) => error instanceof Declined);
  assert.deepEqual(declined.asked, []);

  const { runner, hooks, controller } = start([new EngineError("cancelled", "Cancelled.")]);
  const run = runner.run(job(), hooks);
  controller.abort();
  await assert.rejects(run, { kind: "cancelled" });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { KeptInversions } from "../../www/engine/kept-inversions.js";
import {
  approximately,
  estimate,
  foretold,
  knownPace,
  learnPace,
  learnRate,
  paceKey,
  ratedPace,
  workOf,
} from "../../www/engine/pace.js";
import { DEFAULTS } from "../../www/engine/presets.js";
import { RunProgress } from "../../www/engine/progress.js";

function storage() {
  const items = new Map();
  return {
    items,
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
  };
}
const PACE = {
  "encode-content": 2,
  "encode-style": 2,
  "invert-content": 1,
  "invert-style": 1,
  stylize: 1.5,
  decode: 4,
  "warm-up": 3,
};
const options = { ...DEFAULTS, steps: 10 };

test("what a run takes: all of it, half of it, or only the painting", () => {
  const all = { options, photoKept: false, newStyles: 1, isWarm: true };
  assert.equal(estimate(PACE, all), 2 + 10 + 2 + 10 + 15 + 4);
  assert.equal(estimate(PACE, { ...all, isWarm: false }), 43 + 3);
  assert.equal(estimate(PACE, { ...all, newStyles: 2 }), 43 + 12);
  assert.equal(estimate(PACE, { ...all, photoKept: true }), 31);
  assert.equal(estimate(PACE, { ...all, photoKept: true, newStyles: 0 }), 19);
  assert.equal(
    estimate(PACE, { ...all, options: { ...options, steps: null, preset: "ldm" } }),
    2 + 50 + 2 + 50 + 75 + 4,
  );
  const fast = { ...options, steps: null, preset: "fast" };
  assert.equal(estimate(PACE, { ...all, options: fast }), 2 + 10 + 2 + 10 + 15 + 4, "ten steps each way");
  assert.equal(estimate(PACE, { ...all, options: { ...fast, redraw: 0.5 } }), 43, "redrawing takes none");
  assert.equal(estimate(PACE, { ...all, options: { ...fast, styleScale: 1.5 } }), 43 + 15, "each reverse step twice");
  assert.equal(estimate(PACE, { ...all, options: { ...fast, styleScale: 1.5, attnInjection: false } }), 43);
  assert.equal(estimate(PACE, { ...all, options: { ...fast, styleScale: 1.5, layers: [] } }), 43);
  assert.equal(estimate(null, all), null);
  assert.equal(estimate({ decode: 4 }, all), null);
});

test("a pace is learned, smoothed, kept for some models, and anything else in its place does no harm", () => {
  const kept = storage();
  learnPace("a", { stylize: 1 }, kept);
  assert.deepEqual(knownPace("a", kept), { stylize: 1 });
  learnPace("a", { stylize: 2, decode: 3 }, kept);
  assert.deepEqual(knownPace("a", kept), { stylize: 1.6, decode: 3 });
  for (let i = 0; i < 30; i++) learnPace(`b${i}`, { stylize: 1 }, kept);
  assert.equal(knownPace("a", kept), null, "the longest unused goes");
  assert.ok(knownPace("b29", kept));
  for (const junk of ["", "null", "[]", "7", "{", '{"a":{"stylize":"x"}}', '{"a":[]}']) {
    kept.setItem("styleid-pace", junk);
    assert.equal(knownPace("a", kept), null, junk);
  }
  const closed = {
    getItem() {
      throw new Error("SecurityError");
    },
    setItem() {
      throw new Error("QuotaExceededError");
    },
  };
  assert.equal(knownPace("a", closed), null);
  learnPace("a", { stylize: 1 }, closed);
});

test("a pace is that of its model and size; of the photo's shape only where that counts", () => {
  const [tall, wide] = [
    { width: 200, height: 300 },
    { width: 300, height: 200 },
  ];
  assert.equal(paceKey("m", options, tall), paceKey("m", { ...options, gamma: 0.1, steps: 3 }, wide));
  assert.notEqual(paceKey("m", options, tall), paceKey("n", options, tall));
  assert.notEqual(paceKey("m", options, tall), paceKey("m", { ...options, size: 256 }, tall));
  const keep = { ...options, size: "keep" };
  assert.notEqual(paceKey("m", keep, tall), paceKey("m", keep, wide));
});

test("with a learned pace the time left is known from the start, and follows this run's own speed", () => {
  const progress = new RunProgress({ pace: PACE, steps: 10 });
  const report = (phase, step, steps, now) => progress.update({ phase, step, steps }, 1000 * now);
  assert.equal(report("encode-content", 0, 1, 0).secondsLeft, 43);
  report("encode-content", 1, 1, 2);
  report("invert-content", 0, 10, 2);
  const { secondsLeft, fraction } = report("invert-content", 1, 10, 4); // twice as slow as learned
  assert.equal(secondsLeft, 2 * (43 - 3));
  assert.equal(fraction, 3 / 43);
});

test("steps of two calls are twice the work, and a call's time is learned", () => {
  const progress = new RunProgress({ pace: PACE, steps: 10, calls: 2, photoKept: true, styles: 0 });
  const report = (step, now) => progress.update({ phase: "stylize", step, steps: 10 }, 1000 * now);
  assert.equal(report(0, 0).secondsLeft, 30 + 4);
  report(5, 15);
  const { fraction, secondsLeft } = report(6, 18);
  assert.equal(fraction, 18 / 34);
  assert.equal(secondsLeft, 16);
  assert.deepEqual(progress.measured, { stylize: 1.5 });
  const unknown = new RunProgress({ steps: 10, calls: 2 });
  const total = 1 + 1 + 10 + 10 + 20 + 2;
  assert.equal(unknown.update({ phase: "stylize", step: 5, steps: 10 }, 0).fraction, (22 + 10) / total);
});

test("what is re-used is no part of the bar", () => {
  const progress = new RunProgress({ pace: PACE, steps: 10, photoKept: true, styles: 0 });
  assert.equal(progress.update({ phase: "stylize", step: 0, steps: 10 }, 0).fraction, 0);
  assert.equal(progress.update({ phase: "stylize", step: 5, steps: 10 }, 7500).fraction, 7.5 / 19);
});

test("several paintings are one phase of as many rounds, the first of them maybe with the photo; the bar never goes back", () => {
  for (const pair of [false, true]) {
    const progress = new RunProgress({ steps: 4, styles: 3 });
    const fractions = [];
    let now = 0;
    const phase = (name, count) => {
      for (let step = 0; step <= count; step++) {
        fractions.push(progress.update({ phase: name, step, steps: count }, (now += 1000)).fraction);
      }
    };
    phase("encode-style", 3);
    phase("encode-content", 1);
    const total = 3 + 1 + 4 + 3 * 4 + 4 + 2;
    assert.equal(fractions.at(-1), 4 / total);
    if (pair) phase("invert-both", 4);
    else phase("invert-content", 4);
    assert.equal(fractions.at(-1), (4 + (pair ? 8 : 4)) / total);
    phase("invert-style", pair ? 8 : 12);
    assert.equal(fractions.at(-1), (4 + 16) / total);
    phase("stylize", 4);
    phase("decode", 1);
    assert.equal(fractions.at(-1), 1);
    assert.deepEqual(
      fractions,
      fractions.toSorted((a, b) => a - b),
    );
  }
});

test("a run measures its phases", () => {
  const progress = new RunProgress({ steps: 3 });
  let now = 0;
  const report = (phase, step, steps, seconds) => progress.update({ phase, step, steps }, (now += 1000 * seconds));
  report("encode-content", 0, 1, 0);
  report("encode-content", 1, 1, 2);
  report("invert-both", 0, 3, 9);
  for (const [i, seconds] of [8, 4, 4].entries()) report("invert-both", i + 1, 3, seconds);
  assert.deepEqual(progress.measured, { "encode-content": 2, "invert-content": 2, "invert-style": 2 });
});

test("inversions serve again for the same pictures and settings, for fewer layers, and for no others", () => {
  const kept = new KeptInversions();
  const run = (changes = {}, more = {}) => ({
    model: "m",
    photo: "p",
    styles: ["s"],
    ...more,
    options: { ...DEFAULTS, ...changes },
    layers: changes.attnInjection === false ? [] : (changes.layers ?? [7, 8, 9, 10, 11]),
  });
  assert.deepEqual(kept.of(run()), { photoKept: false, newStyles: 1 });
  kept.note(run());
  const all = { photoKept: true, newStyles: 0 };
  const none = { photoKept: false, newStyles: 1 };
  assert.deepEqual(
    kept.of(
      run({
        gamma: 0.1,
        temperature: 2,
        keepColours: true,
        damping: 0.7,
        redraw: 0.5,
        redrawBand: 0.3,
        adainStrength: 0.5,
        styleScale: 2,
        initAdain: false,
        gammaCurve: { curve: "linear", end: 0 },
      }),
    ),
    all,
  );
  const withoutKeys = { photoKept: false, newStyles: 0 };
  assert.deepEqual(kept.of(run({ contentShare: 0.2 })), withoutKeys, "the photo's keys and values were not kept");
  assert.deepEqual(kept.of(run({ contentShare: 0.2, attnInjection: false })), all, "and nobody needs them");
  const shared = kept.copy();
  shared.note(run({ contentShare: 0.2 }));
  shared.note(run());
  assert.deepEqual(shared.copy().of(run({ contentShare: 0.5 })), all, "what served without them still has them");
  shared.note(run({}, { photo: "q" }));
  assert.deepEqual(shared.of(run({ contentShare: 0.5 }, { photo: "q" })), withoutKeys);
  assert.deepEqual(kept.of(run({ layers: [9, 10] })), all);
  assert.deepEqual(kept.of(run({ layers: [6, 7] })), none);
  assert.deepEqual(kept.of(run({ attnInjection: false })), all);
  for (const change of [
    { steps: 21 },
    { size: 256 },
    { preset: "ldm" },
    { preset: "fast" },
    { vaeSample: 1 },
    { keepAspect: true },
  ]) {
    assert.deepEqual(kept.of(run(change)), none, JSON.stringify(change));
  }
  assert.deepEqual(kept.of(run({ steps: 20 })), all, "what the version has anyway");
  assert.deepEqual(kept.of(run({}, { photo: "q" })), { photoKept: false, newStyles: 0 });
  assert.deepEqual(kept.of(run({}, { styles: ["s", "t"] })), { photoKept: true, newStyles: 1 });
  assert.deepEqual(kept.of(run({}, { model: "n" })), none);
  kept.note(run({ layers: [9] }));
  assert.deepEqual(kept.of(run()), all, "the layers of before are still there");
  kept.forget();
  assert.deepEqual(kept.of(run()), none);
});

test("a painting is inverted where anything of it is needed, and is kept through runs that need nothing", () => {
  const bare = { initAdain: false, attnInjection: false };
  const run = (changes) => ({
    model: "m",
    photo: "p",
    styles: ["s"],
    options: { ...DEFAULTS, ...changes },
    layers: changes.attnInjection === false ? [] : [9],
  });
  const kept = new KeptInversions();
  kept.note(run(bare));
  assert.deepEqual(kept.of(run(bare)), { photoKept: true, newStyles: 0 });
  for (const more of [{ redraw: 0.5 }, { initAdain: true }]) {
    assert.deepEqual(kept.of(run({ ...bare, ...more })), { photoKept: true, newStyles: 1 }, JSON.stringify(more));
  }
  assert.equal(kept.of(run({ ...bare, attnInjection: true })).newStyles, 1);
  kept.note(run({ ...bare, redraw: 0.5 }));
  kept.note(run(bare));
  assert.deepEqual(kept.of(run({ ...bare, redraw: 1 })), { photoKept: true, newStyles: 0 });
  const fresh = new KeptInversions();
  assert.equal(fresh.of(run(bare)).newStyles, 0);
});

test("what going will take is said in a sentence", () => {
  const forecast = { seconds: 12.3, photoKept: true, newStyles: 0, isFirst: false };
  const said = (changes, count = 1) => foretold({ ...forecast, ...changes }, count);
  assert.equal(said({}), "Re-uses both inversions: about 12 s.");
  assert.equal(said({ seconds: null }), "Re-uses both inversions.");
  assert.equal(said({ newStyles: 1 }), "Re-uses the photo's inversion: about 12 s.");
  assert.equal(said({ photoKept: false }), "Needs new inversions: about 12 s.");
  assert.equal(said({ isFirst: true, photoKept: false }), "About 12 s.");
  assert.equal(said({ isFirst: true, seconds: null }), "");
  assert.equal(said({ seconds: 200 }, 4), "4 results, about 3 min.");
  assert.equal(said({ seconds: null }, 4), "4 results.");
  assert.equal(said({ seconds: 0.2 }), "Re-uses both inversions: less than a second.");
});

test("what was measured with one model tells what another one takes, by their work", () => {
  const kept = storage();
  const [demo, tiny, full] = [{ work: 19, nativeSize: 256 }, { work: 242 }, { work: 400 }].map((model) =>
    workOf(model, null),
  );
  assert.equal(ratedPace(full, kept), null, "nothing is said before anything was measured");
  learnRate(demo, { stylize: 0.19 }, kept);
  assert.deepEqual(ratedPace(full, kept), { pace: { stylize: 4 }, isBound: true }, "a small model's is a bound");
  assert.deepEqual(ratedPace(demo, kept), { pace: { stylize: 0.19 }, isBound: false });
  learnRate(tiny, { "invert-content": 0.484 }, kept);
  assert.deepEqual(ratedPace(full, kept), { pace: { stylize: 0.8 }, isBound: false }, "the nearest one's");
  learnRate(null, { stylize: 1 }, kept);
  learnRate(tiny, {}, kept);
  assert.equal(JSON.parse(kept.items.get("styleid-rates")).length, 2);
  kept.setItem("styleid-rates", '[[1], "x", [400, -1]]');
  assert.equal(ratedPace(full, kept), null, "not ours");
});

test("larger pictures are more work, and a model that the list does not know is none", () => {
  assert.equal(workOf({ work: 400 }, 512), 400);
  assert.equal(workOf({ work: 400 }, "keep"), 400);
  assert.ok(workOf({ work: 400 }, 1024) > 1600);
  assert.ok(workOf({ work: 400 }, 256) < 100);
  assert.equal(workOf({}, 512), null);
});

test("a time in words says whether it is a bound", () => {
  assert.equal(approximately({ seconds: 40, isBound: false }), "about 40 s");
  assert.equal(approximately({ seconds: 300, isBound: true }), "at most 5 min");
  assert.equal(approximately({ seconds: 0.4, isBound: true }), "less than a second");
});

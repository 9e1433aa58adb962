// What the page says about browsers and computers that lack something: features are masked in the page, one at a time.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { notInFirefox } from "./browsers.js";
import { start } from "./page.js";

let browser;
let page;
before(async () => {
  browser = await start();
  page = await browser.open();
});
after(() => browser?.close());

/** Fakes a GPU, and a browser and a computer that lack nothing. */
const PLENTY = () => {
  const vendor = { vendor: "acme", architecture: "gen-7", device: "", description: "", isFallbackAdapter: false };
  const limits = {
    maxBufferSize: 2 ** 31,
    maxStorageBufferBindingSize: 2 ** 31,
    maxComputeWorkgroupStorageSize: 32768,
  };
  const adapter = { info: vendor, features: new Set(["shader-f16", "subgroups"]), limits };
  const set = (object, name, value) => Object.defineProperty(object, name, { configurable: true, get: () => value });
  window.mask = { adapter, set };
  set(navigator, "gpu", { requestAdapter: async () => window.mask.adapter });
  set(navigator, "deviceMemory", 8);
  set(navigator, "userAgentData", { mobile: false });
  navigator.storage.estimate = async () => ({ usage: 1e6, quota: 100e9 });
  navigator.storage.persisted = async () => true;
};

/** What `examine` finds in a new document, after `PLENTY` and then `mask` have run in it. */
async function examine(mask, { page: tab, server } = page) {
  await tab.goto(`${server.url}example.html`);
  await tab.evaluate(PLENTY);
  await tab.evaluate(mask);
  return tab.evaluate(async () => (await import("./page/doors.js")).examine());
}

test("where nothing is missing nothing is said, and the diagnosis has what a report needs", async (t) => {
  const { doors, diagnosis } = await examine(() => {});
  assert.deepEqual(doors, []);
  t.diagnostic(diagnosis);
  for (const line of [
    /^StyleID: page of \d/m,
    /^Browser: Mozilla/m,
    /^Adapter: acme gen-7$/m,
    /^Features: shader-f16 subgroups$/m,
    /^maxBufferSize: 2147483648$/m,
    /^Storage: 1\.0 MB of 100\.0 GB$/m,
    /^Files: yes, persistent$/m,
    /^Memory: 8 GB or more$/m,
    /^Doors: none$/m,
  ]) {
    assert.match(diagnosis, line);
  }
  // The diagnosis has neither the page's address nor the person's language or time zone.
  assert.doesNotMatch(diagnosis, /127\.0\.0\.1|http|en-US/);
});

for (const [name, mask, kind, tone, sentence] of [
  [
    "no WebGPU",
    () => window.mask.set(navigator, "gpu", undefined),
    "no-webgpu",
    "plain",
    /no WebGPU, so the processor paints: .*current Chrome, Edge/,
  ],
  [
    "an insecure address",
    () => {
      window.mask.set(navigator, "gpu", undefined);
      window.mask.set(window, "isSecureContext", false);
    },
    "insecure",
    "plain",
    /not secure.*the processor paints.*open the page over https/,
  ],
  [
    "no adapter",
    () => (window.mask.adapter = null),
    "no-adapter",
    "plain",
    /finds no GPU .*the processor paints.*hardware acceleration/,
  ],
  [
    "an adapter that fails",
    () => window.mask.set(navigator, "gpu", { requestAdapter: () => Promise.reject(new Error("no")) }),
    "no-adapter",
    "plain",
    /finds no GPU/,
  ],
  [
    "a fallback adapter",
    () => {
      window.mask.adapter.info.isFallbackAdapter = true;
      window.mask.adapter.features = new Set();
    },
    "software",
    "plain",
    /only emulates a GPU, so the processor paints.*an hour.*hardware acceleration/,
  ],
  [
    "a software adapter by its name",
    () => (window.mask.adapter.info.architecture = "swiftshader"),
    "software",
    "plain",
    /only emulates a GPU/,
  ],
  [
    "neither a GPU nor vector instructions",
    () => {
      window.mask.adapter = null;
      WebAssembly.validate = () => false;
    },
    "no-vectors",
    "problem",
    /finds no GPU.*lacks WebAssembly's vector instructions.*Choosing pictures works/,
  ],
  [
    "no f16",
    () => (window.mask.adapter.features = new Set()),
    "no-f16",
    "plain",
    /half precision.*more time and memory/,
  ],
  [
    "small buffers",
    () => (window.mask.adapter.limits.maxBufferSize = 2 ** 28),
    "buffers",
    "plain",
    /only small buffers/,
  ],
  ["little memory", () => window.mask.set(navigator, "deviceMemory", 2), "memory", "problem", /about 2 GB of memory/],
  [
    "a window without files",
    () => (navigator.storage.getDirectory = () => Promise.reject(new DOMException("no", "SecurityError"))),
    "no-storage",
    "plain",
    /keeps no files, as a private one/,
  ],
  [
    "a private window's little storage",
    () => (navigator.storage.estimate = async () => ({ usage: 0, quota: 300e6 })),
    "little-storage",
    "plain",
    /only 300 MB more, as in a private window/,
  ],
  [
    "a phone by its word",
    () => {
      window.mask.set(navigator, "userAgentData", { mobile: true });
      window.mask.set(navigator, "deviceMemory", 2); // gets no sentence of its own
    },
    "phone",
    "plain",
    /^On a phone/,
  ],
]) {
  test(`${name}: one sentence on what will happen and what to do`, async () => {
    const { doors, diagnosis } = await examine(mask);
    assert.deepEqual(
      doors.map((door) => [door.kind, door.tone]),
      [[kind, tone]],
    );
    assert.match(doors[0].sentence, sentence);
    assert.match(doors[0].sentence, /^[A-Z][^\n]*\.$/);
    assert.match(diagnosis, new RegExp(`^Doors: ${kind}$`, "m"));
  });
}

test("a phone by its screen and pointer", notInFirefox("WebDriver BiDi has no touch screen"), async () => {
  const phone = {
    viewport: { width: 390, height: 844 },
    screen: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
  };
  const another = await browser.open("", phone);
  const { doors } = await examine(() => window.mask.set(navigator, "userAgentData", undefined), another);
  assert.deepEqual(
    doors.map(({ kind }) => kind),
    ["phone"],
  );
});

test("problems come before remarks, and this machine's own adapter is read", async (t) => {
  await page.goto("");
  const { doors, diagnosis } = await page.page.evaluate(async () => (await import("./page/doors.js")).examine());
  t.diagnostic(diagnosis);
  assert.match(diagnosis, /^WebGPU: yes$/m);
  const tones = doors.map(({ tone }) => tone);
  assert.deepEqual(tones, tones.toSorted().reverse());
});

test("a press of a button tests this GPU, and the diagnosis has every kernel that was run", async (t) => {
  await page.goto("");
  const { page: tab } = page;
  await page.unfold("Diagnosis for a bug report");
  const diagnosis = () => tab.getByLabel("Diagnosis", { exact: true }).inputValue();
  const told = tab.getByRole("status", { name: "Test of this GPU" });
  await tab.getByRole("button", { name: "Test this GPU" }).click();
  await told.getByText(/./).waitFor({ timeout: 300_000 }); // the first call waits for the wasm to be compiled
  const text = await diagnosis();
  t.diagnostic(text);
  assert.match(await told.textContent(), /^This GPU computes (everything right|right all that was tested, .*)\.$/);
  assert.match(text, /^Kernels: (software|hardware), .*; in f32/m);
  assert.match(text, /^Adapter: /m, "what was there before is there still");
  const [, count, seconds] = /^GPU test: (\d+) of \d+ kernels in ([\d.]+) s$/m.exec(text);
  const lines = text.split("\n").filter((line) => /^f(32|16) /.test(line));
  assert.equal(lines.length, Number(count));
  assert.ok(lines.length >= 1, "one is begun in any case");
  for (const line of lines) assert.match(line, /: ok, [\d.]+ (GFLOPS|GB\/s)$/);
  // The test ends after the kernel that runs when the time is over; a software adapter takes long for that one.
  assert.ok(Number(seconds) < 300, `${seconds} s`);
  assert.match(text, /^f32 group_norm\+silu 320 @\d+: ok/m);
  assert.ok(await tab.getByRole("button", { name: "Test this GPU" }).isEnabled());
  // Nothing was sent anywhere.
  const outside = page.requests.filter((url) => !url.startsWith(page.server.url) && !/^(blob|data):/.test(url));
  assert.deepEqual(outside, []);
});

test("a program asks for the same test, and hears of each kernel", async (t) => {
  const { page: tab, server } = page;
  await tab.goto(`${server.url}example.html`);
  const { kernels, seconds, sentence, heard } = await tab.evaluate(async () => {
    const { StyleID } = await import("./api.js");
    const heard = [];
    const onKernel = ({ name }, of) => heard.push([name, of]);
    const test = await StyleID.selfTest({ seconds: 5, device: "gpu", onKernel });
    return { ...test, heard };
  });
  t.diagnostic(`${kernels.length} kernels in ${seconds.toFixed(1)} s`);
  const begun = kernels.findIndex(({ verdict }) => verdict === "skipped");
  for (const [i, kernel] of kernels.entries()) {
    const isBegun = begun < 0 || i < begun;
    assert.equal(kernel.verdict, isBegun ? "right" : "skipped", JSON.stringify(kernel));
  }
  assert.match(sentence, /^This GPU computes (everything right|right all that was tested, \d+ of \d+ kernels)\.$/);
  assert.deepEqual(
    heard,
    kernels.map(({ name }) => [name, kernels.length]),
  );
});

// The page without a network, and how a new version of it arrives.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { launch, notInFirefox } from "./browsers.js";
import { readGolden } from "./goldens.js";
import { PageUnderTest, dist } from "./page.js";
import { serve } from "./server.js";

let golden;
let folder;
let browser;
let server;
before(async () => {
  golden = await readGolden("micro15.diffusers.n4.rect");
  browser = await launch();
  await readFile(`${dist}/files.js`).catch(() => assert.fail(`${dist} has no files.js: run ./dev build first`));
});
after(() => browser?.close());
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Files that are kept when they are first asked for. */
const METRICS = "metrics/lpips-alex-f16.safetensors";
const PROCESSOR = ["processor.js", "processor_bg.wasm"];

/** Another name of this machine: at its usual names no service worker is used, so that developers see their changes. */
const HOST = "page.localhost";

/** Serves a copy of the site, which the test can change, and visits it for the first time. */
async function visit(query = "?model=micro15") {
  folder = await mkdtemp(path.join(tmpdir(), "styleid-site-"));
  await cp(dist, folder, { recursive: true });
  const { origin, url, ...rest } = await serve(folder, "/some/where/");
  const named = (address) => address.replace("127.0.0.1", HOST);
  server = { origin: named(origin), url: named(url), ...rest };
  const context = await browser.newContext();
  return open(context, query);
}

async function open(context, query = "?model=micro15") {
  const page = new PageUnderTest(await context.newPage(), server);
  await page.goto(query);
  return page;
}

/** Waits until the page is on the disk. @param {PageUnderTest} page */
const kept = (page) => page.page.waitForFunction(() => navigator.serviceWorker.controller?.state === "activated");

/** The files on the disk, each as [path, SHA-256]. @param {PageUnderTest} page */
const onDisk = (page) =>
  page.page.evaluate(async () => {
    const requests = await (await caches.open(`styleid-page ${new URL("./", location.href)}`)).keys();
    const base = new URL("./", location.href).pathname;
    return requests.map(({ url }) => [new URL(url).pathname.slice(base.length), new URL(url).search.slice(8)]);
  });

async function run(page) {
  await page.choose(golden);
  await page.set({ size: "keep", steps: 1 });
  await page.go.click();
  return page.waitForEnd();
}

/** Deploys a new version: changed files, and the list with their sums. @param {Record<string, string>} additions */
async function deploy(additions) {
  let files = await readFile(`${folder}/files.js`, "utf8");
  for (const [name, text] of Object.entries(additions)) {
    await appendFile(`${folder}/${name}`, text);
    const sum = createHash("sha256")
      .update(await readFile(`${folder}/${name}`))
      .digest("hex");
    files = files.replace(new RegExp(`"${name}": "\\w+"`), `"${name}": "${sum}"`);
  }
  await writeFile(`${folder}/files.js`, files);
}

const version = (page) => page.page.evaluate(() => document.documentElement.dataset.version ?? "old");
const mark = (name) => `\ndocument.documentElement.dataset.version = "${name}";\n`;

test("after one visit the page and the model it ran work without a network", async (t) => {
  const page = await visit();
  await kept(page);
  assert.match(await run(page), /^Done in /);
  const files = (await readFile(`${folder}/files.js`, "utf8")).split("self.LATER");
  const [listed, later] = files.map((part) => [...part.matchAll(/"(.+)": "(\w{64})"/g)].map(([, ...file]) => file));
  assert.deepEqual((await onDisk(page)).sort(), listed.toSorted());
  assert.deepEqual(
    later.map(([name]) => name),
    [METRICS, ...PROCESSOR],
  );
  await page.measure();
  const measuring = later.filter(([name]) => name === METRICS);
  assert.deepEqual(
    (await onDisk(page)).sort(),
    [...listed, ...measuring].sort(),
    "what measures, once it was asked for",
  );
  page.assertClean();

  server.close();
  await page.page.context().setOffline(true);
  const again = new PageUnderTest(page.page, server);
  await again.goto("?model=micro15");
  assert.match(await run(again), /^Done in /);
  assert.ok((await again.download()).bytes.length > 100);
  await again.measure();
  // The sample pictures are there, too.
  await again.page.getByRole("button", { name: "Cup of coffee" }).click();
  await again.waitForPicture(again.photo, "Cup of coffee · ");
  t.diagnostic(`${listed.length} files on the disk`);
  assert.deepEqual(again.faults, []);

  // A model that was never fetched is not there, and the page says so.
  await again.model.selectOption("micro21b");
  await again.go.click();
  const end = await again.waitForEnd();
  t.diagnostic(end);
  assert.match(end, /\.$/);
  assert.equal(await again.status.getAttribute("data-tone"), "problem");
});

test("the processor's program is kept once it was used, on the first visit too, and paints without a network", async () => {
  const page = await visit("?model=micro15&device=cpu");
  assert.match(await run(page), /on the processor\.$/);
  await kept(page);
  const isKept = async () => {
    const names = (await onDisk(page)).map(([name]) => name);
    return PROCESSOR.every((name) => names.includes(name));
  };
  for (let tries = 0; tries < 100 && !(await isKept()); tries++) await page.page.waitForTimeout(100);
  assert.ok(await isKept());
  page.assertClean();
  server.close();
  await page.page.context().setOffline(true);
  const again = new PageUnderTest(page.page, server);
  await again.goto("?model=micro15&device=cpu");
  assert.match(await run(again), /on the processor\.$/);
  assert.deepEqual(again.faults, []);
});

test("a new version arrives at the next visit by itself, whole", async () => {
  const first = await visit();
  await kept(first);
  const { page } = first;
  const context = page.context();
  await page.close();
  await deploy({ "page/app.js": mark("new"), "worker.js": `\nconsole.info("new worker");\n` });

  const second = new PageUnderTest(await context.newPage(), server);
  const said = [];
  second.page.on("console", (message) => said.push(message.text()));
  await second.goto("?model=micro15");
  await second.page.waitForFunction(() => document.documentElement.dataset.version === "new");
  await second.model.getByRole("option").first().waitFor({ state: "attached" });
  assert.match(await run(second), /^Done in /);
  assert.ok(said.includes("new worker"));
  const names = (await onDisk(second)).map(([name]) => name);
  assert.equal(new Set(names).size, names.length, "nothing of the old version is left");
});

test("a person who is at it keeps the old version, and is told; another tab keeps it too", async () => {
  const first = await visit();
  await kept(first);
  const other = await open(first.page.context());
  await other.page.keyboard.press("Tab");
  await deploy({ "page/app.js": mark("new") });
  await other.page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
  await other.page.getByText(/new version of this page/).waitFor();
  assert.deepEqual([await version(first), await version(other)], ["old", "old"]);
  // A reload beside another tab gets the old version: never the new page with the old worker.
  await first.goto("?model=micro15");
  await first.page.waitForTimeout(2000);
  assert.equal(await version(first), "old");
  await first.page.goto("about:blank");
  await other.page.close();
  // Chromium sometimes never answers a navigation at the moment in which the versions change; people take longer.
  await first.page.waitForTimeout(2000);
  await first.goto("?model=micro15");
  await first.page.waitForFunction(() => document.documentElement.dataset.version === "new");
});

test("half a deployment changes nothing", async () => {
  const first = await visit();
  await kept(first);
  const before = await onDisk(first);
  await deploy({ "page/app.js": mark("new") });
  await appendFile(`${folder}/engine/engine.js`, "\n// of a third version\n");
  await writeFile(
    `${folder}/files.js`,
    (await readFile(`${folder}/files.js`, "utf8")).replace(/("engine\/engine.js": ")\w+/, `$1${"0".repeat(64)}`),
  );
  const problem = await first.page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    await registration.update();
    const worker = registration.installing ?? registration.waiting;
    if (!worker) return "redundant";
    return new Promise((resolve) => {
      worker.addEventListener("statechange", () => resolve(worker.state));
    });
  });
  assert.equal(problem, "redundant");
  await first.goto("?model=micro15");
  assert.equal(await version(first), "old");
  const now = new Map((await onDisk(first)).map(([name, sum]) => [name + sum, name]));
  for (const [name, sum] of before) assert.ok(now.has(name + sum), `${name} is still there`);
});

test("the page can be installed", notInFirefox("only Chromium tells whether a page can be installed"), async () => {
  const page = await visit();
  await kept(page);
  const session = await page.page.context().newCDPSession(page.page);
  const { errors, data } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const manifest = JSON.parse(data);
  for (const { src } of manifest.icons) {
    const response = await page.page.request.get(server.url + src).catch(() => null);
    if (response) assert.equal(response.status(), 200, src);
  }
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  assert.deepEqual(
    installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== "in-incognito"),
    [],
  );
});

test("where the page is developed, nothing of it is kept", async () => {
  const page = await visit();
  await page.page.goto(server.url.replace(HOST, "127.0.0.1"));
  await page.page.waitForTimeout(1500);
  assert.equal(await page.page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length), 0);
});

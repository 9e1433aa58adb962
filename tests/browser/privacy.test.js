// Pictures never leave the page: every request of a whole session is listed, and the worker cannot reach anybody else.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHub } from "../hub/server.js";
import { notInFirefox } from "./browsers.js";
import { readGolden } from "./goldens.js";
import { dist, start } from "./page.js";

const MODEL = fileURLToPath(new URL("../fixtures/models/micro15", import.meta.url));

let browser;
let golden;
let page;
before(async () => {
  golden = await readGolden("micro15.diffusers.n4.rect");
  browser = await start();
});
afterEach(async () => {
  await page?.close();
});
after(() => browser?.close());

/** Collects the network requests from now on: address, method, and number of bytes sent. */
function watch(context) {
  const seen = [];
  context.on("request", (request) => {
    if (/^(blob|data):/.test(request.url())) return;
    seen.push({ url: request.url(), method: request.method(), sent: request.postDataBuffer()?.length ?? 0 });
  });
  return seen;
}

test("in a whole session nothing is sent, and nothing asked for but the page's own files and the weights", async (t) => {
  page = await browser.open();
  const seen = watch(page.page.context());
  await page.goto("?model=micro15");
  await page.page.getByRole("button", { name: "Cup of coffee" }).click();
  await page.waitForPicture(page.photo, "Cup of coffee · ");
  await page.choose(golden);
  await page.set({ size: "keep", steps: 1 });
  await page.go.click();
  assert.match(await page.waitForEnd(), /^Done in /);
  await page.download();
  await page.measure();
  await page.page.mouse.wheel(0, 2000);
  await page.page.reload();
  await page.model.getByRole("option").first().waitFor({ state: "attached" });

  const own = new Set(
    [...(await readFile(`${dist}/files.js`, "utf8")).matchAll(/"(.+)": "\w{64}"/g)].map(([, name]) => name),
  );
  const parts = seen.map(({ url }) => ({ url, path: new URL(url).pathname.slice("/some/where/".length) }));
  const others = parts.filter(
    ({ url, path }) =>
      !url.startsWith(page.server.url) || (path !== "" && !own.has(path) && !path.startsWith("models/micro15/")),
  );
  assert.deepEqual(others, []);
  assert.deepEqual(
    seen.filter(({ method, sent }) => !["GET", "HEAD"].includes(method) || sent > 0),
    [],
  );
  assert.deepEqual(
    seen.filter(({ url }) => new URL(url).search.length > "?model=micro15&device=gpu".length),
    [],
    "nothing rides on an address",
  );
  t.diagnostic(`${seen.length} requests: ${[...new Set(parts.map(({ path }) => path))].join(" ")}`);
  assert.deepEqual(await page.page.context().cookies(), []);
  assert.ok(await page.page.getByText("Your pictures never leave this page").isVisible());
});

const NO_WORKERS = notInFirefox("WebDriver BiDi runs no code in workers");

/** Has the page's worker fetch `url`, and says what came of it. @param {string} url */
async function errand(url) {
  for (;;) {
    // A worker that does not stop in time when it is cancelled is terminated, and the page starts the next one.
    const worker = page.page.workers()[0] ?? (await page.page.waitForEvent("worker"));
    try {
      return await worker.evaluate(fetching, url);
    } catch (error) {
      if (page.page.workers().includes(worker)) throw error;
    }
  }
}

/** Fetches `url`; runs in the worker. @param {string} url */
async function fetching(url) {
  let blockedBy = null;
  const onViolation = ({ effectiveDirective }) => (blockedBy = effectiveDirective);
  addEventListener("securitypolicyviolation", onViolation);
  const outcome = await fetch(url, { mode: "no-cors" }).then(
    () => "answered",
    () => "failed",
  );
  await new Promise((resolve) => setTimeout(resolve, 50)); // the event comes after the failure
  removeEventListener("securitypolicyviolation", onViolation);
  return { outcome, blockedBy };
}

/** Opens the page and chooses pictures, which starts its worker. @param {string} query */
async function withWorker(query) {
  page = await browser.open(query);
  await page.choose(golden);
  await page.set({ size: "keep", steps: 1 });
}

test("by its policy the worker reaches this site and the Hub, and nobody else", NO_WORKERS, async (t) => {
  let asked = 0;
  const elsewhere = createServer((_, response) => {
    asked += 1;
    response.writeHead(200, { "access-control-allow-origin": "*" }).end();
  });
  await new Promise((resolve) => elsewhere.listen(0, "127.0.0.1", () => resolve(undefined)));
  t.after(() => elsewhere.close());
  const other = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (elsewhere.address()).port}/`;
  await withWorker("?model=micro15");
  assert.deepEqual(await errand(other), { outcome: "failed", blockedBy: "connect-src" });
  assert.deepEqual(await errand("https://example.org/"), { outcome: "failed", blockedBy: "connect-src" });
  assert.deepEqual(await errand("https://huggingface.co.example.org/"), {
    outcome: "failed",
    blockedBy: "connect-src",
  });
  assert.equal(asked, 0);
  assert.deepEqual(await errand(`${page.server.url}models.json`), { outcome: "answered", blockedBy: null });
  // Whether they answer depends on the network here; that nothing holds a request back does not.
  for (const host of ["huggingface.co", "cdn-lfs.huggingface.co", "cas-bridge.xethub.hf.co"]) {
    await page.page.context().route(`https://${host}/**`, (route) => route.fulfill({ status: 200, body: "" }));
    assert.equal((await errand(`https://${host}/x`)).blockedBy, null, host);
  }
});

test("only for a model at an address that the person names does the worker reach that", NO_WORKERS, async (t) => {
  const root = await mkdtemp(path.join(tmpdir(), "styleid-hub-"));
  await mkdir(path.join(root, "someone"));
  await symlink(MODEL, path.join(root, "someone/micro15"));
  const hub = await startHub({ root });
  t.after(async () => {
    hub.close();
    await rm(root, { recursive: true, force: true });
  });
  await withWorker(`?hub=${hub.hub}&weights=exact&model=someone/micro15`);
  // Until the person has said yes, the policy holds.
  assert.deepEqual(await errand(`${hub.hub}/x`), { outcome: "failed", blockedBy: "connect-src" });
  await page.go.click();
  await page.agree();
  await page.facts.getByText("On this computer").waitFor({ timeout: 120_000 });
  await page.cancel.click();
  await page.waitForEnd();
  assert.equal((await errand(`${hub.hub}/x`)).outcome, "answered");
  // With one of the page's own models the policy holds again.
  await page.model.selectOption("micro15");
  await page.go.click();
  await page.page
    .getByText(/Preparing the GPU|Encoding|Inverting/)
    .first()
    .waitFor({ timeout: 120_000 });
  await page.cancel.click();
  await page.waitForEnd();
  assert.deepEqual(await errand(`${hub.hub}/x`), { outcome: "failed", blockedBy: "connect-src" });
});

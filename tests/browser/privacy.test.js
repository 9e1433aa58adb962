// Pictures never leave the page: every request of a whole session is listed, and the worker cannot reach anybody else.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHub } from "../hub/server.js";
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
  page?.server.prepend.clear();
  await page?.close();
});
after(() => browser?.close());

/** All that was asked of the network since `watch`, as "METHOD address bytes sent". */
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
    seen.filter(({ url }) => new URL(url).search.length > "?model=micro15".length),
    [],
    "nothing rides on an address",
  );
  t.diagnostic(`${seen.length} requests: ${[...new Set(parts.map(({ path }) => path))].join(" ")}`);
  assert.deepEqual(await page.page.context().cookies(), []);
  assert.ok(await page.page.getByText("Your pictures never leave this page").isVisible());
});

/** Has the worker fetch what the page tells it to, once for each id, and say what came of it. */
const ERRANDS = `{
  const channel = new BroadcastChannel("errand");
  let violation = null;
  let last = null;
  addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => (violation = { effectiveDirective, blockedURI }));
  channel.onmessage = async ({ data }) => {
    if (!data.url || data.id === last) return;
    last = data.id;
    violation = null;
    const outcome = await fetch(data.url, { mode: "no-cors" }).then(() => "answered", () => "failed");
    await new Promise((resolve) => setTimeout(resolve, 50));
    channel.postMessage({ id: data.id, outcome: { outcome, blockedBy: violation?.effectiveDirective ?? null } });
  };
}\n`;

/**
 * Asked until it is answered: a worker that does not let go in time when it is cancelled is ended, and the page takes a
 * moment to start the next one, which hears nothing of what was said before.
 * @param {string} url
 */
const errand = (url) =>
  page.page.evaluate(async (url) => {
    const channel = new BroadcastChannel("errand");
    const id = crypto.randomUUID();
    let answer = null;
    channel.onmessage = ({ data }) => {
      if (data.id === id) answer = data.outcome;
    };
    for (let i = 0; !answer && i < 1200; i++) {
      if (i % 10 === 0) channel.postMessage({ id, url });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    channel.close();
    return answer ?? { outcome: "no worker answered" };
  }, url);

/** Waits until the worker, with what a test put in front of it, answers. */
async function withErrands(query) {
  page = await browser.open();
  page.server.prepend.set("worker.js", ERRANDS);
  await page.goto(query);
  await page.choose(golden);
  await page.set({ size: "keep", steps: 1 });
}

test("by its policy the worker reaches this site and the Hub, and nobody else", async (t) => {
  let asked = 0;
  const elsewhere = createServer((_, response) => {
    asked += 1;
    response.writeHead(200, { "access-control-allow-origin": "*" }).end();
  });
  await new Promise((resolve) => elsewhere.listen(0, "127.0.0.1", () => resolve(undefined)));
  t.after(() => elsewhere.close());
  const other = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (elsewhere.address()).port}/`;
  await withErrands("?model=micro15");
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

test("only for a model at an address that the person names does the worker reach that", async (t) => {
  const root = await mkdtemp(path.join(tmpdir(), "styleid-hub-"));
  await mkdir(path.join(root, "someone"));
  await symlink(MODEL, path.join(root, "someone/micro15"));
  const hub = await startHub({ root });
  t.after(async () => {
    hub.close();
    await rm(root, { recursive: true, force: true });
  });
  await withErrands(`?hub=${hub.hub}&weights=exact&model=someone/micro15`);
  // Until the person has said yes, the policy holds.
  assert.deepEqual(await errand(`${hub.hub}/x`), { outcome: "failed", blockedBy: "connect-src" });
  await page.go.click();
  await page.agree();
  await page.facts.getByText("On this computer").waitFor({ timeout: 120_000 });
  await page.cancel.click();
  await page.waitForEnd();
  assert.equal((await errand(`${hub.hub}/x`)).outcome, "answered");
  // With a model of the page's own it is back.
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

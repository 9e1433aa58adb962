// The service worker in a fake browser: several copies of the page on one origin.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const SCRIPT = readFileSync(new URL("../../www/sw.js", import.meta.url), "utf8");
const ORIGIN = "https://owner.example";
const PAGE = "the page";
const SUM = createHash("sha256").update(PAGE).digest("hex");

/** A fake Cache Storage. All pages of an origin share one. */
class Caches {
  /** @type {Map<string, Map<string, Response>>} */ all = new Map();
  async has(name) {
    return this.all.has(name);
  }
  async delete(name) {
    return this.all.delete(name);
  }
  async open(name) {
    if (!this.all.has(name)) this.all.set(name, new Map());
    const files = this.all.get(name);
    const key = (request) => request.url ?? request;
    return {
      keys: async () => [...files.keys()].map((url) => ({ url })),
      match: async (request) => files.get(key(request))?.clone(),
      put: async (request, response) => void files.set(key(request), response),
      delete: async (request) => files.delete(key(request)),
    };
  }
  /** The addresses of everything in there. */
  get addresses() {
    return [...this.all.values()].flatMap((files) => [...files.keys()]);
  }
}

/** Runs the service worker of a copy of the page in a folder. The returned function sends it an event. */
function deployment(folder, caches) {
  const listeners = new Map();
  const scope = {
    caches,
    crypto,
    URL,
    Headers,
    Response,
    location: new URL(`${ORIGIN}${folder}sw.js`),
    fetch: async () => new Response(PAGE),
    importScripts: () => Object.assign(scope, { FILES: { "index.html": SUM }, LATER: {} }),
    addEventListener: (type, listener) => listeners.set(type, listener),
    clients: { claim: async () => {} },
  };
  scope.self = scope;
  vm.runInNewContext(SCRIPT, scope);
  return async (type) => {
    let work;
    listeners.get(type)({ waitUntil: (promise) => (work = promise) });
    await work;
  };
}

const address = (folder) => `${ORIGIN}${folder}index.html?sha256=${SUM}`;

test("two copies of the page on one origin keep their files apart", async () => {
  const caches = new Caches();
  for (const folder of ["/styleid/", "/styleid-dev/", "/styleid/nested/"]) {
    const happen = deployment(folder, caches);
    await happen("install");
    await happen("activate");
  }
  assert.deepEqual(caches.addresses.sort(), ["/styleid-dev/", "/styleid/", "/styleid/nested/"].map(address).sort());
});

test("of the cache that copies once shared, each takes its own files, and the last takes the cache", async () => {
  const caches = new Caches();
  const shared = await caches.open("styleid-page");
  for (const folder of ["/styleid/", "/styleid-dev/"]) await shared.put(address(folder), new Response(PAGE));
  await deployment("/styleid/", caches)("activate");
  assert.deepEqual(caches.addresses, [address("/styleid-dev/")]);
  await deployment("/styleid-dev/", caches)("activate");
  assert.equal(await caches.has("styleid-page"), false);
});

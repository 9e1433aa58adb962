// The service worker: keeps this version of the page on the visitor's disk, so that it opens without a network. Models are
// not its business: the program keeps them itself, checksums and all.
//
// `./dev build` writes files.js, which sets FILES to every file of the page with its SHA-256, and LATER to those that few
// visitors need, which are kept when they are first asked for. Files are kept under their sum, so that two versions can be on
// the disk at once and no visit ever gets files of both.

/** @typedef {Record<string, string>} Files by their paths relative to this script */

const scope = /** @type {ServiceWorkerGlobalScope & { FILES: Files, LATER: Files }} */ (/** @type {unknown} */ (self));

// A new version has another files.js, by which browsers notice that there is one.
scope.importScripts("files.js");
const { FILES, LATER } = scope;
const ALL = { ...FILES, ...LATER };
const FOLDER = new URL("./", scope.location.href).href;
/** Of this folder alone: caches belong to the whole origin, on which other copies of the page may lie. */
const CACHE = `styleid-page ${FOLDER}`;
/** What all copies of the page on an origin once shared. */
const SHARED = "styleid-page";

/** Where a file is kept. @param {string} path @param {string} sum */
const key = (path, sum) => new URL(`${path}?sha256=${sum}`, scope.location.href).href;

/** @param {ArrayBuffer} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Fetches a file and keeps it, if it is the one of this version.
 * @param {Cache} cache @param {string} path @param {string} sum @returns {Promise<Response | null>} null where it is not
 */
async function keep(cache, path, sum) {
  // Asks the server, which says "not modified" where the browser's own cache has it already.
  const response = await fetch(new URL(path, scope.location.href), { cache: "no-cache" });
  if (!response.ok) return null;
  const bytes = await response.arrayBuffer();
  if ((await sha256(bytes)) !== sum) return null;
  const headers = new Headers(response.headers);
  for (const name of ["content-encoding", "content-length"]) headers.delete(name); // of the way here
  const kept = new Response(bytes, { headers }); // a new one, since one that was redirected opens no page
  await cache.put(key(path, sum), kept.clone());
  return kept;
}

async function install() {
  const cache = await caches.open(CACHE);
  await Promise.all(
    Object.entries(FILES).map(async ([path, sum]) => {
      if (await cache.match(key(path, sum))) return;
      // A deployment may be under way: then the version on the disk stays until the next visit.
      if (!(await keep(cache, path, sum))) throw new Error(`${path} is not of this version`);
    }),
  );
}

async function activate() {
  const cache = await caches.open(CACHE);
  const mine = new Set(Object.entries(ALL).map(([path, sum]) => key(path, sum)));
  for (const request of await cache.keys()) if (!mine.has(request.url)) await cache.delete(request);
  await leaveShared();
  // The first visit's page too finds its worker, and what it opens next, here.
  await scope.clients.claim();
}

/** Takes this folder's files out of the cache that was shared, and the cache away where nobody else has any there. */
async function leaveShared() {
  if (!(await caches.has(SHARED))) return;
  const cache = await caches.open(SHARED);
  const kept = await cache.keys();
  const mine = kept.filter(({ url }) => url.startsWith(FOLDER));
  await Promise.all(mine.map((request) => cache.delete(request)));
  if (mine.length === kept.length) await caches.delete(SHARED);
}

/** The page's file that a request is for, or null. @param {Request} request */
function fileOf({ url, method, headers }) {
  const here = new URL(FOLDER);
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== here.origin || !pathname.startsWith(here.pathname) || headers.has("range")) {
    return null;
  }
  const path = pathname.slice(here.pathname.length) || "index.html";
  return Object.hasOwn(ALL, path) ? path : null;
}

/** @param {string} path @param {Request} request */
async function answer(path, request) {
  const cache = await caches.open(CACHE);
  const kept = (await cache.match(key(path, ALL[path]))) ?? (await keep(cache, path, ALL[path]).catch(() => null));
  // The browser has thrown it away, and the server has a newer one: the next visit has all of that.
  return kept ?? fetch(request);
}

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const path = fileOf(event.request);
  if (path !== null) event.respondWith(answer(path, event.request));
});

// A page asks the version that waits to take over. With another page open, which still is of the old version, it waits on.
scope.addEventListener("message", (event) => {
  if (event.data !== "take over") return;
  event.waitUntil(
    scope.clients.matchAll({ type: "window", includeUncontrolled: true }).then((pages) => {
      const isAlone = pages.filter(({ url }) => url.startsWith(scope.registration.scope)).length <= 1;
      event.ports[0].postMessage(isAlone);
      return isAlone ? scope.skipWaiting() : undefined;
    }),
  );
});

// The service worker: caches this version of the page on the visitor's disk, so that it opens offline. It does not
// cache models; the program does that itself, with checksums.
//
// `./dev build` writes files.js. It sets FILES to every file of the page with its SHA-256, and LATER to files that few
// visitors need, which are cached at their first request. The cache key includes the checksum, so two versions can be
// on disk at once, and no visit ever mixes files of both.

/** @typedef {Record<string, string>} Files by their paths relative to this script */

const scope = /** @type {ServiceWorkerGlobalScope & { FILES: Files, LATER: Files }} */ (/** @type {unknown} */ (self));

// Each version has a different files.js, which is how browsers detect an update.
scope.importScripts("files.js");
const { FILES, LATER } = scope;
const ALL = { ...FILES, ...LATER };
const FOLDER = new URL("./", scope.location.href).href;
/** This folder's own cache: caches belong to the origin, which may host other copies of the page. */
const CACHE = `styleid-page ${FOLDER}`;
/** The cache that all copies of the page on an origin shared in earlier versions. */
const SHARED = "styleid-page";

/** A file's cache key. @param {string} path @param {string} sum */
const key = (path, sum) => new URL(`${path}?sha256=${sum}`, scope.location.href).href;

/** @param {ArrayBuffer} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Fetches a file, and caches it if its checksum is this version's.
 * @param {Cache} cache @param {string} path @param {string} sum @returns {Promise<Response | null>} null if it is not
 */
async function keep(cache, path, sum) {
  // Revalidates with the server, which answers "not modified" if the browser's HTTP cache is up to date.
  const response = await fetch(new URL(path, scope.location.href), { cache: "no-cache" });
  if (!response.ok) return null;
  const bytes = await response.arrayBuffer();
  if ((await sha256(bytes)) !== sum) return null;
  const headers = new Headers(response.headers);
  for (const name of ["content-encoding", "content-length"]) headers.delete(name); // of the transfer only
  const kept = new Response(bytes, { headers }); // a new one: browsers refuse a redirected response for a navigation
  await cache.put(key(path, sum), kept.clone());
  return kept;
}

async function install() {
  const cache = await caches.open(CACHE);
  await Promise.all(
    Object.entries(FILES).map(async ([path, sum]) => {
      if (await cache.match(key(path, sum))) return;
      // A deployment may be under way; the cached version then stays until the next visit.
      if (!(await keep(cache, path, sum))) throw new Error(`${path} is not of this version`);
    }),
  );
}

async function activate() {
  const cache = await caches.open(CACHE);
  const mine = new Set(Object.entries(ALL).map(([path, sum]) => key(path, sum)));
  for (const request of await cache.keys()) if (!mine.has(request.url)) await cache.delete(request);
  await leaveShared();
  // On the first visit, too, the open page then gets its worker and later files from this cache.
  await scope.clients.claim();
}

/** Removes this folder's files from the formerly shared cache, and the cache itself once it is empty. */
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
  // The browser has evicted the file, and the server has a newer version, which the next visit gets as a whole.
  return kept ?? fetch(request);
}

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const path = fileOf(event.request);
  if (path !== null) event.respondWith(answer(path, event.request));
});

// A page asks the waiting version to take over. If another page of the old version is still open, it goes on waiting.
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

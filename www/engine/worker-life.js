// Starts the worker, with the page's content security policy if required, and detects its death.

import { HUB, HUB_HOSTS, parseReference } from "./models.js";

/**
 * @typedef {import("../styleid.js").ModelOptions} ModelOptions
 * @typedef {import("../styleid.js").PickedFile} PickedFile
 */

const SCRIPT = new URL("../worker.js", import.meta.url);

/** @type {string | null} */
let inside = null;

/**
 * A worker started from a blob inherits the page's content security policy, which lists where it may fetch from. One
 * started from its own address has the policy of that response, and a plain web server sends none. Pages of other sites
 * can only use a blob.
 * @param {boolean} isInside whether the page's policy must apply
 * @param {import("./adapter.js").DeviceChoice} device what it computes on
 */
export function startWorker(isInside, device) {
  /** @type {WorkerOptions} */
  const options = { type: "module", name: device };
  if (!isInside && SCRIPT.origin === location.origin) return new Worker(SCRIPT, options);
  inside ??= URL.createObjectURL(new Blob([`import ${JSON.stringify(SCRIPT.href)};`], { type: "text/javascript" }));
  return new Worker(inside, options);
}

/**
 * Whether a model is fetched only from this site and the Hub. Only the user can name another address.
 * @param {ModelOptions} model @param {PickedFile[]} files
 */
export function staysInside({ source, rest, vae, hub }, files) {
  const isPicked = (/** @type {PickedFile["part"]} */ wanted) => files.some(({ part }) => part === wanted);
  const named = [isPicked(undefined) ? null : source, isPicked("rest") ? null : rest, isPicked("vae") ? null : vae];
  return named.every((name) => {
    if (name == null) return true;
    // A page of the Hub names a repository, which is fetched from the mirror if one is set.
    const reference = parseReference(name);
    const address = reference === null ? name : "repo" in reference ? (hub ?? HUB) : reference.url;
    if (!URL.canParse(address)) return true;
    const { origin, protocol, hostname } = new URL(address);
    const isHub = HUB_HOSTS.some((host) => hostname === host || hostname.endsWith(`.${host}`));
    return origin === SCRIPT.origin || (protocol === "https:" && isHub);
  });
}

/**
 * Calls `onDeath` when the worker that holds the lock `life` dies, which the browser does not report otherwise.
 * @param {string | null} life null if the worker could take no lock @param {() => void} onDeath
 * @returns {AbortController} ends the watch
 */
export function watchLife(life, onDeath) {
  const watch = new AbortController();
  if (life) {
    navigator.locks.request(life, { signal: watch.signal }, onDeath).catch(() => {
      // The watch has ended, or this page may not use locks; a death then shows only as a stalled run.
    });
  }
  return watch;
}

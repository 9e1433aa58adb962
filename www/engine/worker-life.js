// How the worker is started, so that it may reach no more than the page says, and how its death is heard of.

import { HUB, HUB_HOSTS, parseReference } from "./models.js";

/**
 * @typedef {import("../styleid.js").ModelOptions} ModelOptions
 * @typedef {import("../styleid.js").PickedFile} PickedFile
 */

const SCRIPT = new URL("../worker.js", import.meta.url);

/** @type {string | null} */
let inside = null;

/**
 * A worker started from a blob inherits the page's content security policy, which lists where it may fetch from; one started
 * from its own address has the policy of that response, which is none on a plain web server. Another site's page can only
 * have the first.
 * @param {boolean} isInside whether the page's policy is to hold
 */
export function startWorker(isInside) {
  if (!isInside && SCRIPT.origin === location.origin) return new Worker(SCRIPT, { type: "module" });
  inside ??= URL.createObjectURL(new Blob([`import ${JSON.stringify(SCRIPT.href)};`], { type: "text/javascript" }));
  return new Worker(inside, { type: "module" });
}

/**
 * Whether a model is fetched from nowhere but this site and the Hub. Any other address is one that a person has named.
 * @param {ModelOptions} model @param {PickedFile[]} files
 */
export function staysInside({ source, rest, vae, hub }, files) {
  const isPicked = (/** @type {PickedFile["part"]} */ wanted) => files.some(({ part }) => part === wanted);
  const named = [isPicked(undefined) ? null : source, isPicked("rest") ? null : rest, isPicked("vae") ? null : vae];
  return named.every((name) => {
    if (name == null) return true;
    // A page of the Hub names a repository, which is fetched from the mirror where there is one.
    const reference = parseReference(name);
    const address = reference === null ? name : "repo" in reference ? (hub ?? HUB) : reference.url;
    if (!URL.canParse(address)) return true;
    const { origin, protocol, hostname } = new URL(address);
    const isHub = HUB_HOSTS.some((host) => hostname === host || hostname.endsWith(`.${host}`));
    return origin === SCRIPT.origin || (protocol === "https:" && isHub);
  });
}

/**
 * Calls `onDeath` when the worker that holds the lock `life` is no more, of which the browser says nothing else.
 * @param {string | null} life null where the worker could take none @param {() => void} onDeath
 * @returns {AbortController} ends the watch
 */
export function watchLife(life, onDeath) {
  const watch = new AbortController();
  if (life) {
    navigator.locks.request(life, { signal: watch.signal }, onDeath).catch(() => {
      // The watch has ended, or this page may use no locks: then a death shows as a run that stands still.
    });
  }
  return watch;
}

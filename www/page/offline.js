// Caches the page for offline use (by sw.js) and applies a new version at the next visit: at once if the page is still
// untouched, else when the user agrees.

/** Hosts used for development, where nothing is cached. */
const DEVELOPMENT = ["localhost", "127.0.0.1", "[::1]"];

/** How many times a new version asks to take over automatically, once a second. */
const TRIES = 5;

/** Events that count as touching the page. */
const TOUCHES = ["pointerdown", "keydown", "drop", "paste"];

/** Waits until the page has loaded and the browser is idle. */
export async function whenIdle() {
  if (document.readyState !== "complete") {
    await new Promise((loaded) => addEventListener("load", loaded, { once: true }));
  }
  await new Promise((idle) => ("requestIdleCallback" in window ? requestIdleCallback(idle) : setTimeout(idle, 500)));
}

/**
 * Registers the service worker once the page is loaded. Does nothing if the browser has none or refuses it.
 * @param {{ onUpdate?: (apply: () => Promise<boolean>) => void, isBusy?: () => boolean }} [options] `onUpdate` is
 *   called when a new version is waiting. `apply` reloads the page with it, or resolves to false if another tab still
 *   uses the old version. `isBusy`: whether a reload would lose something on an untouched page.
 */
export async function goOffline({ onUpdate = () => {}, isBusy = () => false } = {}) {
  const { serviceWorker } = navigator;
  if (!serviceWorker || DEVELOPMENT.includes(location.hostname)) return;
  let isTouched = false;
  for (const type of TOUCHES) addEventListener(type, () => (isTouched = true), { once: true, capture: true });
  await whenIdle();

  /** @param {ServiceWorker} waiting */
  const offer = async (waiting) => {
    /** @returns {Promise<boolean>} */
    const apply = () =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data: isTaken }) => {
          if (isTaken) serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
          resolve(isTaken);
        };
        waiting.postMessage("take over", [port2]);
      });
    for (let tries = 0; tries < TRIES && !isTouched && !isBusy(); tries++) {
      if (await apply()) return;
      await new Promise((later) => setTimeout(later, 1000)); // a tab that was just closed still counts for a moment
    }
    onUpdate(apply);
  };
  try {
    const registration = await serviceWorker.register(new URL("../sw.js", import.meta.url), { updateViaCache: "none" });
    // Without a controller this is the first version, which replaces nothing.
    const offerWaiting = () => {
      if (registration.waiting && serviceWorker.controller) void offer(registration.waiting);
    };
    offerWaiting();
    registration.addEventListener("updatefound", () => {
      registration.installing?.addEventListener("statechange", ({ target }) => {
        if (target === registration.waiting) offerWaiting();
      });
    });
  } catch (error) {
    // The page works without it; the console shows the reason.
    console.info("The page cannot be kept for offline use.", error);
  }
}

/** The processor's program, which is cached only where it is used. */
const PROCESSOR = ["../processor.js", "../processor_bg.wasm"];

/** Has the service worker cache the processor's program, which on a first visit was fetched before there was one. */
export async function keepProcessor() {
  const { serviceWorker } = navigator;
  await serviceWorker?.ready; // where nothing is cached, this never comes
  if (!serviceWorker?.controller) {
    await new Promise((claimed) => serviceWorker?.addEventListener("controllerchange", claimed, { once: true }));
  }
  await Promise.all(PROCESSOR.map((file) => fetch(new URL(file, import.meta.url)))).catch(() => null); // at the next visit
}

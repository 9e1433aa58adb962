// Keeps the page on the visitor's disk (sw.js does), and has a new version of it arrive at the next visit: at once where
// nobody has touched the page yet, else when the person says so.

/** While somebody develops the page, nothing old may be in the way. */
const DEVELOPMENT = ["localhost", "127.0.0.1", "[::1]"];

/** How often, once a second, a new version asks to take over by itself. */
const TRIES = 5;

/** What counts as touching the page. */
const TOUCHES = ["pointerdown", "keydown", "drop", "paste"];

/** Waits until all that the page shows first is there, and the browser has nothing else to do. */
export async function whenIdle() {
  if (document.readyState !== "complete") {
    await new Promise((loaded) => addEventListener("load", loaded, { once: true }));
  }
  await new Promise((idle) => ("requestIdleCallback" in window ? requestIdleCallback(idle) : setTimeout(idle, 500)));
}

/**
 * Begins, once the page is loaded. Where the browser has no service workers, or does not want one here, nothing happens.
 * @param {{ onUpdate?: (apply: () => Promise<boolean>) => void, isBusy?: () => boolean }} [options] `onUpdate` hears of a new
 *   version that waits. `apply` reloads the page with it, or gives false: another tab is open that still is of the old one.
 *   `isBusy`: whether a reload would lose something though nobody touched the page.
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
      await new Promise((later) => setTimeout(later, 1000)); // a tab that was just closed is counted for a moment
    }
    onUpdate(apply);
  };
  try {
    const registration = await serviceWorker.register(new URL("../sw.js", import.meta.url), { updateViaCache: "none" });
    // The first version has nothing to replace.
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
    // The page works without; a person who looks for the reason finds it here.
    console.info("The page cannot be kept for offline use.", error);
  }
}

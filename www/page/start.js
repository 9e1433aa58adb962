// Delays the page's scripts until its first pictures are loaded and painted, or a timeout has passed.

/** How long to wait for the pictures. */
const PATIENCE_MS = 2500;

/** Whether the form was submitted before the page's scripts were ready. */
let isAsked = false;
const early = (/** @type {Event} */ event) => {
  event.preventDefault();
  isAsked = true;
};
document.addEventListener("submit", early);

/** Resolves at the first contentful paint; at once in browsers that do not report it. */
const painted = new Promise((seen) => {
  if (!PerformanceObserver.supportedEntryTypes.includes("paint")) return seen(null);
  new PerformanceObserver((list, observer) => {
    if (!list.getEntriesByName("first-contentful-paint").length) return;
    observer.disconnect();
    seen(null);
  }).observe({ type: "paint", buffered: true });
});
const loaded = new Promise((come) => {
  if (document.readyState === "complete") come(null);
  else addEventListener("load", come, { once: true });
});
const enough = new Promise((over) => setTimeout(over, PATIENCE_MS));
await Promise.race([Promise.all([painted, loaded]), enough]);
// Nothing waits for the dialogs' stylesheet, because all dialogs are closed.
document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: "page/dialogs.css" }));
const { ready } = await import("./app.js");
await ready;
document.removeEventListener("submit", early);
if (isAsked) /** @type {HTMLFormElement} */ (document.getElementById("run")).requestSubmit();

export {};

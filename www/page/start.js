// What the page shows first comes first: its scripts are fetched once its first pictures are there, or after a moment.

/** Milliseconds after which nobody waits for pictures any more. */
const PATIENCE_MS = 2500;

/** Whether somebody has said go before the page could hear it. */
let isAsked = false;
const early = (/** @type {Event} */ event) => {
  event.preventDefault();
  isAsked = true;
};
document.addEventListener("submit", early);

/** Settles when there is something to be seen, as browsers that tell it say. */
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
// The dialogs' styles are waited for by nobody: all dialogs are closed.
document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: "page/dialogs.css" }));
const { ready } = await import("./app.js");
await ready;
document.removeEventListener("submit", early);
if (isAsked) /** @type {HTMLFormElement} */ (document.getElementById("run")).requestSubmit();

export {};

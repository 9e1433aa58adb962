// What the page shows first comes first: its scripts are fetched once its first pictures are there, or after a moment.

/** Milliseconds after which nobody waits for pictures any more. */
const PATIENCE_MS = 1000;

/** Whether somebody has said go before the page could hear it. */
let isAsked = false;
const early = (/** @type {Event} */ event) => {
  event.preventDefault();
  isAsked = true;
};
document.addEventListener("submit", early);

if (document.readyState !== "complete") {
  await new Promise((come) => {
    addEventListener("load", come, { once: true });
    setTimeout(come, PATIENCE_MS);
  });
}
await new Promise((painted) => setTimeout(painted));
const { ready } = await import("./app.js");
await ready;
document.removeEventListener("submit", early);
if (isAsked) /** @type {HTMLFormElement} */ (document.getElementById("run")).requestSubmit();

export {};

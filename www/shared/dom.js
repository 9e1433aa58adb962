// Shared by dialogs and views: creating elements, and modal dialogs.

/** @typedef {Record<string, string | number | boolean | null | ((event: any) => void)>} Attributes */

/**
 * Creates an element. Attributes have their own names: true sets an empty attribute, false and null omit it, and a
 * function under "onclick" becomes a click listener.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Attributes} [attributes] @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function build(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** A button that submits nothing. @param {string} label @param {(event: MouseEvent) => void} onclick @param {Attributes} [attributes] */
export const button = (label, onclick, attributes = {}) =>
  build("button", { type: "button", onclick, ...attributes }, label);

/** A link that opens in a new tab. @param {string} href @param {string} label */
export const newTab = (href, label) => build("a", { href, target: "_blank", rel: "noopener" }, label);

let ids = 0;
/** An id that is unique on the page. @param {string} name */
export const uniqueId = (name) => `${name}-${++ids}`;

/**
 * Opens a dialog and waits until it is closed. `dialog.close("done")` resolves to true; Escape and any other way to
 * close it resolve to false. The focus then returns to where it was.
 * @param {HTMLDialogElement} dialog @param {HTMLElement} first gets the focus
 * @returns {Promise<boolean>}
 */
export function ask(dialog, first) {
  const before = document.activeElement;
  dialog.returnValue = "";
  dialog.showModal();
  first.focus({ preventScroll: true });
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
        resolve(dialog.returnValue === "done");
      },
      { once: true },
    );
  });
}

/**
 * Opens a dialog that closes with a return value, and waits for that: "agree", or anything else.
 * @param {HTMLDialogElement} dialog @param {HTMLElement} first to be focused @returns {Promise<boolean>}
 */
export function isAgreed(dialog, first) {
  dialog.returnValue = "";
  dialog.showModal();
  first.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "agree"), { once: true });
  });
}

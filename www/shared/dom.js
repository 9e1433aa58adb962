// What the dialogs and views share: making elements, and asking by a dialog.

/** @typedef {Record<string, string | number | boolean | null | ((event: any) => void)>} Attributes */

/**
 * Makes an element. Attributes go by their own names, true is one without a value, false and null leave it out, and a
 * function under "onclick" listens for clicks.
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

/** A link to something to read beside this page. @param {string} href @param {string} label */
export const newTab = (href, label) => build("a", { href, target: "_blank", rel: "noopener" }, label);

let ids = 0;
/** An id that nothing else on the page has. @param {string} name */
export const uniqueId = (name) => `${name}-${++ids}`;

/**
 * Opens a dialog until it is closed; `dialog.close("done")` is the answer yes, Escape and any other way out are no.
 * The focus goes back to where it was.
 * @param {HTMLDialogElement} dialog @param {HTMLElement} first takes the focus
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

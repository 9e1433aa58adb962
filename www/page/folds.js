// What a link leads to may lie in a part of the page that is folded up.

/** Opens all that an element is folded up in. @param {Element | null} element */
export function unfold(element) {
  for (let fold = element?.closest("details"); fold; fold = fold.parentElement?.closest("details")) fold.open = true;
}

/** Opens what the address leads to, and goes there. */
export function unfoldTarget() {
  const id = location.hash.slice(1);
  const target = id && !id.includes("=") ? document.getElementById(id) : null;
  if (!target) return;
  unfold(target);
  target.scrollIntoView();
}

// Opens folded parts of the page (`details`) that hold a link's target.

/** Opens all folds around an element. @param {Element | null} element */
export function unfold(element) {
  for (let fold = element?.closest("details"); fold; fold = fold.parentElement?.closest("details")) fold.open = true;
}

/** Unfolds the target of the address's fragment and scrolls to it. */
export function unfoldTarget() {
  const id = location.hash.slice(1);
  const target = id && !id.includes("=") ? document.getElementById(id) : null;
  if (!target) return;
  unfold(target);
  target.scrollIntoView();
}

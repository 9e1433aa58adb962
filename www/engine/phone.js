// Whether the page is on a phone.

export function isPhone() {
  const { userAgentData } = /** @type {Navigator & { userAgentData?: { mobile: boolean } }} */ (navigator);
  if (userAgentData?.mobile) return true;
  return matchMedia("(pointer: coarse)").matches && Math.min(screen.width, screen.height) < 600;
}

// Tells a person who looks elsewhere how a run goes: in the tab's title, and with a notification where that was asked for.

const TITLE = document.title;

/** @param {number | null} fraction @param {string} label what is going on; empty when nothing is */
export function titleProgress(fraction, label) {
  const share = fraction === null ? "" : `${Math.round(fraction * 100)} % · `;
  document.title = label ? `${share}${label}` : TITLE;
}

/** The switch for notifications: off until the person asks, and only then is the browser's permission asked for. */
export class Notifications {
  #box;
  #note;

  /** @param {HTMLInputElement} box @param {HTMLElement} note where a refusal is told */
  constructor(box, note) {
    this.#box = box;
    this.#note = note;
    if (!("Notification" in globalThis)) {
      const label = box.closest("label");
      if (label) label.hidden = true;
      return;
    }
    box.addEventListener("change", () => void this.#ask());
  }

  async #ask() {
    this.#note.textContent = "";
    if (!this.#box.checked) return;
    const answer = await Notification.requestPermission().catch(() => "denied");
    if (answer === "granted") return;
    this.#box.checked = false;
    this.#note.textContent =
      "This browser does not let the page notify you: allow notifications for this site in the browser's settings, then tick this again.";
  }

  /** Says it only where the page is out of sight. @param {string} sentence */
  tell(sentence) {
    if (!this.#box.checked || !document.hidden) return;
    try {
      const shown = new Notification(TITLE, { body: sentence, tag: "styleid" });
      shown.onclick = () => {
        window.focus();
        shown.close();
      };
    } catch {
      // Phones let only a service worker notify; the title tells all the same.
    }
  }
}

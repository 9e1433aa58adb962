// Shows a run's progress while the page is not visible: in the tab's title, and by a notification if enabled.

const TITLE = document.title;

/** @param {number | null} fraction @param {string} label what is going on; empty when nothing is */
export function titleProgress(fraction, label) {
  const share = fraction === null ? "" : `${Math.round(fraction * 100)} % · `;
  document.title = label ? `${share}${label}` : TITLE;
}

/** The switch for notifications: off by default; switching it on asks for the browser's permission. */
export class Notifications {
  #box;
  #note;

  /** @param {HTMLInputElement} box @param {HTMLElement} note shows a refusal */
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

  /** Notifies only if the page is hidden. @param {string} sentence */
  tell(sentence) {
    if (!this.#box.checked || !document.hidden) return;
    try {
      const shown = new Notification(TITLE, { body: sentence, tag: "styleid" });
      shown.onclick = () => {
        window.focus();
        shown.close();
      };
    } catch {
      // On phones only a service worker may notify; the title still shows it.
    }
  }
}

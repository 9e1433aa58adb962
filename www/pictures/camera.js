// A dialog that takes a photo with the camera. The camera is on only while its picture is visible.

import { ask, build, button, uniqueId } from "../shared/dom.js";

/** Sentences by the name of getUserMedia's error: what is wrong and what to do. @type {Record<string, string>} */
const SENTENCES = {
  NotAllowedError:
    "The camera was not allowed: allow it for this page in the browser's address bar or settings, then try again.",
  NotFoundError: "No camera was found: connect one and try again, or choose a picture file instead.",
  NotReadableError:
    "The camera could not be started, perhaps because another program uses it: close that and try again.",
  OverconstrainedError: "This device has no such camera: take the other one.",
};
const OTHERS = {
  insecure:
    "A camera needs a secure address: open the page over https or at localhost, or choose a picture file instead.",
  missing: "This browser gives pages no camera: choose a picture file instead.",
  ended: "The camera was disconnected or taken away: try again.",
  blank: "The camera gave no picture: try again.",
};
/** Older error names, and ones with the same meaning for the user. @type {Record<string, string>} */
const ALIKE = {
  SecurityError: "NotAllowedError",
  AbortError: "NotReadableError",
  DevicesNotFoundError: "NotFoundError",
};

/** @param {unknown} error from getUserMedia @returns {string} one sentence for the user */
export function cameraSentence(error) {
  const name = error instanceof Error ? error.name : "";
  const known = SENTENCES[ALIKE[name] ?? name];
  return (
    known ?? `The camera could not be used (${name || String(error)}): try again, or choose a picture file instead.`
  );
}

/** @returns {string | null} why no camera can be requested; null if one can */
function whyNone() {
  if (!isSecureContext) return OTHERS.insecure;
  return navigator.mediaDevices ? null : OTHERS.missing;
}

export class CameraDialog {
  #dialog;
  #video;
  #still;
  #status;
  #problem;
  #buttons;
  /** @type {MediaStream | null} */ #stream = null;
  /** @type {Blob | undefined} */ #photo;
  /** Which camera is requested. @type {MediaTrackConstraints} */ #wish = { facingMode: { ideal: "environment" } };
  /** Counts starts and stops, so that a camera that starts too late is switched off again. */
  #turn = 0;

  /** @param {HTMLDialogElement} dialog an empty one */
  constructor(dialog) {
    this.#dialog = dialog;
    dialog.classList.add("tool-dialog", "camera-dialog");
    const title = build("h2", { id: uniqueId("camera-title") }, "Take a photo");
    dialog.setAttribute("aria-labelledby", title.id);
    this.#video = build("video", { "aria-label": "What the camera sees", autoplay: true, playsinline: true });
    this.#video.muted = true;
    this.#still = build("img", { alt: "The photo just taken", hidden: true });
    this.#status = build("span", { class: "hint", role: "status" });
    this.#problem = build("p", { class: "problem", role: "alert" });
    this.#buttons = {
      take: button("Take the photo", () => void this.#shoot(), { class: "primary" }),
      use: button("Use this photo", () => dialog.close("done"), { class: "primary" }),
      retake: button("Retake", () => void this.#start()),
      again: button("Try again", () => void this.#start(), { class: "primary" }),
      turn: button("Other camera", () => void this.#other()),
    };
    const { take, use, retake, again, turn } = this.#buttons;
    dialog.replaceChildren(
      title,
      build("p", { class: "hint" }, "It goes to this page only, and stays on this computer."),
      this.#problem,
      build("div", { class: "camera-view" }, this.#video, this.#still),
      build(
        "p",
        { class: "tool-actions" },
        take,
        use,
        retake,
        again,
        turn,
        button("Cancel", () => dialog.close()),
        this.#status,
      ),
    );
    // The camera is switched off, however the dialog is closed.
    dialog.addEventListener("close", () => this.#stop());
    addEventListener("pagehide", () => this.#stop());
  }

  /** @returns {Promise<Blob | undefined>} a JPEG in the camera's resolution; undefined if closed without one */
  async take() {
    this.#photo = undefined;
    const answer = ask(this.#dialog, this.#dialog);
    void this.#start();
    const isDone = await answer;
    const photo = this.#photo;
    this.#showPhoto(undefined);
    return isDone ? photo : undefined;
  }

  async #start() {
    this.#stop();
    this.#showPhoto(undefined);
    this.#problem.textContent = "";
    const problem = whyNone();
    if (problem) return this.#fail(problem, false);
    const turn = ++this.#turn;
    this.#offer();
    this.#status.textContent = "Starting the camera.";
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { ...this.#wish, width: { ideal: 1920 }, height: { ideal: 1080 } },
      });
      if (turn !== this.#turn) return stopTracks(stream); // closed or restarted in the meantime
      this.#stream = stream;
      for (const track of stream.getVideoTracks()) track.addEventListener("ended", () => this.#fail(OTHERS.ended));
      this.#video.srcObject = stream;
      await this.#video.play();
      const { length } = await cameras();
      if (turn !== this.#turn) return;
      this.#status.textContent = "The camera is on.";
      this.#offer("take", ...(length > 1 ? /** @type {const} */ (["turn"]) : []));
      this.#buttons.take.focus({ preventScroll: true });
    } catch (error) {
      if (turn === this.#turn) this.#fail(cameraSentence(error));
    }
  }

  async #shoot() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!width || !height) return this.#fail(OTHERS.blank);
    const turn = this.#turn;
    const canvas = build("canvas", { width, height });
    canvas.getContext("2d")?.drawImage(this.#video, 0, 0);
    const photo = await new Promise((/** @type {BlobCallback} */ resolve) =>
      canvas.toBlob(resolve, "image/jpeg", 0.95),
    );
    if (turn !== this.#turn) return;
    if (!photo) return this.#fail(OTHERS.blank);
    this.#stop();
    this.#showPhoto(photo);
    this.#status.textContent = `${width} × ${height}. The camera is off.`;
    this.#offer("use", "retake");
    this.#buttons.use.focus({ preventScroll: true });
  }

  /** Switches between front and back camera on phones, which report the facing mode; else to the next camera. */
  async #other() {
    const { facingMode, deviceId } = this.#stream?.getVideoTracks()[0]?.getSettings() ?? {};
    if (facingMode) {
      this.#wish = { facingMode: { ideal: facingMode === "user" ? "environment" : "user" } };
    } else {
      const turn = this.#turn;
      const ids = (await cameras()).map(({ deviceId }) => deviceId);
      if (turn !== this.#turn) return;
      this.#wish = { deviceId: { ideal: ids[(ids.indexOf(deviceId ?? "") + 1) % ids.length] } };
    }
    await this.#start();
  }

  /** @param {string} sentence @param {boolean} [mayHelp] whether trying again may help */
  #fail(sentence, mayHelp = true) {
    this.#stop();
    this.#status.textContent = "";
    this.#problem.textContent = sentence;
    this.#offer(...(mayHelp ? /** @type {const} */ (["again"]) : []));
    if (mayHelp) this.#buttons.again.focus({ preventScroll: true });
  }

  #stop() {
    this.#turn++;
    if (this.#stream) stopTracks(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** @param {Blob | undefined} photo */
  #showPhoto(photo) {
    if (this.#still.src) URL.revokeObjectURL(this.#still.src);
    if (photo) this.#still.src = URL.createObjectURL(photo);
    else this.#still.removeAttribute("src");
    this.#photo = photo;
    this.#still.hidden = !photo;
    this.#video.hidden = Boolean(photo);
  }

  /** Shows only these buttons, and Cancel. @param {("take" | "use" | "retake" | "again" | "turn")[]} names */
  #offer(...names) {
    for (const [name, button] of Object.entries(this.#buttons)) {
      button.hidden = !names.some((shown) => shown === name);
    }
  }
}

const cameras = async () =>
  (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");

/** @param {MediaStream} stream */
function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}

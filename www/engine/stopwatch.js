// A clock that can stand still, as during the pauses of a run.

export class Stopwatch {
  /** When it was set going, in milliseconds; null while it stands. @type {number | null} */ #since = null;
  /** Milliseconds that it went before. */ #before = 0;

  go() {
    this.#since ??= performance.now();
  }

  halt() {
    this.#before = this.seconds * 1000;
    this.#since = null;
  }

  /** Seconds that it has been going. */
  get seconds() {
    return (this.#before + (this.#since === null ? 0 : performance.now() - this.#since)) / 1000;
  }
}

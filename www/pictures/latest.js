// Tracks overlapping tasks of which only the latest counts, such as checks of dropped pictures.

export class Latest {
  #number = 0;
  #isBusy = false;
  #onBusy;

  /** @param {(isBusy: boolean) => void} onBusy called with whether the latest task is running */
  constructor(onBusy) {
    this.#onBusy = onBusy;
  }

  /** Begins a task that supersedes earlier ones. @returns {number} its number */
  begin() {
    this.#set(true);
    return ++this.#number;
  }

  /** @param {number} number */
  counts(number) {
    return number === this.#number;
  }

  /** @param {number} number */
  end(number) {
    if (this.counts(number)) this.#set(false);
  }

  /** Supersedes all tasks begun so far. */
  supersede() {
    this.#number++;
    this.#set(false);
  }

  /** @param {boolean} isBusy */
  #set(isBusy) {
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    this.#onBusy(isBusy);
  }
}

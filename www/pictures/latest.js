// Of several things begun one after the other, such as checks of pictures that were dropped, only the last counts.

export class Latest {
  #number = 0;
  #isBusy = false;
  #onBusy;

  /** @param {(isBusy: boolean) => void} onBusy told whether the one that counts is under way */
  constructor(onBusy) {
    this.#onBusy = onBusy;
  }

  /** One more, in place of those before. @returns {number} what it is called */
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

  /** None of those that were begun counts any more. */
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

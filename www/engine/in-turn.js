// One at a time over all tabs of this site: two that keep the same model at once would each remove the other's part of it.

/**
 * Does `work` while nobody else on this site does any under the same name.
 * @template Result
 * @param {Pick<LockManager, "request"> | undefined} locks there are none at an insecure address, where nothing is kept either
 * @param {string} name
 * @param {{ signal: AbortSignal, onWait: () => void }} waiting `onWait` is told that another one is at it; `signal` ends the wait
 * @param {() => Promise<Result>} work @returns {Promise<Result>}
 */
export async function inTurn(locks, name, { signal, onWait }, work) {
  if (!locks) return work();
  /** @type {{ result: Result } | null} */
  const now = await locks.request(name, { ifAvailable: true }, async (lock) => lock && { result: await work() });
  if (now) return now.result;
  onWait();
  return locks.request(name, { signal }, work);
}

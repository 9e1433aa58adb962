// A lock across all tabs of this site: two tabs that cached one model at once would remove each other's partial copies.

/**
 * Runs `work` while holding the lock `name`, which is shared by all tabs of this site.
 * @template Result
 * @param {Pick<LockManager, "request"> | undefined} locks undefined at an insecure address, where nothing is cached
 * @param {string} name
 * @param {{ signal: AbortSignal, onWait: () => void }} waiting `onWait` is called if the lock is taken; `signal` ends
 *   the wait
 * @param {() => Promise<Result>} work @returns {Promise<Result>}
 */
export async function inTurn(locks, name, { signal, onWait }, work) {
  if (!locks) return work();
  const now = await ifFree(locks, name, work);
  if (now) return now.result;
  onWait();
  return locks.request(name, { signal }, work);
}

/**
 * Runs `work` while holding the lock `name`, unless it is taken.
 * @template Result
 * @param {Pick<LockManager, "request"> | undefined} locks @param {string} name @param {() => Promise<Result>} work
 * @returns {Promise<{ result: Result } | null>} null if the lock is taken
 */
export async function ifFree(locks, name, work) {
  if (!locks) return { result: await work() };
  return locks.request(name, { ifAvailable: true }, async (lock) => lock && { result: await work() });
}

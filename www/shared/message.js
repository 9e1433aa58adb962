// The message of an error.

/** @param {unknown} error any thrown value */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

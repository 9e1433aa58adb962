// What the browsers that a test has started take of the computer's memory.

import { readFile, readdir } from "node:fs/promises";

/** A file of `/proc`, empty for a process that has ended meanwhile. @param {string} path */
const proc = (path) => readFile(`/proc/${path}`, "utf8").catch(() => "");

/** The processes below one, all generations. @param {number} root @returns {Promise<number[]>} */
export async function descendants(root = process.pid) {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const parents = await Promise.all(
    ids.map(async (id) => {
      // After the name, which is in brackets and may hold anything: the state, and the parent.
      const stat = await proc(`${id}/stat`);
      return { id: Number(id), parent: Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) };
    }),
  );
  const found = [root];
  for (const above of found) for (const { id, parent } of parents) if (parent === above) found.push(id);
  return found.slice(1);
}

/**
 * Bytes that the processes below this one hold of their own: anonymous memory and what they share among themselves.
 * Mapped files are left out, for the program itself is one, and its share grows when a browser of another test ends.
 * @returns {Promise<number>}
 */
export async function memory() {
  const rollups = await Promise.all((await descendants()).map((id) => proc(`${id}/smaps_rollup`)));
  return rollups.reduce((sum, text) => sum + bytesOf(text, "Pss_Anon") + bytesOf(text, "Pss_Shmem"), 0);
}

/** @param {string} rollup @param {string} field */
const bytesOf = (rollup, field) => 1024 * Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(rollup)?.[1] ?? 0);

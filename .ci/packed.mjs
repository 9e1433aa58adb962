// Puts the models that `./dev pack-site` packed into the built page: their files into its models/, their entries before all
// others in its models.json. As a program: node .ci/packed.mjs PACKED SITE

import { constants } from "node:fs";
import { copyFile, link, mkdir, readFile, readdir, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ENTRY = "entry.json";

/** The same bytes without taking their place on the disk twice, where that can be. @param {string} from @param {string} to */
const place = (from, to) => link(from, to).catch(() => copyFile(from, to, constants.COPYFILE_FICLONE));

/**
 * @param {string} packed folder with a folder for each model; none at all where nothing is packed
 * @param {string} site folder of the built page, which has none of these models yet
 * @returns {Promise<{ id: string, name: string }[]>} the models' entries
 */
export async function addPacked(packed, site) {
  const folders = await readdir(packed).catch(() => /** @type {string[]} */ ([]));
  const entries = [];
  for (const folder of folders.filter((name) => !name.endsWith(".unfinished")).sort()) {
    const files = await readdir(path.join(packed, folder)).catch(() => /** @type {string[]} */ ([]));
    if (!files.includes(ENTRY)) continue;
    entries.push(JSON.parse(await readFile(path.join(packed, folder, ENTRY), "utf8")));
    await mkdir(path.join(site, "models", folder));
    for (const file of files.filter((name) => name !== ENTRY)) {
      await place(path.join(packed, folder, file), path.join(site, "models", folder, file));
    }
  }
  if (entries.length > 0) {
    const list = path.join(site, "models.json");
    const others = JSON.parse(await readFile(list, "utf8"));
    await writeFile(list, `${JSON.stringify([...entries, ...others], null, 2)}\n`);
  }
  return entries;
}

if (process.argv[1] && (await realpath(process.argv[1])) === fileURLToPath(import.meta.url)) {
  const [packed, site] = process.argv.slice(2);
  if (!packed || !site) throw new Error("usage: node .ci/packed.mjs PACKED SITE");
  for (const { id, name } of await addPacked(packed, site))
    console.log(`dev: ${name} lies with the page (?model=${id}).`);
}

// What a release is made of, besides the binaries.
//   node .ci/release.mjs notes TAG             prints the tag's section of CHANGELOG.md
//   node .ci/release.mjs package DIST OUT TAG  makes OUT an npm package of the built page, whose entrance is api.js

import { cp, readFile, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

/**
 * A tag's version, which has to be the workspace's own.
 * @param {string} tag such as v0.2.0 @param {string} manifest Cargo.toml's text
 * @returns {string} such as 0.2.0
 */
export function versionOf(tag, manifest) {
  const version = /^v(\d+\.\d+\.\d+(?:-[\w.]+)?)$/.exec(tag)?.[1];
  if (!version) throw new Error(`${tag} is no version's tag; name it like v1.2.3.`);
  const own = /^\[workspace\.package\]\nversion = "(.+)"$/m.exec(manifest)?.[1];
  if (own !== version) throw new Error(`The tag says ${version} and Cargo.toml ${own}; set one to the other.`);
  return version;
}

/** @param {string} changelog its text @param {string} version @returns {string} the version's section without its heading */
export function notesOf(changelog, version) {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.split(/[\s\]]/)[0].replace("[", "") === version);
  const notes = section?.slice(section.indexOf("\n")).trim();
  if (!notes) throw new Error(`CHANGELOG.md has no section "## ${version}" with anything in it; write what changed.`);
  return notes;
}

/** @param {string} version @returns {object} package.json of the page as a package */
export const manifestOf = (version) => ({
  name: "styleid-in-the-browser",
  version,
  description: "Style transfer with Stable Diffusion on the visitor's own GPU: the engine of StyleID in the browser",
  license: "MIT OR Apache-2.0",
  type: "module",
  exports: { ".": "./api.js", "./*": "./*" },
  sideEffects: false,
});

/** @param {string} dist @param {string} out a folder that is not there yet @param {string} version */
export async function makePackage(dist, out, version) {
  await cp(dist, out, { recursive: true, errorOnExist: true, force: false });
  await writeFile(path.join(out, "package.json"), `${JSON.stringify(manifestOf(version), null, 2)}\n`);
  for (const file of ["LICENSE", "LICENSE-MIT", "LICENSE-APACHE"]) await cp(root + file, path.join(out, file));
  await cp(`${root}docs/api.md`, path.join(out, "README.md"));
}

if (process.argv[1] && (await realpath(process.argv[1])) === fileURLToPath(import.meta.url)) {
  const [command, ...rest] = process.argv.slice(2);
  const version = versionOf(rest.at(-1) ?? "", await readFile(`${root}Cargo.toml`, "utf8"));
  if (command === "notes") console.log(notesOf(await readFile(`${root}CHANGELOG.md`, "utf8"), version));
  else if (command === "package" && rest.length === 3) await makePackage(rest[0], rest[1], version);
  else throw new Error("usage: node .ci/release.mjs notes TAG | package DIST OUT TAG");
}

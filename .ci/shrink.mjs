// Makes the built page small, and quick to show: node .ci/shrink.mjs DIST
//
// The first screen gets one stylesheet, and the page's program is one script: every file of its own costs a visitor's phone a
// request, and its processor a task. What else imports files of the page's rooms keeps them as they are, without spaces.

import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { build, transform } from "../tests/node_modules/esbuild/lib/main.js";

const [dist] = process.argv.slice(2);
process.chdir(dist);

/** Whose imports stay files: what others embed, the workers, and what can be asked for by its address (the doors). */
const KEPT = ["api.js", "worker.js", "page/start.js", "page/doors.js"];
/** What people read at its address stays as it is. */
const READ = ["api.js", "example.js"];
/** Stylesheets that a page links. */
const STYLES = ["page/page.css", "page/dialogs.css", "page/base.css", "page/how.css"];

const isMine = (/** @type {string} */ name) => !name.startsWith("models/");
const files = (await readdir(".", { recursive: true })).filter(isMine);
const scripts = files.filter((name) => name.endsWith(".js"));

// `import("./app.js")` of page/start.js is what makes the program; it becomes a script of its own.
const options = {
  absWorkingDir: process.cwd(),
  bundle: true,
  format: "esm",
  charset: "utf8",
  logLevel: "warning",
  allowOverwrite: true,
};
const { metafile } = await build({
  ...options,
  entryPoints: KEPT,
  external: ["./app.js"],
  outdir: ".",
  write: false,
  metafile: true,
});
const kept = new Set([...Object.keys(metafile.inputs), "sw.js", "styleid.js", ...READ]);
await build({ ...options, entryPoints: ["page/app.js"], outfile: "page/app.js", minify: true });
for (const name of scripts.filter((name) => name !== "page/app.js")) {
  if (!kept.has(name)) await rm(name);
  else if (!READ.includes(name)) {
    const { code } = await transform(await readFile(name, "utf8"), { minifyWhitespace: true, charset: "utf8" });
    await writeFile(name, code);
  }
}

await build({ ...options, entryPoints: STYLES, outdir: ".", outbase: ".", minify: true });
for (const name of files.filter((name) => name.endsWith(".css") && !STYLES.includes(name))) await rm(name);

for (const name of ["index.html", "how.html"]) {
  const text = await readFile(name, "utf8");
  await writeFile(name, text.replace(/^ +/gm, "")); // no text in them stands with its spaces
}

// The page's processor beside the command line's: `./dev bench browser --device cpu` makes one picture by the
// demonstration model's defaults at 256 pixels, in turn by the command line on one core, by one worker and by two
// workers of the page in Chromium without WebGPU, and prints medians and ratios. BROWSER=firefox takes Firefox.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { isFirefox, launch } from "../browser/browsers.js";
import { serve } from "../browser/server.js";

const { values } = parseArgs({
  options: {
    styleid: { type: "string" },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
    commit: { type: "string" },
    device: { type: "string" },
  },
});
const repository = fileURLToPath(new URL("../../", import.meta.url));
const pictures = path.join(repository, "www/pictures");
const [PHOTO, PAINTING] = ["photo-cat.jpg", "style-hokusai-great-wave.jpg"];
const SETTINGS = { size: 256, steps: 10 };

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

const folder = await mkdtemp(path.join(tmpdir(), "styleid-bench-"));
const server = await serve(process.env.STYLEID_DIST ?? path.join(repository, "dist"), "/");
const browser = await launch({ hasGpu: false });

/** Seconds of the command line on one core, its start and the model's loading left out. */
async function native() {
  const { stdout, stderr } = await promisify(execFile)(
    values.styleid ?? "styleid",
    [
      ...["stylize", "--content", path.join(pictures, PHOTO), "--style", path.join(pictures, PAINTING)],
      ...["--model", path.join(repository, "crate/demo/demo.styleid.gguf"), "--look", "painted"],
      ...["--size", String(SETTINGS.size), "--steps", String(SETTINGS.steps)],
      ...["--device", "cpu", "--precision", "f32", "--out", path.join(folder, `${times.native.length}.png`)],
    ],
    { env: { ...process.env, RAYON_NUM_THREADS: "1" } },
  );
  const [, seconds] = /in ([\d.]+) s/.exec(stdout + stderr) ?? [];
  return Number(seconds);
}

/** Seconds of a page's run, in a page of its own, and the most memory of its workers. @param {number} cores */
async function inPage(cores) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.addInitScript((cores) => {
      Object.defineProperty(navigator, "hardwareConcurrency", { value: cores });
    }, cores);
    await page.goto(`${server.url}example.html`);
    return await page.evaluate(
      async ({ photo, painting, settings }) => {
        const { LOOKS, StyleID } = await import(new URL("api.js", location.href).href);
        const styleid = await StyleID.load({ model: "demo", device: "cpu" });
        const { seconds, unetCalls } = await styleid.stylize({
          content: photo,
          style: painting,
          ...LOOKS.painted,
          ...settings,
        });
        styleid.dispose();
        return { seconds, unetCalls };
      },
      { photo: `${server.url}pictures/${PHOTO}`, painting: `${server.url}pictures/${PAINTING}`, settings: SETTINGS },
    );
  } finally {
    await context.close();
  }
}

/** @type {Record<string, number[]>} */
const times = { native: [], "one worker": [], "two workers": [] };
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    times.native.push(await native());
    times["one worker"].push((await inPage(1)).seconds);
    times["two workers"].push((await inPage(2)).seconds);
    const last = Object.entries(times).map(([name, all]) => `${name} ${all.at(-1)?.toFixed(1)} s`);
    console.log(`round ${round + 1}: ${last.join(", ")}`);
  }
  const base = median(times.native);
  const rows = Object.entries(times).map(([name, all]) => {
    const seconds = median(all);
    return { name, seconds, ratio: seconds / base, all };
  });
  console.log(`medians in ${isFirefox ? "Firefox" : "Chromium"} ${browser.version()}:`);
  for (const { name, seconds, ratio } of rows)
    console.log(`  ${name}: ${seconds.toFixed(1)} s, ${ratio.toFixed(2)} of native`);
  if (values.json) {
    const run = { kind: "processor-page", commit: values.commit, browser: browser.version(), settings: SETTINGS, rows };
    await writeFile(values.json, `${JSON.stringify(run, null, 2)}\n`);
  }
} finally {
  await browser.close();
  server.close();
  await rm(folder, { recursive: true, force: true });
}

// Lighthouse's figures of the built page, with a phone's setting and its throttling: `./dev bench lighthouse [RUNS]`.
// Its simulation starts from times measured on this machine, so other work on it costs points. Medians are printed.

import { fileURLToPath } from "node:url";
import { launch as launchChrome } from "chrome-launcher";
import lighthouse from "lighthouse";
import { serve } from "../browser/server.js";

const runs = Number(process.argv[2] ?? 5);
const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const FIGURES = [
  "first-contentful-paint",
  "largest-contentful-paint",
  "total-blocking-time",
  "cumulative-layout-shift",
];

const server = await serve(dist, "/some/where/");
const chromeFlags = ["--headless=new", "--no-sandbox"];
const chrome = await launchChrome({ chromePath: process.env.CHROME, chromeFlags });
/** @type {Record<string, number[]>} */
const all = {};
try {
  for (let run = 0; run < runs; run++) {
    const result = await lighthouse(server.url, { port: chrome.port, output: "json", logLevel: "error" });
    if (!result) throw new Error("Lighthouse gave no result.");
    const { categories, audits } = result.lhr;
    for (const [name, { score }] of Object.entries(categories)) (all[name] ??= []).push(score ?? 0);
    for (const name of FIGURES) (all[name] ??= []).push(audits[name].numericValue ?? 0);
  }
} finally {
  chrome.kill();
  server.close();
}
const median = (/** @type {number[]} */ values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
for (const [name, values] of Object.entries(all)) {
  const told = (/** @type {number} */ value) => String(Math.round(value * 1000) / 1000);
  console.log(`${name.padEnd(26)} ${told(median(values)).padStart(8)}   ${values.map(told).join(" ")}`);
}

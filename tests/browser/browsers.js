// The browsers that the tests drive: Debian's Chromium, and with BROWSER=firefox Debian's Firefox by WebDriver BiDi.

import { mkdtempSync, rmSync } from "node:fs";
import { readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium, firefox } from "playwright-core";

/** Whether it is Firefox's turn. */
export const isFirefox = process.env.BROWSER === "firefox";

/** Of a test: left out in Firefox, for this reason. @param {string} why */
export const notInFirefox = (why) => ({ skip: isFirefox && why });

/** Nothing but the page's own traffic; WebGPU on the software adapter where there is no GPU. */
const CHROMIUM = [
  "--no-sandbox",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--enable-unsafe-webgpu",
];

/** The same for Firefox, where Linux's WebGPU is still behind a preference, and lavapipe on its list of adapters to refuse. */
const FIREFOX = { "dom.webgpu.enabled": true, "gfx.webgpu.ignore-blocklist": true };

const downloadsPath = isFirefox ? mkdtempSync(path.join(tmpdir(), "styleid-downloads-")) : undefined;
process.on("exit", () => downloadsPath && rmSync(downloadsPath, { recursive: true, force: true }));

/** @param {string[]} flags of Chromium */
const options = (flags) =>
  isFirefox
    ? {
        channel: "moz-firefox",
        executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
        firefoxUserPrefs: FIREFOX,
        downloadsPath,
        env: { ...process.env, MOZ_HEADLESS: "1" },
      }
    : { executablePath: process.env.CHROME ?? "/usr/bin/chromium", args: flags };

const engine = isFirefox ? firefox : chromium;

/** @param {{ flags?: string[], more?: string[] }} [chosen] of Chromium: all flags, and those beside them */
export const launch = ({ flags = CHROMIUM, more = [] } = {}) => engine.launch(options([...flags, ...more]));

/** A window with a profile on the disk. @param {string} profile a folder @param {string[]} [more] flags of Chromium */
export const launchIn = (profile, more = []) =>
  engine.launchPersistentContext(profile, options([...CHROMIUM, ...more]));

/**
 * Follows a link that saves a file.
 * @param {import("playwright-core").Page} page @param {import("playwright-core").Locator} link
 * @returns {Promise<{ name: string, bytes: Buffer }>}
 */
export async function download(page, link) {
  if (!downloadsPath) {
    const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  }
  // Firefox tells of no navigation that a download belongs to, and Playwright waits for one; the file is there all the same.
  await link.click();
  for (let tries = 0; tries < 300; tries++) {
    await sleep(100);
    const [name, ...others] = await readdir(downloadsPath);
    if (!name || others.length > 0 || name.endsWith(".part")) continue;
    const file = path.join(downloadsPath, name);
    const bytes = await readFile(file);
    if (bytes.length === 0) continue;
    await rm(file);
    return { name, bytes };
  }
  throw new Error("Firefox saved no file within 30 seconds");
}

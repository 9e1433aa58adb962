// The browsers that the tests drive: Debian's Chromium, and with BROWSER=firefox Debian's Firefox by WebDriver BiDi.

import { mkdtempSync, rmSync } from "node:fs";
import { readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium, firefox } from "playwright-core";

/** Whether the tests run in Firefox. */
export const isFirefox = process.env.BROWSER === "firefox";

/** Options of a test that is skipped in Firefox. @param {string} why the reason */
export const notInFirefox = (why) => ({ skip: isFirefox && why });

/** The flag of Chromium without which it has no adapter on Linux. */
const WEBGPU = "--enable-unsafe-webgpu";

/** Flags of Chromium: no traffic but the page's own, and WebGPU on the software adapter where there is no GPU. */
const CHROMIUM = [
  "--no-sandbox",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  WEBGPU,
];

/** Preferences of Firefox: on Linux its WebGPU is behind a preference, and lavapipe is on its blocklist. */
const FIREFOX = { "dom.webgpu.enabled": true, "gfx.webgpu.ignore-blocklist": true };
const WITHOUT_WEBGPU = { "dom.webgpu.enabled": false };

const downloadsPath = isFirefox ? mkdtempSync(path.join(tmpdir(), "styleid-downloads-")) : undefined;
process.on("exit", () => downloadsPath && rmSync(downloadsPath, { recursive: true, force: true }));

/** @param {string[]} flags of Chromium @param {boolean} [hasGpu] whether Firefox has WebGPU */
const options = (flags, hasGpu = true) =>
  isFirefox
    ? {
        channel: "moz-firefox",
        executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
        firefoxUserPrefs: hasGpu ? FIREFOX : WITHOUT_WEBGPU,
        downloadsPath,
        env: { ...process.env, MOZ_HEADLESS: "1" },
      }
    : { executablePath: process.env.CHROME ?? "/usr/bin/chromium", args: flags };

const engine = isFirefox ? firefox : chromium;

/**
 * @param {{ flags?: string[], more?: string[], hasGpu?: boolean }} [chosen] flags of Chromium: all of them, and more; whether
 *   the browser has WebGPU
 */
export const launch = ({ flags = CHROMIUM, more = [], hasGpu = true } = {}) =>
  engine.launch(options([...flags.filter((flag) => hasGpu || flag !== WEBGPU), ...more], hasGpu));

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
  // Playwright waits for the navigation of a download, which Firefox does not report; the file is there all the same.
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

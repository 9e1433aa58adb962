// Opens a bare page on which a single module of www/ can be tried, without the wasm and without a build.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "./browsers.js";
import { serve } from "./server.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const output = fileURLToPath(new URL("../output/", import.meta.url));

/** Wide and narrow, light and dark. @type {[string, "light" | "dark", { width: number, height: number }][]} */
const LOOKS = [
  ["light", "light", { width: 1280, height: 800 }],
  ["dark", "dark", { width: 1280, height: 800 }],
  ["phone", "light", { width: 360, height: 740 }],
];

/** @param {string[]} [flags] */
export async function startTools(flags = []) {
  const server = await serve(root, "/");
  const browser = await launch({ flags: ["--no-sandbox", ...flags] });
  return {
    url: server.url,
    /**
     * A page with the exports of a module as `window.tool`.
     * @param {string} module its path in www/ @param {object} [options] of the browser's window
     */
    async open(module, options = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
      const page = await context.newPage();
      const faults = [];
      page.on("pageerror", (error) => faults.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error") faults.push(message.text());
      });
      await page.goto(`${server.url}tests/browser/tools.html`);
      await page.evaluate(async (url) => {
        window.tool = await import(url);
      }, `${server.url}www/${module}`);
      return { page, faults, context };
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}

/** Makes screenshots for people to look at in tests/output/; fails where something is wider than its window. */
export async function look(page, name) {
  await mkdir(output, { recursive: true });
  const before = page.viewportSize();
  for (const [look, colorScheme, size] of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    await page.waitForTimeout(150);
    await page.screenshot({ path: `${output}tool-${name}-${look}.png` });
    const overflow = await page.evaluate(() => {
      const dialog = document.querySelector("dialog[open]");
      const inside = dialog ? dialog.scrollWidth - dialog.clientWidth : 0;
      return Math.max(inside, document.documentElement.scrollWidth - innerWidth);
    });
    assert.ok(overflow <= 0, `${name}, ${look}: ${overflow} px wider than its room`);
  }
  await page.setViewportSize(before);
}

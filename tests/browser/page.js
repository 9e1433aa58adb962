// Opens the built page in a headless browser with WebGPU, and acts on it as a person would. Elements are found by role
// and label.

import assert from "node:assert/strict";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { download, isFirefox, launch, launchIn } from "./browsers.js";
import { encodePng } from "./goldens.js";
import { serve } from "./server.js";

// Another folder can be tested, such as what was deployed.
export const dist = process.env.STYLEID_DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));

/** A run of four steps on the software adapter takes seconds; a loaded machine gets ten times that and more. */
export const RUN_TIMEOUT_MS = 600_000;

/** Lines of Firefox's console that are no fault of the page, and that Chromium does not write. */
const NO_FAULTS = [
  /^Image corrupt or truncated\.$/, // a file that is no picture, which the page says in its own words
  // A style that Playwright adds to a page while it takes a screenshot; the page's policy refuses it.
  /blocked an inline style .*sha256-YjaKGiklmzC6wjXA513HAMmzus8VE61XCOT\+SmwNZWA=/,
];

/**
 * Starts one browser and one server for a test file. If `isPrivate`, each opened page has a private window of its own.
 * Otherwise all share a profile on the disk, where browsers store files in another way.
 * @param {{ isPrivate?: boolean, hasGpu?: boolean }} [options] `hasGpu`: whether the browser has WebGPU
 * @returns {Promise<{ open: (query?: string, options?: object) => Promise<PageUnderTest>, close: () => Promise<void> }>}
 */
export async function start({ isPrivate = true, hasGpu = true } = {}) {
  await access(`${dist}/index.html`).catch(() => assert.fail(`${dist} is empty: run ./dev build first`));
  const server = await serve(dist, "/some/where/");
  const profile = isPrivate ? null : await mkdtemp(path.join(tmpdir(), "styleid-profile-"));
  const browser = profile ? await launchIn(profile) : await launch({ hasGpu });
  return {
    async open(query = "", options = {}) {
      const context = "newContext" in browser ? await browser.newContext(options) : browser;
      const page = new PageUnderTest(await context.newPage(), server);
      await page.goto(query);
      return page;
    },
    async close() {
      await browser.close();
      server.close();
      if (profile) await rm(profile, { recursive: true, force: true });
    },
  };
}

export class PageUnderTest {
  /** Addresses of all requests, the worker's included. @type {string[]} */ requests = [];
  /** What went wrong without the page saying so. @type {string[]} */ faults = [];

  /** @param {import("playwright-core").Page} page @param {Awaited<ReturnType<typeof serve>>} server */
  constructor(page, server) {
    this.page = page;
    this.server = server;
    page.context().on("request", (request) => this.requests.push(request.url()));
    const noteFault = (/** @type {string} */ text) => {
      if (!isFirefox || !NO_FAULTS.some((line) => line.test(text))) this.faults.push(text);
    };
    page.on("pageerror", (error) => noteFault(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") noteFault(message.text());
    });
    this.photo = page.getByRole("region", { name: "Photo" });
    this.painting = page.getByRole("region", { name: "Painting" });
    this.status = page.getByRole("status", { name: "Status of the run" });
    this.go = page.getByRole("button", { name: "Repaint the photo" });
    this.cancel = page.getByRole("button", { name: "Cancel", exact: true });
    this.model = page.getByLabel("Model", { exact: true });
    this.weights = page.getByLabel("Weights", { exact: true });
    this.facts = page.locator("#model-facts");
    this.notices = page.getByRole("log", { name: "Notices" });
    this.consent = page.getByRole("dialog");
  }

  /**
   * Opens the page, on the GPU unless the query names another device: the software adapter is one only by pretence.
   * @param {string} query
   */
  async goto(query) {
    const url = new URL(this.server.url + query);
    if (!url.searchParams.has("device")) url.searchParams.set("device", "gpu");
    await this.page.goto(url.href);
    await this.model.getByRole("option").first().waitFor({ state: "attached" });
    await this.openFolds();
  }

  /** Unfolds the parts that are folded when the page opens: most tests are about their contents. */
  async openFolds() {
    await this.page.evaluate(() => {
      for (const fold of document.querySelectorAll("#models, #fine-tune")) fold.open = true;
    });
  }

  /** Another visit: a new page in the same window's profile. @param {string} query @returns {Promise<PageUnderTest>} */
  async again(query) {
    const next = new PageUnderTest(await this.page.context().newPage(), this.server);
    await this.page.close();
    await next.goto(query);
    return next;
  }

  /** Unfolds a part of the page. @param {string} summary */
  async unfold(summary) {
    await this.page.getByText(summary, { exact: true }).click();
  }

  /** Agrees to a download. */
  async agree() {
    await this.consent.getByRole("button", { name: /^Download/ }).click();
  }

  /**
   * Drops a file as a person would.
   * @param {import("playwright-core").Locator} slot @param {Buffer} bytes @param {string} name @param {string} type
   */
  async drop(slot, bytes, name, type = "image/png") {
    const dataTransfer = await this.page.evaluateHandle(
      ([base64, name, type]) => {
        const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name, { type }));
        return transfer;
      },
      [bytes.toString("base64"), name, type],
    );
    await slot.dispatchEvent("dragover", { dataTransfer });
    await slot.dispatchEvent("drop", { dataTransfer });
  }

  /**
   * Waits until a slot shows this picture's name and size.
   * @param {import("playwright-core").Locator} slot @param {string} facts
   */
  async waitForPicture(slot, facts) {
    await slot.getByText(facts).waitFor({ timeout: 60_000 }); // the first picture waits for the wasm to be compiled
  }

  /** Chooses a golden's own pictures. @param {Awaited<ReturnType<typeof import("./goldens.js").readGolden>>} golden */
  async choose({ content, style }) {
    await this.drop(this.photo, encodePng(content), "content.png");
    await this.drop(this.painting, encodePng(style), "style.png");
    await this.waitForPicture(this.photo, "content.png · ");
    await this.waitForPicture(this.painting, "style.png · ");
  }

  /** @param {{ size?: string, steps?: number }} settings */
  async set({ size, steps }) {
    await this.openFolds();
    if (size) await this.page.locator("#run").getByLabel("Size", { exact: true }).selectOption(size);
    if (steps) {
      const field = this.page.getByLabel(/^Steps/);
      // In Firefox, WebDriver BiDi adds to what a number's field has instead of filling it.
      await field.press("ControlOrMeta+a");
      await field.pressSequentially(String(steps));
    }
  }

  /** The layers that are ticked, as `7,8,9`. @returns {Promise<string>} */
  tickedLayers() {
    return this.page
      .getByRole("group", { name: "Layers", includeHidden: true })
      .locator("input:checked")
      .evaluateAll((boxes) => boxes.map(({ value }) => value).join());
  }

  /** Waits for the end of the run, and returns the status. @returns {Promise<string>} */
  async waitForEnd() {
    await this.cancel.waitFor({ state: "hidden", timeout: RUN_TIMEOUT_MS });
    return this.status.innerText();
  }

  /** @returns {Promise<{ name: string, bytes: Buffer }>} */
  download() {
    return download(this.page, this.page.getByRole("link", { name: "Download PNG" }));
  }

  /** Measures the result that is shown. @returns {Promise<string>} what is said of it */
  async measure() {
    await this.page.getByRole("button", { name: "Measure", exact: true }).click();
    const said = this.page.getByRole("status", { name: "About the result" });
    await said.getByText(/^Measured: LPIPS \d/).waitFor({ timeout: RUN_TIMEOUT_MS });
    return said.innerText();
  }

  /**
   * Asserts that no request left the page's folder, no file was missing, and the console has no errors.
   * @param {string[]} [origins] where a model may come from
   */
  assertClean(origins = []) {
    const allowed = [this.server.url, "blob:", "data:", ...origins.map((origin) => `${origin}/`)];
    const elsewhere = this.requests.filter((url) => !allowed.some((prefix) => url.startsWith(prefix)));
    assert.deepEqual(elsewhere, [], "requests that left the page's own folder");
    assert.deepEqual(this.server.missing, [], "files that the page asked for and the site lacks");
    assert.deepEqual(this.faults, [], "errors in the console");
  }

  async close() {
    await this.page.context().close();
  }
}

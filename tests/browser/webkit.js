// WebKitGTK's small browser, driven by plain WebDriver, on a screen that is only in memory.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const DRIVER = process.env.WEBKIT_DRIVER ?? "WebKitWebDriver";
/** Where Debian keeps the browser, which is in no path. */
const BROWSER = process.env.WEBKIT_BROWSER ?? "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
/** Name of an element's reference in the protocol. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
/** How long to wait for anything but a run. */
const PATIENCE_MS = 60_000;
/** How long a call of the page's functions may take. */
const RUN_TIMEOUT_MS = 600_000;

/** A port that nothing uses. @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });

/** Calls `ask` until its answer is truthy. @template T @param {() => Promise<T>} ask @param {string} what @param {number} [ms] */
export async function until(ask, what, ms = PATIENCE_MS) {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(100)) {
    const answer = await ask();
    if (answer) return answer;
  }
  throw new Error(`waited ${ms / 1000} s in vain: ${what}`);
}

export class WebKit {
  #processes;
  #session;

  /** @param {import("node:child_process").ChildProcess[]} processes @param {string} session address */
  constructor(processes, session) {
    this.#processes = processes;
    this.#session = session;
  }

  /** Starts screen, driver and browser. */
  static async launch() {
    const port = await freePort();
    const screen = `:${100 + (port % 900)}`;
    const xvfb = spawn("Xvfb", [screen, "-screen", "0", "1280x900x24"], { stdio: "ignore" });
    const env = { ...process.env, DISPLAY: screen, GDK_BACKEND: "x11", LIBGL_ALWAYS_SOFTWARE: "1" };
    const driver = spawn(DRIVER, [`--port=${port}`], { env, stdio: "ignore" });
    const root = `http://127.0.0.1:${port}`;
    await until(
      () =>
        fetch(`${root}/status`).then(
          (answer) => answer.ok,
          () => false,
        ),
      "the driver's start",
    );
    const options = { binary: BROWSER, args: ["--automation"] };
    const capabilities = { alwaysMatch: { "webkitgtk:browserOptions": options, acceptInsecureCerts: true } };
    const { sessionId } = await ask(`${root}/session`, "POST", { capabilities });
    const session = `${root}/session/${sessionId}`;
    await ask(`${session}/timeouts`, "POST", { script: RUN_TIMEOUT_MS });
    return new WebKit([driver, xvfb], session);
  }

  /** @param {string} url */
  goto(url) {
    return ask(`${this.#session}/url`, "POST", { url });
  }

  /** Calls an async function in the page. @param {Function} run @param {unknown[]} values its arguments */
  async evaluate(run, ...values) {
    const script = `const done = arguments[arguments.length - 1]; const values = [...arguments].slice(0, -1);
      Promise.resolve((${run})(...values)).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const { value, error } = await ask(`${this.#session}/execute/async`, "POST", { script, args: values });
    if (error) throw new Error(error);
    return value;
  }

  /** Clicks the element of a selector as a person does. @param {string} selector */
  async click(selector) {
    const found = await ask(`${this.#session}/element`, "POST", { using: "css selector", value: selector });
    await ask(`${this.#session}/element/${found[ELEMENT]}/click`, "POST", {});
  }

  /** Gives an input files of this computer. @param {string} selector @param {string} path */
  async choose(selector, path) {
    const found = await ask(`${this.#session}/element`, "POST", { using: "css selector", value: selector });
    await ask(`${this.#session}/element/${found[ELEMENT]}/value`, "POST", { text: path });
  }

  /** The visible text of a selector's first element. @param {string} selector @returns {Promise<string>} */
  text(selector) {
    return this.evaluate(
      (/** @type {string} */ selector) => document.querySelector(selector)?.innerText ?? "",
      selector,
    );
  }

  /** @returns {Promise<Buffer>} a PNG */
  async screenshot() {
    return Buffer.from(await ask(`${this.#session}/screenshot`, "GET"), "base64");
  }

  async close() {
    await ask(this.#session, "DELETE").catch(() => null);
    for (const process of this.#processes) process.kill();
  }
}

/** One command of the protocol. @param {string} url @param {string} method @param {object} [body] */
async function ask(url, method, body) {
  const answer = await fetch(url, { method, ...(body && { body: JSON.stringify(body) }) });
  const { value } = await answer.json();
  if (!answer.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

// A static file server for one folder, under a sub-path, as GitHub Pages serves a project's site.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".jpg": "image/jpeg",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".md": "text/markdown; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/**
 * @param {string} folder
 * @param {string} base "/some/where/"
 * @returns {Promise<{ url: string, origin: string, missing: string[], prepend: Map<string, string>, close: () => void }>}
 *   `missing`: paths asked for and not found; `prepend`: what is sent in front of a file, by its name
 */
export async function serve(folder, base) {
  const missing = [];
  const prepend = new Map();
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = path.join(folder, decodeURIComponent(pathname.slice(base.length)) || "index.html");
    try {
      if (!pathname.startsWith(base) || !file.startsWith(folder)) throw new Error("outside");
      const body = (prepend.get(path.basename(file)) ?? "") + (await readFile(file, "latin1"));
      response
        .writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" })
        .end(body, "latin1");
    } catch {
      missing.push(pathname);
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    url: origin + base,
    origin,
    missing,
    prepend,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

// A local server that behaves like the Hugging Face Hub, with faults that tests switch on.
//
// It has two origins, as the Hub does. The first has the API, `/owner/repo/resolve/…` and `/owner/repo/raw/…`; it
// redirects requests for large files to the second one, with a signature that expires. `/files/…` on the first is a
// plain web folder of the same tree. A repository is a folder DIR/owner/repo, a space DIR/spaces/owner/repo. All
// revisions are the same.
//
// The command `node server.js --root DIR [--life SECONDS]` prints {"hub": …, "cdn": …} and ends when its input ends.
// `POST /_control` takes settings as JSON, `GET /_log` gives the log of requests, `POST /_reset` forgets both.

import { createHash } from "node:crypto";
import { createReadStream, realpathSync } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** The settings and their defaults. `life`, `page`, `lfs`, `gated` and `pages` concern all requests. */
const DEFAULTS = {
  /** Seconds until a signature expires. */
  life: 60,
  /** Entries on a page of a listing. */
  page: 1000,
  /** Files of at least this many bytes, and all weights, are redirected to the second origin. */
  lfs: 10e6,
  /** Repositories whose licence must be accepted first, as "owner/repo". */
  gated: [],
  /** The settings below, except `pages`, concern only requests whose address contains this. */
  only: "",
  /** Bytes after which a response's connection is closed, and for how many responses (null: for all). */
  dropEvery: null,
  drops: null,
  /** Whether such a connection is reset instead, which also loses what the client has not read yet. */
  abrupt: false,
  /** { times, status, headers, on: "hub" | "cdn" }: the next `times` answers have this status. */
  fail: null,
  /** Bytes from the end that a response leaves out. */
  truncate: 0,
  /** Answers every request for a part with the whole. */
  ignoreRange: false,
  /** Breaks every connection on which a part is asked for, as a refused preflight looks to a page. */
  breakRange: false,
  refusePreflight: false,
  /** Number of answers that bring another part than was asked for. */
  shift: 0,
  /** Number that is added to Content-Length. */
  wrongLength: 0,
  /** Sends in chunks, without Content-Length. */
  noLength: false,
  /** Headers that are not sent, as CORS may hide them. */
  hide: [],
  /** Compresses JSON for clients that can have it, unless they ask for a part. */
  gzip: true,
  /** Every byte of a file is XORed with this, and its ETag differs. After `changeAfter` more answers it grows by 1. */
  version: 0,
  changeAfter: null,
  /** Offset of a byte of the file that is wrong, while the ETag stays the same. */
  corrupt: null,
  /** Milliseconds before an answer. */
  latency: 0,
  /** Bytes per second of a response. */
  rate: null,
  /** Whether the plain folder answers with a web page for files that it does not have. */
  pages: false,
};

const CHUNK = 64 * 1024;
const EXPOSED =
  "ETag, Content-Range, Content-Length, Accept-Ranges, Link, RateLimit, Retry-After, Date, X-Error-Code, X-Linked-ETag, X-Linked-Size, X-Repo-Commit";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const sign = (text) => createHash("sha256").update(`secret ${text}`).digest("hex").slice(0, 32);
const isWeights = (file) => /\.(gguf|safetensors|bin|ckpt)$/.test(file);

/** A request's body as JSON. */
async function posted(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString() || "{}");
}

/**
 * @param {{ root: string } & Partial<typeof DEFAULTS>} options
 * @returns {Promise<{ hub: string, cdn: string, log: object[], control: (settings: Partial<typeof DEFAULTS>) => void, reset: () => void, close: () => void }>}
 */
export async function startHub({ root, ...options }) {
  root = path.resolve(root);
  let settings = { ...DEFAULTS, ...options };
  const log = [];
  const sums = new Map();
  const hub = { origin: "" };
  const cdn = { origin: "" };

  const control = (change) => {
    for (const key of Object.keys(change)) if (!(key in DEFAULTS)) throw new Error(`no setting is called ${key}`);
    settings = { ...settings, ...structuredClone(change) };
  };
  const reset = () => {
    settings = { ...DEFAULTS, ...options };
    log.length = 0;
  };

  async function sha256(file, info) {
    const key = `${file} ${info.size} ${info.mtimeMs}`;
    if (!sums.has(key)) {
      const hash = createHash("sha256");
      for await (const chunk of createReadStream(file)) hash.update(chunk);
      sums.set(key, hash.digest("hex"));
    }
    return sums.get(key);
  }

  /** A file or folder inside the root, or null. */
  async function find(...parts) {
    const file = path.join(root, ...parts);
    if (file !== root && !file.startsWith(root + path.sep)) return null;
    const info = await stat(file).catch(() => null);
    return info && { file, info, isLfs: isWeights(file) || info.size >= settings.lfs };
  }

  const json = (response, status, value, headers = {}) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
  const error = (response, status, code) => json(response, status, { error: code }, { "x-error-code": code });

  /** Sends a file's bytes, or what the settings make of them. */
  async function send(request, response, { file, info }, entry, headers = {}) {
    const concerned = request.url.includes(settings.only);
    const now = concerned ? settings : DEFAULTS;
    if (now.changeAfter !== null && settings.changeAfter-- <= 0) {
      settings.version += 1;
      settings.changeAfter = null;
    }
    const version = now.version;
    const etag = createHash("sha256").update(`${file} ${info.size} ${info.mtimeMs} ${version}`).digest("hex");
    headers = { "accept-ranges": "bytes", etag: `"${etag.slice(0, 32)}"`, ...headers };
    headers["content-type"] ??= file.endsWith(".json") ? "application/json" : "application/octet-stream";
    let [start, end] = [0, info.size];
    const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    if (asked && now.breakRange) return response.destroy();
    const isPart = Boolean(asked) && !now.ignoreRange;
    if (isPart) {
      start = Number(asked[1]);
      end = asked[2] ? Math.min(Number(asked[2]) + 1, info.size) : info.size;
      if (start >= info.size) {
        return response.writeHead(416, { ...headers, "content-range": `bytes */${info.size}` }).end();
      }
      if (now.shift > 0) {
        settings.shift -= 1;
        [start, end] = [start + 1, Math.min(end + 1, info.size)];
      }
      headers["content-range"] = `bytes ${start}-${end - 1}/${info.size}`;
    }
    let zipped = null;
    if (now.gzip && !isPart && file.endsWith(".json") && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "")) {
      zipped = gzipSync(await readFile(file));
      headers["content-encoding"] = "gzip";
      [start, end] = [0, zipped.length];
    }
    if (!now.noLength) headers["content-length"] = end - start + now.wrongLength;
    for (const name of now.hide) delete headers[name.toLowerCase()];
    response.writeHead(isPart ? 206 : 200, headers);
    response.flushHeaders();
    if (request.method === "HEAD") return response.end();

    end = Math.max(start, end - now.truncate);
    const canDrop = now.dropEvery !== null && (now.drops === null || now.drops > 0);
    const drop = canDrop ? start + now.dropEvery : Infinity;
    const handle = zipped ? null : await open(file);
    try {
      for (let at = start; at < end && !response.destroyed;) {
        const upTo = Math.min(at + CHUNK, end, drop);
        const bytes = zipped ? zipped.subarray(at, upTo) : Buffer.alloc(upTo - at);
        if (handle) await handle.read(bytes, 0, upTo - at, at);
        if (version) for (let i = 0; i < bytes.length; i++) bytes[i] ^= version;
        if (now.corrupt !== null && at <= now.corrupt && now.corrupt < upTo) bytes[now.corrupt - at] ^= 1;
        await new Promise((resolve) => {
          response.once("close", resolve);
          response.write(bytes, (problem) => {
            response.off("close", resolve);
            if (!problem) entry.bytes += bytes.length;
            resolve(undefined);
          });
        });
        at = upTo;
        if (at >= drop && at < end) {
          if (settings.drops !== null) settings.drops -= 1;
          return now.abrupt ? response.socket?.resetAndDestroy() : response.socket?.destroySoon();
        }
        if (now.rate) await wait((bytes.length / now.rate) * 1000);
      }
    } finally {
      await handle?.close();
    }
    // The body is not as long as was announced, so the response cannot end: the connection is closed.
    const isWrong = now.truncate > 0 || now.wrongLength !== 0;
    return isWrong ? response.socket?.destroySoon() : response.end();
  }

  async function list(response, url, [owner, repo, revision, ...within]) {
    const top = await find(owner, repo);
    if (!top?.info.isDirectory()) return error(response, 401, "RepoNotFound");
    if (!revision) return error(response, 404, "RevisionNotFound");
    const isDeep = ["1", "true"].includes(url.searchParams.get("recursive"));
    const entries = [];
    const walk = async (folder) => {
      for (const name of (await readdir(path.join(top.file, folder))).sort()) {
        const inside = folder ? `${folder}/${name}` : name;
        const { file, info, isLfs } = await find(owner, repo, inside);
        if (info.isDirectory()) {
          entries.push({ type: "directory", oid: COMMIT, size: 0, path: inside });
          if (isDeep) await walk(inside);
        } else {
          const lfs = isLfs ? { lfs: { oid: await sha256(file, info), size: info.size, pointerSize: 134 } } : {};
          entries.push({ type: "file", oid: COMMIT, size: info.size, path: inside, ...lfs });
        }
      }
    };
    const folder = await find(owner, repo, ...within);
    if (!folder?.info.isDirectory()) return error(response, 404, "EntryNotFound");
    await walk(within.join("/"));
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const to = from + settings.page;
    const headers = {};
    if (to < entries.length) {
      const next = new URL(url);
      next.searchParams.set("cursor", String(to));
      headers.link = `<${next}>; rel="next"`;
    }
    return json(response, 200, entries.slice(from, to), headers);
  }

  async function onHub(request, response, url, parts, entry) {
    if (parts[0] === "api" && parts[1] === "models" && parts[4] === "tree") {
      return list(response, url, [parts[2], parts[3], ...parts.slice(5)]);
    }
    if (parts[0] === "files") {
      const found = await find(...parts.slice(1));
      if (found?.info.isFile()) return send(request, response, found, entry);
      if (settings.pages) return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");
      return response.writeHead(404).end();
    }
    if (parts[0] === "spaces") {
      const found = parts[3] === "resolve" ? await find(...parts.slice(0, 3), ...parts.slice(5)) : null;
      return found?.info.isFile() ? send(request, response, found, entry) : error(response, 404, "EntryNotFound");
    }
    const [owner, repo, verb, revision, ...rest] = parts;
    if (!revision || !["resolve", "raw"].includes(verb)) return response.writeHead(404).end();
    if (!(await find(owner, repo))) return error(response, 401, "RepoNotFound");
    if (settings.gated.includes(`${owner}/${repo}`)) return error(response, 401, "GatedRepo");
    const found = await find(owner, repo, ...rest);
    if (!found?.info.isFile()) return error(response, 404, "EntryNotFound");
    if (!found.isLfs) return send(request, response, found, entry, { "x-repo-commit": COMMIT });
    const sum = await sha256(found.file, found.info);
    if (verb === "raw") {
      const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sum}\nsize ${found.info.size}\n`;
      return response.writeHead(200, { "content-type": "text/plain" }).end(pointer);
    }
    const target = new URL(`/${[owner, repo, ...rest].map(encodeURIComponent).join("/")}`, cdn.origin);
    const expires = String(Date.now() + settings.life * 1000);
    target.search = String(new URLSearchParams({ expires, sig: sign(target.pathname + expires) }));
    const headers = { "x-linked-etag": `"${sum}"`, "x-linked-size": found.info.size, "x-repo-commit": COMMIT };
    return response.writeHead(302, { location: String(target), ...headers }).end();
  }

  async function onCdn(request, response, url, parts, entry) {
    const expires = url.searchParams.get("expires") ?? "";
    const isSigned = url.searchParams.get("sig") === sign(url.pathname + expires);
    if (!isSigned || Number(expires) < Date.now()) {
      return response
        .writeHead(403, { "content-type": "application/xml" })
        .end("<Error><Code>AccessDenied</Code></Error>");
    }
    const found = await find(...parts);
    return found?.info.isFile() ? send(request, response, found, entry) : response.writeHead(404).end();
  }

  async function answer(place, request, response) {
    const url = new URL(request.url, place.origin);
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-expose-headers", EXPOSED);
    if (url.pathname === "/_log") return json(response, 200, log);
    if (url.pathname === "/_control" && request.method === "POST")
      return json(response, 200, control(await posted(request)) ?? {});
    if (url.pathname === "/_reset" && request.method === "POST") return json(response, 200, reset() ?? {});

    const on = place === hub ? "hub" : "cdn";
    const entry = {
      on,
      method: request.method,
      path: url.pathname,
      range: request.headers.range ?? null,
      status: 0,
      bytes: 0,
    };
    log.push(entry);
    const writeHead = response.writeHead.bind(response);
    response.writeHead = (status, ...rest) => {
      entry.status = status;
      return writeHead(status, ...rest);
    };
    const isConcerned = request.url.includes(settings.only);
    if (isConcerned && settings.latency) await wait(settings.latency);
    if (request.method === "OPTIONS") {
      if (isConcerned && settings.refusePreflight) {
        response.removeHeader("access-control-allow-origin");
        return response.writeHead(403).end();
      }
      const headers = { "access-control-allow-headers": "Range", "access-control-allow-methods": "GET, HEAD" };
      return response.writeHead(204, headers).end();
    }
    if (!["GET", "HEAD"].includes(request.method)) return response.writeHead(405).end();
    const { fail } = settings;
    if (isConcerned && fail && fail.times > 0 && (fail.on ?? on) === on) {
      fail.times -= 1;
      return response.writeHead(fail.status, fail.headers ?? {}).end();
    }
    const parts = url.pathname.split("/").slice(1).map(decodeURIComponent);
    return (place === hub ? onHub : onCdn)(request, response, url, parts, entry);
  }

  const servers = [];
  for (const place of [hub, cdn]) {
    const server = createServer((request, response) => {
      answer(place, request, response).catch((problem) => {
        if (!response.headersSent) json(response, 500, { error: String(problem) });
        else response.destroy();
      });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
    place.origin = `http://127.0.0.1:${server.address().port}`;
    servers.push(server);
  }
  const close = () => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  };
  return { hub: hub.origin, cdn: cdn.origin, log, control, reset, close };
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const argument = (name) => process.argv[process.argv.indexOf(name) + 1];
  if (!process.argv.includes("--root")) throw new Error("usage: node server.js --root DIR [--life SECONDS]");
  const life = process.argv.includes("--life") ? { life: Number(argument("--life")) } : {};
  const { hub, cdn, close } = await startHub({ root: argument("--root"), ...life });
  console.log(JSON.stringify({ hub, cdn }));
  process.stdin.resume().on("end", () => {
    close();
    process.exit();
  });
}

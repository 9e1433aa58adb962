import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { crc32 } from "../../www/shared/crc32.js";
import { zip } from "../../www/results/zip.js";

const text = (words) => new TextEncoder().encode(words);
const date = new Date(2026, 10, 23, 16, 5, 43);
const entries = [
  { name: "a.png", bytes: Uint8Array.from({ length: 70_000 }, (_, i) => (i * i) % 253), date },
  { name: "Wave – 北斎 🌊.txt", bytes: text("The Great Wave"), date },
  { name: "A.png", bytes: text("same name but for its case"), date },
  { name: "a.png", bytes: text("same name"), date },
  { name: "../up/./empty", bytes: new Uint8Array(0), date },
];
const NAMES = ["a.png", "Wave – 北斎 🌊.txt", "A (2).png", "a (3).png", "up/empty"];

/** Reads an archive from its end, as the standard says and readers of ZIPs do. @param {Uint8Array} bytes */
function unzip(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22;
  assert.equal(view.getUint32(end, true), 0x06054b50);
  const count = view.getUint16(end + 10, true);
  assert.equal(view.getUint16(end + 8, true), count);
  let at = view.getUint32(end + 16, true);
  assert.equal(at + view.getUint32(end + 12, true), end, "the directory ends where the end begins");
  return Array.from({ length: count }, () => {
    assert.equal(view.getUint32(at, true), 0x02014b50);
    const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
    assert.equal(flags & 0x0800, 0x0800);
    assert.equal(method, 0);
    const [crc, size, length] = [
      view.getUint32(at + 16, true),
      view.getUint32(at + 24, true),
      view.getUint16(at + 28, true),
    ];
    assert.equal(view.getUint32(at + 20, true), size);
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + length));
    const local = view.getUint32(at + 42, true);
    assert.equal(view.getUint32(local, true), 0x04034b50);
    assert.deepEqual(bytes.subarray(local + 6, local + 28), bytes.subarray(at + 8, at + 30), "both headers agree");
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const content = bytes.subarray(data, data + size);
    assert.equal(crc32(content), crc);
    const time = [view.getUint16(at + 14, true), view.getUint16(at + 12, true)];
    at += 46 + length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    return { name, content, time };
  });
}

test("an archive is read back as the format says", async () => {
  const blob = zip(entries);
  assert.equal(blob.type, "application/zip");
  const files = unzip(new Uint8Array(await blob.arrayBuffer()));
  assert.deepEqual(
    files.map(({ name }) => name),
    NAMES,
  );
  files.forEach(({ content }, i) => assert.deepEqual(content, entries[i].bytes));
  // 2026-11-23, 16:05:42, as 7 + 4 + 5 and 5 + 6 + 5 bits.
  assert.deepEqual(files[0].time, [(46 << 9) | (11 << 5) | 23, (16 << 11) | (5 << 5) | 21]);
});

test("no files, and times before the format's own", async () => {
  assert.deepEqual(unzip(new Uint8Array(await zip([]).arrayBuffer())), []);
  const [file] = unzip(new Uint8Array(await zip([{ name: "", bytes: text("x"), date: new Date(0) }]).arrayBuffer()));
  assert.deepEqual([file.name, file.time], ["file", [33, 0]]);
});

test("names that are alike are told apart, also from names that look numbered", async () => {
  const name = async (...names) =>
    unzip(new Uint8Array(await zip(names.map((name) => ({ name, bytes: text(name) }))).arrayBuffer())).map(
      ({ name }) => name,
    );
  assert.deepEqual(await name("a", "a", "a"), ["a", "a (2)", "a (3)"]);
  assert.deepEqual(await name("a (2).png", "a.png", "a.png"), ["a (2).png", "a.png", "a (3).png"]);
  assert.deepEqual(await name("x/.hidden", "x/.hidden"), ["x/.hidden", "x/.hidden (2)"]);
  assert.deepEqual(await name("v1.2/a", "v1.2/a"), ["v1.2/a", "v1.2/a (2)"]);
  assert.deepEqual(await name("é.png", "e\u0301.png"), ["é.png", "e\u0301 (2).png"]);
});

test("other programs unpack it", async (t) => {
  const tools = [
    ["python3", (file) => ["-m", "zipfile", "-t", file], "Done testing"],
    ["unzip", (file) => ["-t", file], "No errors detected"],
  ].filter(([name]) => !spawnSync(name, ["--help"]).error);
  if (!tools.length) return t.skip("neither python3 nor unzip is here");
  const folder = await mkdtemp(path.join(tmpdir(), "styleid-zip-"));
  try {
    const file = path.join(folder, "test.zip");
    const bytes = new Uint8Array(await zip(entries).arrayBuffer());
    for (const [name, args, words] of tools) {
      await writeFile(file, bytes);
      const { status, stdout } = spawnSync(name, args(file), { encoding: "utf8" });
      assert.ok(status === 0 && stdout.includes(words) && !/bad|corrupt/i.test(stdout), `${name}: ${stdout}`);
      await writeFile(
        file,
        bytes.map((byte, i) => (i === 5000 ? byte ^ 1 : byte)),
      );
      const damaged = spawnSync(name, args(file), { encoding: "utf8" });
      assert.match(damaged.stdout + damaged.stderr, /bad|corrupt/i, `${name} sees a damaged file`);
      t.diagnostic(`${name} unpacks it`);
    }
    if (tools.some(([name]) => name === "python3")) {
      await writeFile(file, bytes);
      const script =
        "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(ascii(z.namelist())); z.extractall(sys.argv[2])";
      const { stdout, status } = spawnSync("python3", ["-c", script, file, folder], { encoding: "utf8" });
      assert.equal(status, 0);
      assert.ok(stdout.includes("\\u5317\\u658e"), stdout);
      assert.deepEqual(new Uint8Array(await readFile(path.join(folder, "a (3).png"))), entries[3].bytes);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

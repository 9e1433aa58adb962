// How `./dev build` adds the models that were packed for the page.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { addPacked } from "../../.ci/packed.mjs";

/** Makes a built page with one model, and packed models: `packed` maps their files' paths to texts. */
async function folders(t, packed) {
  const root = await mkdtemp(path.join(tmpdir(), "styleid-packed-"));
  t.after(() => rm(root, { recursive: true }));
  const site = path.join(root, "site");
  await mkdir(path.join(site, "models"), { recursive: true });
  await writeFile(path.join(site, "models.json"), JSON.stringify([{ id: "demo" }]));
  for (const [name, text] of Object.entries(packed)) {
    const file = path.join(root, "packed", name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const ids = async () => JSON.parse(await readFile(path.join(site, "models.json"), "utf8")).map(({ id }) => id);
  return { packed: path.join(root, "packed"), site, ids };
}

const entry = (id) => JSON.stringify({ id, name: `Model ${id}` });

test("packed models come first, with their parts and licences, and what is unfinished does not come", async (t) => {
  const { packed, site, ids } = await folders(t, {
    "b/entry.json": entry("own-b"),
    "b/b.gguf": "weights",
    "a/entry.json": entry("own-a"),
    "a/a-1.gguf": "one",
    "a/a-2.gguf": "two",
    "a/LICENSE.txt": "no harm",
    "c.unfinished/c.gguf": "half",
    "d.unfinished/entry.json": entry("own-d"),
    "e/e.gguf": "no entry",
    "notes.txt": "no folder",
  });
  await addPacked(packed, site);
  assert.deepEqual(await ids(), ["own-a", "own-b", "demo"]);
  assert.deepEqual((await readdir(path.join(site, "models"))).sort(), ["a", "b"]);
  assert.deepEqual((await readdir(path.join(site, "models/a"))).sort(), ["LICENSE.txt", "a-1.gguf", "a-2.gguf"]);
  assert.equal(await readFile(path.join(site, "models/a/a-2.gguf"), "utf8"), "two");
});

test("where nothing is packed the page stays as it is", async (t) => {
  const { packed, site, ids } = await folders(t, {});
  assert.deepEqual(await addPacked(packed, site), []);
  assert.deepEqual(await ids(), ["demo"]);
});

test("as a program it says what it put where", async (t) => {
  const { packed, site, ids } = await folders(t, { "a/entry.json": entry("own-a") });
  const script = fileURLToPath(new URL("../../.ci/packed.mjs", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, packed, site]);
  assert.match(stdout, /Model own-a lies with the page \(\?model=own-a\)/);
  assert.deepEqual(await ids(), ["own-a", "demo"]);
});

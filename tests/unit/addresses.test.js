// Which pictures' object URLs are revoked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Addresses, addressesOf } from "../../www/page/addresses.js";
import { History } from "../../www/results/history.js";

const picture = (name) => ({ url: `blob:${name}` });
const job = (photo, ...styles) => ({ photo, styles: styles.map((picture) => ({ picture })) });
const entry = (name, made) => ({
  ...made,
  url: `blob:${name}`,
  before: `blob:${name}-before`,
  thumb: `blob:${name}-thumb`,
});

test("of hundreds of results only those stay that the history holds, with their pictures", () => {
  const revoked = [];
  const addresses = new Addresses((url) => revoked.push(url));
  const history = new History(3);
  const style = picture("style");
  let count = 0;
  const live = (pictures = [style]) => addresses.keep(addressesOf({ entries: history.entries, jobs: [], pictures }));
  for (; count < 200; count++) {
    history.add(entry(`result-${count}`, job(picture(`photo-${count}`), style)));
    live();
  }
  const of = (name) => revoked.filter((url) => url.startsWith(`blob:${name}-`)).length;
  assert.deepEqual([of("result"), of("photo")], [197 * 3, 197]);
  assert.equal(new Set(revoked).size, revoked.length, "each once");
  assert.ok(!revoked.includes("blob:style") && !revoked.includes("blob:result-199-thumb"));
  history.entries.length = 0;
  live([]);
  assert.ok(revoked.includes("blob:style"));
});

test("what a job waits for, and what the page has at an address of its own, is never given back", () => {
  const revoked = [];
  const addresses = new Addresses((url) => revoked.push(url));
  const given = { url: "samples/photo.jpg" };
  const made = job(picture("photo"), picture("style"));
  addresses.keep(addressesOf({ entries: [], jobs: [made], pictures: [given, made.photo] }));
  addresses.keep(addressesOf({ entries: [], jobs: [made], pictures: [] }));
  assert.deepEqual(revoked, []);
  addresses.keep([]);
  assert.deepEqual(revoked.sort(), ["blob:photo", "blob:style"]);
});

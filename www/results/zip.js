// Writes files into a ZIP archive, uncompressed: pictures are compressed already.

import { crc32 } from "../shared/crc32.js";

/** @typedef {{ name: string, bytes: Uint8Array, date?: Date }} Entry */

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const UTF8 = 0x0800; // flag: the name is UTF-8
/** The format's limits; beyond them it needs ZIP64. */
const MOST_ENTRIES = 0xffff;
const MOST_BYTES = 0xffffffff;

/** @param {Entry[]} entries names may have folders, as "a/b.png"; a duplicate gets " (2)" @returns {Blob} */
export function zip(entries) {
  if (entries.length > MOST_ENTRIES) throw new RangeError(`A ZIP holds at most ${MOST_ENTRIES} files: make several.`);
  /** @type {Uint8Array<ArrayBuffer>[]} */ const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */ const directory = [];
  const names = distinctNames(entries.map(({ name }) => name));
  let offset = 0;
  for (const [index, { bytes, date = new Date() }] of entries.entries()) {
    const name = new TextEncoder().encode(names[index]);
    if (name.length > 0xffff) throw new RangeError("A file's name is too long for a ZIP: shorten it.");
    const [day, time] = dosTime(date);
    // Fields common to a file's two headers: flags, method 0 (stored), time, CRC, sizes, lengths of name and extra
    // field.
    const common = [UTF8, 0, time, day, u32(crc32(bytes)), u32(bytes.length), u32(bytes.length), name.length, 0];
    const local = record([u32(LOCAL_HEADER), VERSION, ...common], name);
    directory.push(record([u32(CENTRAL_HEADER), VERSION, VERSION, ...common, 0, 0, 0, u32(0), u32(offset)], name));
    parts.push(local, /** @type {Uint8Array<ArrayBuffer>} */ (bytes));
    offset += local.length + bytes.length;
    if (offset > MOST_BYTES) throw new RangeError("The files are larger than the 4 GB that a ZIP holds: make several.");
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  if (offset + size > MOST_BYTES)
    throw new RangeError("The files are larger than the 4 GB that a ZIP holds: make several.");
  const count = entries.length;
  const end = record([u32(END), 0, 0, count, count, u32(size), u32(offset), 0], new Uint8Array(0));
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Marks a number as four bytes wide; plain numbers are two. @param {number} value */
const u32 = (value) => [value];

/** Little-endian numbers, then a name. @param {(number | number[])[]} numbers @param {Uint8Array} name */
function record(numbers, name) {
  const length = numbers.reduce((/** @type {number} */ sum, number) => sum + (Array.isArray(number) ? 4 : 2), 0);
  const bytes = new Uint8Array(length + name.length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const number of numbers) {
    if (Array.isArray(number)) view.setUint32(at, number[0], true);
    else view.setUint16(at, number, true);
    at += Array.isArray(number) ? 4 : 2;
  }
  bytes.set(name, length);
  return bytes;
}

/** Date and time in DOS format: local, in steps of two seconds, from 1980 to 2107. @param {Date} date */
function dosTime(date) {
  if (!(date.getFullYear() >= 1980)) return [(1 << 5) | 1, 0]; // true for an invalid date as well
  if (date.getFullYear() > 2107) return [(127 << 9) | (12 << 5) | 31, (23 << 11) | (59 << 5) | 29];
  return [
    ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate(),
    (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1),
  ];
}

/**
 * Names that can be unpacked anywhere: relative, and distinct even if case is ignored.
 * @param {string[]} names
 */
function distinctNames(names) {
  const key = (/** @type {string} */ name) => name.normalize("NFC").toLowerCase();
  const cleaned = names.map((name) => {
    const parts = name.replaceAll("\\", "/").split("/");
    return parts.filter((part) => part && part !== "." && part !== "..").join("/") || "file";
  });
  const taken = new Set();
  return cleaned.map((name) => {
    const [, stem, extension] = /** @type {RegExpExecArray} */ (/^(.*?[^/])?(\.[^./]+)?$/su.exec(name));
    let unique = name;
    for (let count = 2; taken.has(key(unique)); count++) unique = `${stem ?? ""} (${count})${extension ?? ""}`;
    taken.add(key(unique));
    return unique;
  });
}

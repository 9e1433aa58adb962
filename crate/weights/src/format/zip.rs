//! Parses the index at the end of a ZIP archive and locates its uncompressed entries. The parser is total, like all parsers
//! here.

use std::ops::Range;

use super::damaged;
use crate::error::{Error, Result};

/// Bytes at a file's end that contain the end record with the longest possible comment, and ZIP64's records before it.
pub const TAIL: u64 = (64 << 10) + 22 + 20 + 56;

/// Largest index that is read. That of a checkpoint takes about 100 KiB.
pub const MAX_INDEX: u64 = 16 << 20;

/// Size of a local header up to the name.
pub const LOCAL: u64 = 30;

/// Alignment of `PyTorch`'s records.
const ALIGNMENT: u64 = 64;

/// An entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipEntry {
    /// Its path in the archive.
    pub name: String,
    /// Offset of its local header.
    pub header: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Why it cannot be read by range, if it cannot.
    pub unreadable: Option<&'static str>,
    /// Length of its name in bytes.
    name_bytes: u64,
    /// Whether a data descriptor follows its data.
    described: bool,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    number(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    number(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    number(bytes, at).map(u64::from_le_bytes)
}

/// The byte range of the index and its number of entries, from the last bytes of a file (at most [`TAIL`]).
///
/// # Errors
/// [`Error::Model`] if the bytes are not the end of an archive.
pub fn index(file: &str, tail: &[u8], file_bytes: u64) -> Result<(Range<u64>, u64)> {
    let start = file_bytes.saturating_sub(tail.len() as u64);
    let no = || damaged(file, "it has no end as a ZIP archive has one");
    // The comment after the record extends to the end of the file.
    let is_end = |at: &usize| {
        let comment = u16_at(tail, at + 20).map(usize::from);
        tail[*at..].starts_with(b"PK\x05\x06") && comment.is_some_and(|bytes| at + 22 + bytes == tail.len())
    };
    let end = (0..=tail.len().saturating_sub(22)).rev().find(is_end).ok_or_else(no)?;
    let small = || {
        let (entries, bytes, at) = (u16_at(tail, end + 10)?, u32_at(tail, end + 12)?, u32_at(tail, end + 16)?);
        Some((u64::from(entries), u64::from(bytes), u64::from(at)))
    };
    let (mut entries, mut bytes, mut at) = small().ok_or_else(no)?;
    let locator = end.checked_sub(20).filter(|at| tail[*at..].starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let large = || {
            let place = u64_at(tail, locator + 8)?.checked_sub(start)?;
            let place = usize::try_from(place).ok()?;
            let is_record = tail.get(place..)?.starts_with(b"PK\x06\x06");
            is_record.then_some((u64_at(tail, place + 32)?, u64_at(tail, place + 40)?, u64_at(tail, place + 48)?))
        };
        (entries, bytes, at) = large().ok_or_else(no)?;
    }
    let index = at..at.checked_add(bytes).filter(|index_end| *index_end <= start + end as u64).ok_or_else(no)?;
    // An entry takes at least 46 bytes.
    if bytes > MAX_INDEX || entries > bytes / 46 {
        return Err(damaged(file, "its index makes no sense"));
    }
    Ok((index, entries))
}

/// The entries of an index in file order.
///
/// # Errors
/// [`Error::Model`] if the index is invalid, or an entry is not inside the file.
pub fn entries(file: &str, index: &[u8], count: u64, file_bytes: u64) -> Result<Vec<ZipEntry>> {
    let mut entries = Vec::new();
    let mut rest = index;
    for _ in 0..count {
        let (entry, length) = entry(rest).ok_or_else(|| damaged(file, "its index makes no sense"))?;
        let end = entry.header.checked_add(LOCAL + entry.name_bytes).and_then(|end| end.checked_add(entry.bytes));
        if end.is_none_or(|end| end > file_bytes) {
            return Err(Error::Model(format!(
                "{file} is truncated or damaged: its index does not fit; download it again."
            )));
        }
        entries.push(entry);
        rest = rest.get(length..).unwrap_or_default();
    }
    entries.sort_by_key(|entry| entry.header);
    Ok(entries)
}

/// The first entry of an index, and its length there.
fn entry(index: &[u8]) -> Option<(ZipEntry, usize)> {
    if !index.starts_with(b"PK\x01\x02") {
        return None;
    }
    let (flags, method) = (u16_at(index, 8)?, u16_at(index, 10)?);
    let sizes = [u32_at(index, 24)?, u32_at(index, 20)?, u32_at(index, 42)?];
    let lengths = [28, 30, 32].map(|at| u16_at(index, at).map(usize::from));
    let [Some(name), Some(extra), Some(comment)] = lengths else { return None };
    let extra = index.get(46 + name..46 + name + extra)?;
    let [bytes, packed, header] = large(sizes, extra)?;
    let unreadable = match method {
        _ if flags & 1 != 0 => Some("encrypted"),
        0 if bytes == packed => None,
        _ => Some("compressed"),
    };
    let text = String::from_utf8_lossy(index.get(46..46 + name)?).into_owned();
    let described = flags & 8 != 0;
    let entry = ZipEntry { name: text, header, bytes, unreadable, name_bytes: name as u64, described };
    Some((entry, 46 + name + extra.len() + comment))
}

/// Sizes and offset of an entry. Values of more than 32 bits are in its extra field, in this order.
fn large(sizes: [u32; 3], mut extra: &[u8]) -> Option<[u64; 3]> {
    let mut found = sizes.map(u64::from);
    if !sizes.contains(&u32::MAX) {
        return Some(found);
    }
    loop {
        let (kind, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = extra.get(4..4 + length)?;
        if kind == 1 {
            let mut at = 0;
            for (size, found) in sizes.iter().zip(&mut found) {
                if *size == u32::MAX {
                    *found = u64_at(field, at)?;
                    at += 8;
                }
            }
            return Some(found);
        }
        extra = extra.get(4 + length..)?;
    }
}

impl ZipEntry {
    /// Where its data begins, if the index determines it. The local header before the data has a length that the index does
    /// not state. The end of the data, just before the next entry at `next`, leaves a few possible places. So does the
    /// writer's padding: none, or `PyTorch`'s. If a single place fits both, it is returned, which saves a request for the
    /// header.
    pub fn data(&self, next: u64) -> Option<u64> {
        let name_end = self.header + LOCAL + self.name_bytes;
        // The data descriptor has 12 to 24 bytes: with or without a signature, with sizes of 4 or 8 bytes.
        let records: &[u64] = if self.described { &[16, 24, 12, 20] } else { &[0] };
        let starts = records.iter().filter_map(|record| next.checked_sub(self.bytes)?.checked_sub(*record));
        // The padding is an extra field of at least 4 bytes, perhaps after one with large sizes.
        let is_padded = |start: &u64| {
            start.is_multiple_of(ALIGNMENT) && (name_end + 4..name_end + 4 + ALIGNMENT + 32).contains(start)
        };
        let mut likely = starts.filter(|start| *start == name_end || is_padded(start));
        likely.next().filter(|_| likely.next().is_none())
    }

    /// Where its data begins, according to its local header of [`LOCAL`] bytes.
    ///
    /// # Errors
    /// [`Error::Model`] if this is not a local header, or if the data is not inside the file.
    pub fn data_by_header(&self, file: &str, header: &[u8], file_bytes: u64) -> Result<u64> {
        let lengths = || Some(u64::from(u16_at(header, 26)?) + u64::from(u16_at(header, 28)?));
        let start =
            lengths().filter(|_| header.starts_with(b"PK\x03\x04")).map(|lengths| self.header + LOCAL + lengths);
        let fits = |start: &u64| start.checked_add(self.bytes).is_some_and(|end| end <= file_bytes);
        start.filter(fits).ok_or_else(|| damaged(file, "its index does not fit its parts"))
    }
}

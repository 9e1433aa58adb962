//! Checkpoint containers: the tensors in a file, with their types and byte ranges. Parsers are total: they accept any
//! bytes, never panic, and never allocate more than a small multiple of their input.

pub mod archive;
pub mod blocks;
pub mod compact;
mod dtype;
pub mod gguf;
pub mod gguf_writer;
pub mod holds;
pub mod pickle;
pub mod safetensors;
mod scale;
#[cfg(test)]
mod tests;
pub mod zip;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::ops::Range;

use crate::error::{Error, Result};

pub use dtype::Dtype;
pub use scale::Scale;

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name in the file.
    pub name: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Outermost dimension first, as in `PyTorch` (GGUF files use the reverse order).
    pub shape: Vec<usize>,
    /// Its byte range from the start of the file.
    pub span: Range<u64>,
    /// Factors for its values.
    pub scale: Option<Scale>,
}

/// The file format that contains the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Container {
    /// Safetensors.
    #[default]
    Safetensors,
    /// GGUF.
    Gguf,
    /// A `PyTorch` archive (`.ckpt`, `.pt`, `.pth`, `.bin`).
    PyTorch,
}

/// The parsed header of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Header {
    /// The file's format.
    pub container: Container,
    /// Its tensors, in file order. They do not overlap and are inside the file.
    pub tensors: Vec<TensorEntry>,
    /// Its metadata: strings, numbers, booleans and short arrays. Long arrays are left out.
    pub metadata: BTreeMap<String, serde_json::Value>,
}

/// The result of parsing a header from the first bytes of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// The whole header.
    Header(Header),
    /// This many bytes from the start of the file are needed: more than were given, at most the file's size.
    Needs(u64),
    /// An archive; its index is at its end: see [`archive::read`].
    Archive,
}

/// Largest header that is read. Real checkpoints stay below 1 MiB.
const MAX_HEADER: u64 = 64 << 20;

/// Bytes to request first, before the header's length is known.
const FIRST: u64 = 64 << 10;

/// Parses the header of a file from its first bytes, `prefix`. `file` is its name in messages. Safetensors, GGUF and
/// `PyTorch` archives are recognised by their first bytes.
///
/// # Errors
/// [`Error::Model`] if the file is none of them, or is damaged or truncated.
pub fn parse(file: &str, prefix: &[u8], file_bytes: u64) -> Result<Parsed> {
    let given = within(prefix, file_bytes);
    if given.starts_with(b"GGUF") {
        return gguf::parse(file, prefix, file_bytes);
    }
    // Checked before the other formats, because a length can look like any of their magic numbers.
    if let Some((length, b'{')) = given.split_first_chunk().and_then(|(length, rest)| Some((length, *rest.first()?)))
        && u64::from_le_bytes(*length) <= MAX_HEADER
    {
        return safetensors::parse(file, prefix, file_bytes);
    }
    if given.len() < 9 && (given.len() as u64) < file_bytes {
        return Ok(Parsed::Needs(FIRST.min(file_bytes)));
    }
    Err(Error::Model(match given {
        [b'P', b'K', 3, 4, ..] => return Ok(Parsed::Archive),
        [0x80, 2..=5, ..] => {
            format!(
                "{file} is a pickle of the old kind (.ckpt, .bin, .pt), which can't be read; use a safetensors or GGUF \
                 version, or save it again with a newer PyTorch."
            )
        }
        _ if given.starts_with(b"version https://git-lfs") => {
            format!("{file} is a Git LFS pointer instead of the file itself; download the file that it stands for.")
        }
        _ if given.trim_ascii_start().starts_with(b"<") => {
            format!("{file} is a web page instead of a model; check its address and download it again.")
        }
        [_, _, _, _, _, _, _, _, b'{', ..] => too_long(file),
        _ if given.len() < 9 => truncated(file, 9, file_bytes),
        _ => format!(
            "{file} is neither safetensors nor GGUF nor a checkpoint of PyTorch, or it is damaged; download it again, or use \
             another version."
        ),
    }))
}

/// `prefix`, cut to the file's size.
fn within(prefix: &[u8], file_bytes: u64) -> &[u8] {
    usize::try_from(file_bytes).ok().and_then(|bytes| prefix.get(..bytes)).unwrap_or(prefix)
}

/// The result for a header that continues to at least byte `end`, of which `given` bytes were given. Its end is unknown, so
/// at least twice as many bytes are requested: repeated parsing then takes linear time overall.
fn needs(file: &str, given: usize, end: u64, file_bytes: u64) -> Result<Parsed> {
    if end > file_bytes {
        return Err(Error::Model(truncated(file, end, file_bytes)));
    }
    if end > MAX_HEADER {
        return Err(Error::Model(too_long(file)));
    }
    let twice = (given as u64).saturating_mul(2).min(MAX_HEADER);
    Ok(Parsed::Needs(end.max(FIRST).max(twice).min(file_bytes)))
}

/// A tensor with its data at byte `start` and its dimensions outermost first.
fn entry(file: &str, name: &str, dtype: Dtype, dims: &[u64], start: u64) -> Result<TensorEntry> {
    let shape = shape(file, name, dims)?;
    if !dims.last().unwrap_or(&1).is_multiple_of(dtype.block() as u64) {
        let (name, block, dtype) = (shown(name), dtype.block(), dtype.name());
        return Err(damaged(
            file,
            format_args!("the rows of {name} are not whole blocks of {block}, as {dtype} has them"),
        ));
    }
    let end = dims
        .iter()
        .try_fold(1u64, |product, &dim| product.checked_mul(dim))
        .and_then(|values| start.checked_add(dtype.bytes(values)?))
        .ok_or_else(|| damaged(file, format_args!("the shape of {} is too large", shown(name))))?;
    Ok(TensorEntry { name: name.into(), dtype, shape, span: start..end, scale: None })
}

/// A tensor of an unsupported type, with the byte range that the file states.
fn unread_entry(file: &str, name: &str, kind: &str, dims: &[u64], span: Range<u64>) -> Result<TensorEntry> {
    let shape = shape(file, name, dims)?;
    Ok(TensorEntry { name: name.into(), dtype: Dtype::unread(kind), shape, span, scale: None })
}

/// Converts dimensions to `usize`, which may have 32 bits. A dimension that does not fit belongs to no loadable tensor.
fn shape(file: &str, name: &str, dims: &[u64]) -> Result<Vec<usize>> {
    let shape: std::result::Result<_, _> = dims.iter().map(|&dim| usize::try_from(dim)).collect();
    shape.map_err(|_| damaged(file, format_args!("the shape of {} is too large", shown(name))))
}

/// Sorts tensors by position. They may not overlap, end after the file, or share a name.
fn laid_out(file: &str, mut tensors: Vec<TensorEntry>, file_bytes: u64) -> Result<Vec<TensorEntry>> {
    tensors.sort_by_key(|tensor| (tensor.span.start, tensor.span.end));
    for pair in tensors.windows(2) {
        if let [before, after] = pair
            && after.span.start < before.span.end
        {
            let (before, after) = (shown(&before.name), shown(&after.name));
            return Err(damaged(file, format_args!("its tensors {before} and {after} overlap")));
        }
    }
    // They are in order and disjoint, so the last one ends last.
    if let Some(last) = tensors.last().filter(|last| last.span.end > file_bytes) {
        return Err(Error::Model(truncated(file, last.span.end, file_bytes)));
    }
    let mut names = HashSet::new();
    if let Some(twice) = tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        return Err(damaged(file, format_args!("it has two tensors named {}", shown(&twice.name))));
    }
    Ok(tensors)
}

/// Most bytes of a text from a file that are shown, counted after escaping.
const SHOWN: usize = 100;

/// A text from a file, quoted, escaped and shortened. Escaping may lengthen a text tenfold.
pub fn shown(text: &str) -> String {
    let mut short = String::new();
    for c in text.chars() {
        let escaped: String = if c == '\'' { c.into() } else { c.escape_debug().collect() };
        if short.len() + escaped.len() > SHOWN {
            return format!("\"{short}\"…");
        }
        short.push_str(&escaped);
    }
    format!("\"{short}\"")
}

fn damaged(file: &str, why: impl Display) -> Error {
    Error::Model(format!("{file} is damaged: {why}; download it again."))
}

fn truncated(file: &str, end: u64, file_bytes: u64) -> String {
    format!("{file} is truncated or damaged: it has {file_bytes} bytes instead of at least {end}; download it again.")
}

fn too_long(file: &str) -> String {
    let most = MAX_HEADER >> 20;
    format!("{file} is damaged or no model: its header takes more than {most} MiB; download it again.")
}

//! Checkpoint containers: which tensors a file holds, of what type, at which bytes. Parsers are total: they take any bytes
//! and never panic, nor allocate more than a small multiple of what they were given.

pub mod blocks;
pub mod compact;
pub mod gguf;
pub mod gguf_writer;
pub mod safetensors;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::ops::Range;

use crate::error::{Error, Result};

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name in the file.
    pub name: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Outermost dimension first, as in `PyTorch` (GGUF files have it the other way round).
    pub shape: Vec<usize>,
    /// Where its bytes are, from the start of the file.
    pub span: Range<u64>,
}

/// What a file's header says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Header {
    /// Its tensors, by position in the file; no two overlap and all lie inside the file.
    pub tensors: Vec<TensorEntry>,
    /// Its metadata: strings, numbers, booleans and short arrays of them; long arrays are left out.
    pub metadata: BTreeMap<String, serde_json::Value>,
}

/// The outcome of reading a header from the first bytes of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// The whole header.
    Header(Header),
    /// This many bytes from the start of the file are needed, more than were given and at most as many as the file has.
    Needs(u64),
}

/// How a tensor's values are stored: plain numbers, or blocks of 32 or 256 quantised ones (names as in GGUF).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(non_camel_case_types, reason = "the field's names")]
pub enum Dtype {
    /// 64-bit floats.
    F64,
    /// 32-bit floats.
    F32,
    /// 16-bit floats of IEEE 754.
    F16,
    /// The upper halves of 32-bit floats.
    BF16,
    /// 64-bit signed integers.
    I64,
    /// 32-bit signed integers.
    I32,
    /// 16-bit signed integers.
    I16,
    /// 8-bit signed integers.
    I8,
    /// 8-bit unsigned integers.
    U8,
    /// Truth values, a byte each.
    Bool,
    /// Blocks of 32: 8 bits a value and a scale.
    Q8_0,
    /// Blocks of 32: 4 bits a value and a scale.
    Q4_0,
    /// Blocks of 32: 4 bits a value, a scale and a least value.
    Q4_1,
    /// Blocks of 32: 5 bits a value and a scale.
    Q5_0,
    /// Blocks of 32: 5 bits a value, a scale and a least value.
    Q5_1,
    /// Blocks of 256: 2 bits a value, a scale and a least value for every 16.
    Q2_K,
    /// Blocks of 256: 3 bits a value and a scale for every 16.
    Q3_K,
    /// Blocks of 256: 4 bits a value, a scale and a least value for every 32.
    Q4_K,
    /// Blocks of 256: 5 bits a value, a scale and a least value for every 32.
    Q5_K,
    /// Blocks of 256: 6 bits a value and a scale for every 16.
    Q6_K,
}

impl Dtype {
    /// Values in a block: 1 for plain numbers.
    pub const fn block(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q2_K | Self::Q3_K | Self::Q4_K | Self::Q5_K | Self::Q6_K => 256,
            _ => 1,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q2_K => 84,
            Self::Q3_K => 110,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
        }
    }

    /// Its name in GGUF and safetensors files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q2_K => "Q2_K",
            Self::Q3_K => "Q3_K",
            Self::Q4_K => "Q4_K",
            Self::Q5_K => "Q5_K",
            Self::Q6_K => "Q6_K",
        }
    }

    /// Bytes of `values` values, which must fill whole blocks; `None` where they do not, or where the sum overflows.
    pub fn bytes(self, values: u64) -> Option<u64> {
        let block = self.block() as u64;
        values.is_multiple_of(block).then(|| (values / block).checked_mul(self.block_bytes() as u64)).flatten()
    }
}

/// The largest header that is read. Those of real checkpoints take less than 1 MiB.
const MAX_HEADER: u64 = 64 << 20;

/// What is asked for at first, where nobody can say yet how long the header is.
const FIRST: u64 = 64 << 10;

/// Reads the header of `file` (its name in messages) of `file_bytes` bytes from its first bytes. Safetensors and GGUF are
/// told apart by what they start with.
///
/// # Errors
/// [`Error::Model`] where the file is neither, is damaged or truncated, or holds tensors of a type that is not read.
pub fn parse(file: &str, prefix: &[u8], file_bytes: u64) -> Result<Parsed> {
    let given = within(prefix, file_bytes);
    if given.starts_with(b"GGUF") {
        return gguf::parse(file, prefix, file_bytes);
    }
    // First of all the rest: a length can read like any other format's magic number.
    if let Some((length, b'{')) = given.split_first_chunk().and_then(|(length, rest)| Some((length, *rest.first()?)))
        && u64::from_le_bytes(*length) <= MAX_HEADER
    {
        return safetensors::parse(file, prefix, file_bytes);
    }
    if given.len() < 9 && (given.len() as u64) < file_bytes {
        return Ok(Parsed::Needs(FIRST.min(file_bytes)));
    }
    Err(Error::Model(match given {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => {
            format!(
                "{file} is a pickle (.ckpt, .bin, .pt), which can't be read; use a safetensors or GGUF version instead."
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
            "{file} is neither safetensors nor GGUF, or it is damaged; download it again, or use another version."
        ),
    }))
}

/// What of `prefix` can be the file's.
fn within(prefix: &[u8], file_bytes: u64) -> &[u8] {
    usize::try_from(file_bytes).ok().and_then(|bytes| prefix.get(..bytes)).unwrap_or(prefix)
}

/// The answer to a header that goes on to byte `end` at least, where only `given` bytes were given. Nobody knows yet where
/// it ends, so at least twice as many are asked for: parsing again then takes linear time in all.
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

/// A tensor whose data starts at byte `start`, with its dimensions outermost first.
fn entry(file: &str, name: &str, dtype: Dtype, dims: &[u64], start: u64) -> Result<TensorEntry> {
    // Also where usize has 32 bits: a dimension that does not fit is none of a tensor that could be loaded.
    let shape: Vec<usize> = dims
        .iter()
        .map(|&dim| usize::try_from(dim))
        .collect::<Result<_, _>>()
        .map_err(|_| damaged(file, format_args!("the shape of {} is too large", shown(name))))?;
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
    Ok(TensorEntry { name: name.into(), dtype, shape, span: start..end })
}

/// Sorts tensors by position; none may overlap, end after the file or have another's name.
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
    // In order and without overlaps, the last one ends last.
    if let Some(last) = tensors.last().filter(|last| last.span.end > file_bytes) {
        return Err(Error::Model(truncated(file, last.span.end, file_bytes)));
    }
    let mut names = HashSet::new();
    if let Some(twice) = tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        return Err(damaged(file, format_args!("it has two tensors named {}", shown(&twice.name))));
    }
    Ok(tensors)
}

/// A name from a file, in quotes, escaped and of a length to show.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(100).collect();
    format!("{short:?}{}", if short.len() < name.len() { "…" } else { "" })
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

//! Reads GGUF, versions 2 and 3. The header has counts, metadata, and the tensors' names, types and offsets; the aligned
//! tensor data follows.

use std::collections::BTreeMap;
use std::str;

use serde_json::{Number, Value};

use super::{
    Container, Dtype, Header, MAX_HEADER, Parsed, TensorEntry, damaged, entry, laid_out, needs, shown, unread_entry,
    within,
};
use crate::error::{Error, Result};

/// Longest metadata array that is stored.
const LONGEST_ARRAY: u64 = 256;

/// Most elements that are stored in all arrays together. Each takes 32 bytes of memory, however small it is in the file.
const KEPT_ELEMENTS: u64 = 1 << 16;

/// Most dimensions that are accepted; GGUF's own readers stop at 4.
const MOST_DIMS: u32 = 8;

/// Parses the header of a file from its first bytes, `prefix`. `file` is its name in messages. Tensors may be in any order,
/// with gaps between them.
///
/// # Errors
/// [`Error::Model`] if it is damaged, truncated or of an unsupported version. Tensors of an unsupported type become
/// [`Dtype::Unread`].
pub fn parse(file: &str, prefix: &[u8], file_bytes: u64) -> Result<Parsed> {
    let given = within(prefix, file_bytes);
    match (GgufCursor { file, bytes: within(given, MAX_HEADER), at: 0 }).header(file_bytes) {
        Ok(header) => Ok(Parsed::Header(header)),
        Err(GgufStop::Short(end)) => needs(file, given.len(), end, file_bytes),
        Err(GgufStop::Bad(error)) => Err(error),
    }
}

/// Why parsing of a header stopped.
enum GgufStop {
    /// The header continues to at least this byte.
    Short(u64),
    /// The header is invalid.
    Bad(Error),
}

impl From<Error> for GgufStop {
    fn from(error: Error) -> Self {
        Self::Bad(error)
    }
}

type Read<T> = Result<T, GgufStop>;

/// Reads consecutive numbers and strings.
struct GgufCursor<'a> {
    file: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> GgufCursor<'a> {
    /// The next `count` bytes.
    fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        self.expect(count, 1)?;
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(GgufStop::Short((self.at as u64).saturating_add(count)))?;
        self.at += taken.len();
        Ok(taken)
    }

    /// Stops unless there is room for `count` items of at least `least` bytes, before any of them is processed.
    fn expect(&self, count: u64, least: u64) -> Read<()> {
        let end = count.saturating_mul(least).saturating_add(self.at as u64);
        if end > self.bytes.len() as u64 { Err(GgufStop::Short(end)) } else { Ok(()) }
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| GgufStop::Short((self.at as u64).saturating_add(N as u64)))
    }

    fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Read<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Read<&'a [u8]> {
        let length = self.u64()?;
        self.take(length)
    }

    /// A string that is used as a name.
    fn name(&mut self) -> Read<&'a str> {
        let name = self.string()?;
        str::from_utf8(name).map_err(|_| self.damaged("a name in it is no text"))
    }

    fn damaged(&self, why: impl std::fmt::Display) -> GgufStop {
        GgufStop::Bad(damaged(self.file, why))
    }

    fn header(mut self, file_bytes: u64) -> Read<Header> {
        if self.array()? != *b"GGUF" {
            return Err(self.damaged("it does not start as a GGUF file"));
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            let file = self.file;
            let what = match version.swap_bytes() {
                1..=3 => "a big-endian GGUF file".into(),
                _ => format!("of GGUF version {version}"),
            };
            let message = format!("{file} is {what}, which can't be read; use one of version 3 or 2, little-endian.");
            return Err(Error::Model(message).into());
        }
        let (tensors, pairs) = (self.u64()?, self.u64()?);
        self.expect(tensors.saturating_mul(24).saturating_add(pairs.saturating_mul(13)), 1)?;
        let metadata = self.metadata(pairs)?;
        let alignment = match metadata.get("general.alignment").map(Value::as_u64) {
            None => 32,
            Some(Some(alignment)) if alignment.is_power_of_two() && u32::try_from(alignment).is_ok() => alignment,
            Some(_) => return Err(self.damaged("its alignment is no power of two")),
        };
        let mut entries = Vec::new();
        for _ in 0..tensors {
            entries.push(self.tensor(alignment)?);
        }
        let start = (self.at as u64).next_multiple_of(alignment);
        end_unread(&mut entries, file_bytes.saturating_sub(start));
        for TensorEntry { name, span, .. } in &mut entries {
            let (Some(from), Some(to)) = (span.start.checked_add(start), span.end.checked_add(start)) else {
                return Err(self.damaged(format_args!("{} is nowhere in it", shown(name))));
            };
            *span = from..to;
        }
        let tensors = laid_out(self.file, entries, file_bytes)?;
        Ok(Header { container: Container::Gguf, tensors, metadata })
    }

    /// A tensor's entry, with offsets relative to the start of the tensor data.
    fn tensor(&mut self, alignment: u64) -> Read<TensorEntry> {
        let name = self.name()?;
        let dims = self.u32()?;
        if dims > MOST_DIMS {
            return Err(self.damaged(format_args!("{} has {dims} dimensions", shown(name))));
        }
        let mut shape = Vec::new();
        for _ in 0..dims {
            shape.push(self.u64()?);
        }
        shape.reverse();
        let kind = self.u32()?;
        let offset = self.u64()?;
        if !offset.is_multiple_of(alignment) {
            return Err(self.damaged(format_args!("{} is not aligned to {alignment} bytes", shown(name))));
        }
        Ok(match dtype(kind) {
            Some(dtype) => entry(self.file, name, dtype, &shape, offset)?,
            // Its end is set later, from what follows.
            None => unread_entry(self.file, name, &type_name(kind), &shape, offset..offset)?,
        })
    }

    fn metadata(&mut self, pairs: u64) -> Read<BTreeMap<String, Value>> {
        let mut metadata = BTreeMap::new();
        let mut room = KEPT_ELEMENTS;
        for _ in 0..pairs {
            let key = self.name()?;
            let value = match self.u32()? {
                ARRAY => self.elements(&mut room)?,
                kind => Some(self.value(kind)?),
            };
            if let Some(value) = value
                && metadata.insert(key.to_string(), value).is_some()
            {
                return Err(self.damaged(format_args!("it has two values of {}", shown(key))));
            }
        }
        Ok(metadata)
    }

    /// An array, or `None` if it is too long. `room` is the number of elements that may still be stored.
    fn elements(&mut self, room: &mut u64) -> Read<Option<Value>> {
        let kind = self.u32()?;
        let count = self.u64()?;
        let least = match kind {
            STRING => 8,
            ARRAY => return Err(self.damaged("it has arrays in arrays")),
            _ => self.width(kind)?,
        };
        self.expect(count, least)?;
        if count <= LONGEST_ARRAY.min(*room) {
            *room -= count;
            return (0..count).map(|_| self.value(kind)).collect::<Read<_>>().map(|array| Some(Value::Array(array)));
        }
        if kind == STRING {
            for _ in 0..count {
                self.string()?;
            }
        } else {
            self.take(count.saturating_mul(least))?;
        }
        Ok(None)
    }

    /// A string, number or boolean. NaN and infinities, which JSON lacks, become null.
    fn value(&mut self, kind: u32) -> Read<Value> {
        let float = |x: f64| Number::from_f64(x).map_or(Value::Null, Value::Number);
        Ok(match kind {
            0 => u8::from_le_bytes(self.array()?).into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            6 => float(f32::from_le_bytes(self.array()?).into()),
            7 => (self.array()? != [0u8]).into(),
            STRING => String::from_utf8_lossy(self.string()?).into(),
            10 => self.u64()?.into(),
            11 => i64::from_le_bytes(self.array()?).into(),
            12 => float(f64::from_le_bytes(self.array()?)),
            _ => return Err(self.damaged(format_args!("its metadata has values of unknown type {kind}"))),
        })
    }

    /// Bytes of a number or boolean.
    fn width(&self, kind: u32) -> Read<u64> {
        Ok(match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            _ => return Err(self.damaged(format_args!("its metadata has values of unknown type {kind}"))),
        })
    }
}

/// Extends tensors of unsupported types to the next tensor or to the end of the file.
fn end_unread(entries: &mut [TensorEntry], end: u64) {
    if entries.iter().all(|entry| entry.dtype.is_read()) {
        return;
    }
    let mut starts: Vec<u64> = entries.iter().map(|entry| entry.span.start).collect();
    starts.sort_unstable();
    for TensorEntry { dtype, span, .. } in entries {
        if !dtype.is_read() {
            let next = starts.get(starts.partition_point(|start| *start <= span.start)).copied().unwrap_or(end);
            span.end = next.max(span.start);
        }
    }
}

/// Metadata types other than numbers.
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The tensor type with this number.
const fn dtype(kind: u32) -> Option<Dtype> {
    Some(match kind {
        0 => Dtype::F32,
        1 => Dtype::F16,
        2 => Dtype::Q4_0,
        3 => Dtype::Q4_1,
        6 => Dtype::Q5_0,
        7 => Dtype::Q5_1,
        8 => Dtype::Q8_0,
        10 => Dtype::Q2_K,
        11 => Dtype::Q3_K,
        12 => Dtype::Q4_K,
        13 => Dtype::Q5_K,
        14 => Dtype::Q6_K,
        24 => Dtype::I8,
        25 => Dtype::I16,
        26 => Dtype::I32,
        27 => Dtype::I64,
        28 => Dtype::F64,
        30 => Dtype::BF16,
        _ => return None,
    })
}

/// The name of an unsupported tensor type.
fn type_name(kind: u32) -> String {
    let name = match kind {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        _ => return format!("GGUF type {kind}"),
    };
    name.into()
}

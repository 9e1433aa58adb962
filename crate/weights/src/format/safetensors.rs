//! Safetensors: an 8-byte length, a JSON header of that length, and the tensors' bytes. The `safetensors` crate is not
//! used: it needs the whole file, counts bytes in `usize` (files can exceed 4 GiB in a browser), and lets the last of
//! several tensors with the same name win.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use super::{
    Container, Dtype, Header, MAX_HEADER, Parsed, TensorEntry, damaged, entry, laid_out, needs, scale, shown, too_long,
    truncated, unread_entry, within,
};
use crate::error::{Error, Result};

/// Parses the header of a file from its first bytes, `prefix`. `file` is its name in messages. As the format requires,
/// tensors fill the file from the header to its end without gaps.
///
/// # Errors
/// [`Error::Model`] if it is damaged or truncated. Tensors of an unsupported type become [`Dtype::Unread`].
pub fn parse(file: &str, prefix: &[u8], file_bytes: u64) -> Result<Parsed> {
    let given = within(prefix, file_bytes);
    let Some((length, rest)) = given.split_first_chunk() else {
        return needs(file, given.len(), 9, file_bytes);
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(Error::Model(too_long(file)));
    }
    if rest.first().is_some_and(|&byte| byte != b'{') {
        return Err(damaged(file, "its header is no JSON object"));
    }
    let start = length + 8;
    let Some(json) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        let whole = start <= file_bytes;
        return if whole { Ok(Parsed::Needs(start)) } else { Err(Error::Model(truncated(file, start, file_bytes))) };
    };
    let index: Index = serde_json::from_slice(json)
        .map_err(|error| damaged(file, format_args!("column {} of its header makes no sense", error.column())))?;

    let mut tensors = Vec::new();
    for (name, info) in index.tensors {
        tensors.push(info.entry(file, &name, start)?);
    }
    let tensors = laid_out(file, tensors, file_bytes)?;
    let mut end = start;
    for tensor in &tensors {
        if tensor.span.start != end {
            return Err(damaged(file, format_args!("no tensor takes the bytes before {}", shown(&tensor.name))));
        }
        end = tensor.span.end;
    }
    if end != file_bytes {
        return Err(damaged(file, format_args!("it has {file_bytes} bytes instead of {end}")));
    }
    let tensors = scale::paired(tensors);
    let metadata = index.metadata.into_iter().map(|(key, text)| (key, Value::String(text))).collect();
    Ok(Parsed::Header(Header { container: Container::Safetensors, tensors, metadata }))
}

/// The JSON header.
struct Index {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Info)>,
}

/// A tensor in the JSON header.
#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Info {
    /// The tensor `name` in a file whose header ends at byte `start`.
    fn entry(&self, file: &str, name: &str, start: u64) -> Result<TensorEntry> {
        let dtype = match self.dtype.as_str() {
            "F64" => Dtype::F64,
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::BF16,
            "F8_E4M3" => Dtype::F8_E4M3,
            "F8_E5M2" => Dtype::F8_E5M2,
            "I64" => Dtype::I64,
            "I32" => Dtype::I32,
            "I16" => Dtype::I16,
            "I8" => Dtype::I8,
            "U8" => Dtype::U8,
            "BOOL" => Dtype::Bool,
            _ => return self.unread(file, name, start),
        };
        let (from, to) = self.data_offsets;
        let entry = start
            .checked_add(from)
            .ok_or_else(|| damaged(file, format_args!("{} is nowhere in it", shown(name))))
            .and_then(|start| entry(file, name, dtype, &self.shape, start))?;
        if start.checked_add(to) != Some(entry.span.end) {
            return Err(damaged(file, format_args!("the bytes of {} do not fit its shape", shown(name))));
        }
        Ok(entry)
    }

    /// A tensor of an unsupported type. Its size cannot be computed from its shape, so the stated byte range is used.
    fn unread(&self, file: &str, name: &str, start: u64) -> Result<TensorEntry> {
        let (from, to) = self.data_offsets;
        let place = |at: u64| start.checked_add(at).filter(|_| from <= to);
        let (Some(from), Some(to)) = (place(from), place(to)) else {
            return Err(damaged(file, format_args!("{} is nowhere in it", shown(name))));
        };
        unread_entry(file, name, &self.dtype, &self.shape, from..to)
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Index;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Index, M::Error> {
                let mut metadata = None;
                let mut tensors = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name != "__metadata__" {
                        tensors.push((name, map.next_value()?));
                    } else if metadata.replace(map.next_value::<Option<_>>()?).is_some() {
                        return Err(de::Error::duplicate_field("__metadata__"));
                    }
                }
                Ok(Index { metadata: metadata.flatten().unwrap_or_default(), tensors })
            }
        }

        deserializer.deserialize_map(Names)
    }
}

//! Writes GGUF, version 3: the header of a file for known tensors, whose data follows.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Number, Value};

use super::{Dtype, shown};
use crate::error::{Error, Result};

/// Alignment of the tensor data. It is the default that readers assume.
const ALIGNMENT: u64 = 32;

/// A tensor to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GgufTensor<'a> {
    /// Its name. ggml itself rejects names of more than 63 bytes; Python's reader and the one here do not.
    pub name: &'a str,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Outermost dimension first. Rows (the last dimension) must be whole blocks, so a quantised convolution is written as
    /// `[out, in·kh·kw]`. ggml itself rejects more than 4 dimensions.
    pub shape: &'a [usize],
}

/// The layout of a file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufLayout {
    /// The bytes before the tensor data.
    pub header: Vec<u8>,
    /// The byte range of each tensor from the start of the file, in the order given. The first follows the header. Zeros
    /// fill the gap between a tensor and the next one or the end of the file.
    pub spans: Vec<Range<u64>>,
    /// The file's size.
    pub bytes: u64,
}

impl GgufLayout {
    /// Lays out a file with `metadata` and `tensors`.
    ///
    /// Metadata is written in the narrowest type: string, bool; u32, u64 and i64 for integers; f32 and f64 for other
    /// numbers, with f32 only if it is exact. Arrays contain strings, bools or numbers, with numbers in the narrowest type
    /// that fits them all. Empty arrays have type string.
    ///
    /// # Errors
    /// [`Error::Model`] if a value is null, an object, a nested or mixed array, or `general.alignment`; if a tensor's type
    /// has no number in GGUF (`U8`, `BOOL`) or its rows are not whole blocks; or if two tensors have the same name.
    pub fn new(metadata: &BTreeMap<String, Value>, tensors: &[GgufTensor<'_>]) -> Result<Self> {
        let mut header = Vec::from(*b"GGUF");
        header.extend(3u32.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((metadata.len() as u64).to_le_bytes());
        for (key, value) in metadata {
            let no = || {
                let key = shown(key);
                Error::Model(format!(
                    "GGUF metadata must be text, numbers, booleans or an array of one of these; {key} is not."
                ))
            };
            string(&mut header, key);
            let kind = Some(value).filter(|_| key != "general.alignment").and_then(MetadataType::of).ok_or_else(no)?;
            header.extend(kind.number().to_le_bytes());
            kind.write(&mut header, value).ok_or_else(no)?;
        }

        let mut names = std::collections::HashSet::new();
        let mut offset = 0u64;
        let mut spans = Vec::new();
        for &GgufTensor { name, dtype, shape } in tensors {
            let no = || {
                let (name, dtype) = (shown(name), dtype.name());
                Error::Model(format!(
                    "The tensor {name} of {dtype} {shape:?} or a second of its name can't be in a GGUF file."
                ))
            };
            let whole = shape.last().unwrap_or(&1).is_multiple_of(dtype.block());
            let number = type_number(dtype).filter(|_| whole && names.insert(name)).ok_or_else(no)?;
            string(&mut header, name);
            header.extend((shape.len() as u32).to_le_bytes());
            header.extend(shape.iter().rev().flat_map(|&dim| (dim as u64).to_le_bytes()));
            header.extend(number.to_le_bytes());
            header.extend(offset.to_le_bytes());
            let values = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
            let end = values.and_then(|values| offset.checked_add(dtype.bytes(values)?)).ok_or_else(no)?;
            spans.push(offset..end);
            offset = end.checked_next_multiple_of(ALIGNMENT).ok_or_else(no)?;
        }

        header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
        let start = header.len() as u64;
        let past = || Error::Model("The tensors are too large for a GGUF file.".into());
        let bytes = offset.checked_add(start).ok_or_else(past)?;
        for span in &mut spans {
            // Both ends are below `bytes`, which did not overflow.
            *span = span.start + start..span.end + start;
        }
        Ok(Self { header, spans, bytes })
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A metadata type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MetadataType {
    Bool,
    String,
    U32,
    U64,
    I64,
    F32,
    F64,
    Array,
}

impl MetadataType {
    /// The narrowest type for a value, or `None` if it has none.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(_) => Some(Self::Bool),
            Value::String(_) => Some(Self::String),
            Value::Array(_) => Some(Self::Array),
            Value::Number(number) if number.is_f64() => {
                Some(if narrow(number).is_some() { Self::F32 } else { Self::F64 })
            }
            Value::Number(number) => Some(match number.as_u64() {
                Some(whole) if u32::try_from(whole).is_ok() => Self::U32,
                Some(_) => Self::U64,
                None => Self::I64,
            }),
            Value::Null | Value::Object(_) => None,
        }
    }

    /// The narrowest type for all elements of an array.
    fn of_all(values: &[Value]) -> Option<Self> {
        let kinds = values.iter().map(Self::of).collect::<Option<Vec<_>>>()?;
        let Some((&least, &most)) = kinds.iter().min().zip(kinds.iter().max()) else { return Some(Self::String) };
        if least == most {
            return (most != Self::Array).then_some(most);
        }
        let numbers = values.iter().map(Value::as_number).collect::<Option<Vec<_>>>()?;
        let exact = || numbers.iter().all(|number| narrow(number).is_some());
        Some(if most >= Self::F32 { if exact() { Self::F32 } else { Self::F64 } } else { most })
    }

    /// Its number in the file format.
    const fn number(self) -> u32 {
        match self {
            Self::U32 => 4,
            Self::F32 => 6,
            Self::Bool => 7,
            Self::String => 8,
            Self::Array => 9,
            Self::U64 => 10,
            Self::I64 => 11,
            Self::F64 => 12,
        }
    }

    /// Appends a value of this type, or returns `None` if it does not fit.
    fn write(self, out: &mut Vec<u8>, value: &Value) -> Option<()> {
        match self {
            Self::Bool => out.push(value.as_bool()?.into()),
            Self::String => string(out, value.as_str()?),
            Self::U32 => out.extend(u32::try_from(value.as_u64()?).ok()?.to_le_bytes()),
            Self::U64 => out.extend(value.as_u64()?.to_le_bytes()),
            Self::I64 => out.extend(value.as_i64()?.to_le_bytes()),
            Self::F32 => out.extend(narrow(value.as_number()?)?.to_le_bytes()),
            Self::F64 => out.extend(value.as_f64()?.to_le_bytes()),
            Self::Array => {
                let values = value.as_array()?;
                let kind = Self::of_all(values)?;
                out.extend(kind.number().to_le_bytes());
                out.extend((values.len() as u64).to_le_bytes());
                for value in values {
                    kind.write(out, value)?;
                }
            }
        }
        Some(())
    }
}

/// The number as f32 if that is exact.
fn narrow(number: &Number) -> Option<f32> {
    let wide = number.as_f64()?;
    let narrow = wide as f32;
    (f64::from(narrow) == wide).then_some(narrow)
}

/// The number of a tensor type.
const fn type_number(dtype: Dtype) -> Option<u32> {
    Some(match dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        Dtype::Q4_0 => 2,
        Dtype::Q4_1 => 3,
        Dtype::Q5_0 => 6,
        Dtype::Q5_1 => 7,
        Dtype::Q8_0 => 8,
        Dtype::Q2_K => 10,
        Dtype::Q3_K => 11,
        Dtype::Q4_K => 12,
        Dtype::Q5_K => 13,
        Dtype::Q6_K => 14,
        Dtype::I8 => 24,
        Dtype::I16 => 25,
        Dtype::I32 => 26,
        Dtype::I64 => 27,
        Dtype::F64 => 28,
        Dtype::BF16 => 30,
        Dtype::U8 | Dtype::Bool | Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::Unread(_) => return None,
    })
}

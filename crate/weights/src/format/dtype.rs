//! The data types of tensors.

use std::sync::Mutex;

/// Known type names of safetensors and GGUF files that are not supported.
const KNOWN: [&str; 27] = [
    "C64",
    "F4",
    "F6_E2M3",
    "F6_E3M2",
    "F8_E4M3FNUZ",
    "F8_E5M2FNUZ",
    "F8_E8M0",
    "IQ1_M",
    "IQ1_S",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "IQ3_S",
    "IQ3_XXS",
    "IQ4_NL",
    "IQ4_XS",
    "MXFP4",
    "NVFP4",
    "Q1_0",
    "Q8_1",
    "Q8_K",
    "TQ1_0",
    "TQ2_0",
    "U16",
    "U32",
    "U64",
    UNNAMED,
];

/// Most other names that are stored.
const MOST_NAMES: usize = 64;

/// Most characters of such a name that are stored.
const LONGEST_NAME: usize = 40;

/// Name for any further types.
const UNNAMED: &str = "another type";

/// How a tensor's values are stored: plain numbers, or quantised blocks of 32 or 256 (named as in GGUF).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(non_camel_case_types, reason = "the field's names")]
pub enum Dtype {
    /// 64-bit floats.
    F64,
    /// 32-bit floats.
    F32,
    /// 16-bit floats of IEEE 754.
    F16,
    /// 16-bit floats that are the upper halves of 32-bit floats (bfloat16).
    BF16,
    /// 8-bit floats with 4 exponent bits and 3 fraction bits (`e4m3fn`: no infinities).
    F8_E4M3,
    /// 8-bit floats with 5 exponent bits and 2 fraction bits: the upper halves of `F16`.
    F8_E5M2,
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
    /// Booleans, one byte each.
    Bool,
    /// Blocks of 32: 8 bits per value and a scale.
    Q8_0,
    /// Blocks of 32: 4 bits per value and a scale.
    Q4_0,
    /// Blocks of 32: 4 bits per value, a scale and a minimum.
    Q4_1,
    /// Blocks of 32: 5 bits per value and a scale.
    Q5_0,
    /// Blocks of 32: 5 bits per value, a scale and a minimum.
    Q5_1,
    /// Blocks of 256: 2 bits per value, with a scale and a minimum per 16.
    Q2_K,
    /// Blocks of 256: 3 bits per value, with a scale per 16.
    Q3_K,
    /// Blocks of 256: 4 bits per value, with a scale and a minimum per 32.
    Q4_K,
    /// Blocks of 256: 5 bits per value, with a scale and a minimum per 32.
    Q5_K,
    /// Blocks of 256: 6 bits per value, with a scale per 16.
    Q6_K,
    /// An unsupported type of this name. Such a tensor is harmless if nothing needs it.
    Unread(&'static str),
}

impl Dtype {
    /// Values per block: 1 for plain numbers.
    pub const fn block(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q2_K | Self::Q3_K | Self::Q4_K | Self::Q5_K | Self::Q6_K => 256,
            _ => 1,
        }
    }

    /// Bytes per block; 0 for an unsupported type.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F8_E4M3 | Self::F8_E5M2 | Self::I8 | Self::U8 | Self::Bool => 1,
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
            Self::Unread(_) => 0,
        }
    }

    /// Its name in GGUF and safetensors files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F8_E4M3 => "F8_E4M3",
            Self::F8_E5M2 => "F8_E5M2",
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
            Self::Unread(name) => name,
        }
    }

    /// An unsupported type, by its name in the file. Names are leaked for the lifetime of the program, so only the first
    /// few are stored, shortened. Whatever names files contain, they take little memory.
    pub fn unread(name: &str) -> Self {
        static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
        if let Some(known) = KNOWN.iter().find(|known| **known == name) {
            return Self::Unread(known);
        }
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let Ok(mut names) = NAMES.lock() else { return Self::Unread(UNNAMED) };
        if let Some(known) = names.iter().find(|known| **known == name) {
            return Self::Unread(known);
        }
        if names.len() >= MOST_NAMES {
            return Self::Unread(UNNAMED);
        }
        let name: &'static str = String::leak(name);
        names.push(name);
        Self::Unread(name)
    }

    /// Whether tensors of this type can be decoded.
    pub const fn is_read(self) -> bool {
        !matches!(self, Self::Unread(_))
    }

    /// Bytes of `values` values, which must fill whole blocks. `None` if they do not, on overflow, and for unsupported
    /// types.
    pub fn bytes(self, values: u64) -> Option<u64> {
        if !self.is_read() {
            return None;
        }
        let block = self.block() as u64;
        values.is_multiple_of(block).then(|| (values / block).checked_mul(self.block_bytes() as u64)).flatten()
    }
}

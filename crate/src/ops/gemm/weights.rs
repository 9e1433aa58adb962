//! How kernels read weights of any format: four neighbouring columns of one row at a time.

use cubecl::prelude::*;

use crate::ops::halves::widen;

/// Four floats.
pub type F4 = Vector<f32, Const<4>>;

/// How a weight matrix is stored; always as 32-bit words, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One f32 a word.
    F32,
    /// Two f16 a word.
    F16,
    /// Four signed bytes a word; the scales are stored apart, one f16 for 32 columns.
    Q8,
    /// GGUF's `Q4_0`, four words for 32 columns, low nibbles before high nibbles; the scales are stored apart.
    Q4,
}

impl Format {
    /// Words of the vector that four columns are read from, if a row is a multiple of four columns.
    pub fn words(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Q8 | Self::Q4 => 1,
        }
    }
}

/// An f16's bits (in the low half) as f32, without f16 in shaders.
#[cube]
fn half(bits: u32) -> f32 {
    f32::reinterpret(widen::<Const<1>>(Vector::new(bits & 0xffffu32)).extract(0usize))
}

/// The scale of the group of 32 that value `at` is in.
#[cube]
fn scale(scales: &[u32], at: usize) -> f32 {
    let group = at / 32;
    let word = scales[group / 2];
    half(select(group & 1 == 0, word, word >> 16u32))
}

/// Values `at` to `at + 3` of floats, `at` a multiple of four.
#[cube]
pub fn floats<N: Size>(words: &[Vector<u32, N>], at: usize, #[comptime] format: Format) -> F4 {
    let mut out = F4::new(0.0f32);
    let word = words[at / 4];
    if comptime!(matches!(format, Format::F16)) {
        #[unroll]
        for i in 0..2usize {
            out.insert(2 * i, half(word.extract(i)));
            out.insert(2 * i + 1, half(word.extract(i) >> 16u32));
        }
    } else {
        #[unroll]
        for i in 0..4usize {
            out.insert(i, f32::reinterpret(word.extract(i)));
        }
    }
    out
}

/// Values `at` to `at + 3` of a matrix, `at` a multiple of four.
#[cube]
fn four<N: Size>(words: &[Vector<u32, N>], scales: &[u32], at: usize, #[comptime] format: Format) -> F4 {
    let mut out = F4::new(0.0f32);
    match comptime!(format) {
        Format::F32 | Format::F16 => {
            out = floats::<N>(words, at, format);
        }
        Format::Q8 => {
            let word = words[at / 4].extract(0usize);
            let scale = scale(scales, at);
            #[unroll]
            for i in 0..4u32 {
                // Shifting left, then arithmetically right, sign-extends one byte.
                let code = i32::reinterpret(word << (24u32 - 8u32 * i)) >> 24i32;
                out.insert(i as usize, f32::cast_from(code) * scale);
            }
        }
        Format::Q4 => {
            let within = at % 32;
            let word = words[at / 32 * 4 + within % 16 / 4].extract(0usize);
            let nibbles = select(within < 16, word, word >> 4u32);
            let scale = scale(scales, at);
            #[unroll]
            for i in 0..4u32 {
                let code = (nibbles >> (8u32 * i)) & 15u32;
                out.insert(i as usize, (f32::cast_from(code) - 8.0f32) * scale);
            }
        }
    }
    out
}

/// Value `at` of a matrix whose rows are not a multiple of four columns; such a matrix is never quantised.
#[cube]
pub fn one<N: Size>(words: &[Vector<u32, N>], at: usize, #[comptime] format: Format) -> f32 {
    if comptime!(matches!(format, Format::F16)) {
        let word = words[at / 2].extract(0usize);
        half(select(at & 1 == 0, word, word >> 16u32))
    } else {
        f32::reinterpret(words[at].extract(0usize))
    }
}

/// Values `term` to `term + 3` of the row that begins at `start`; zeros from `end` on.
#[cube]
pub fn row_of<N: Size>(
    words: &[Vector<u32, N>],
    scales: &[u32],
    start: usize,
    term: usize,
    end: usize,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
) -> F4 {
    let mut value = F4::new(0.0f32);
    if comptime!(aligned) {
        if term < end {
            value = four::<N>(words, scales, start + term, format);
        }
    } else {
        #[unroll]
        for i in 0..4usize {
            if term + i < end {
                value.insert(i, one::<N>(words, start + term + i, format));
            }
        }
    }
    value
}

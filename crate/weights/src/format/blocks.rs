//! Dequantisation to f32. Values match ggml's bit for bit, because the operations are in the same order.

use super::Dtype;

/// Appends the values of `bytes` to `out`. `bytes` are whole values or blocks of `dtype`. F64 is rounded to f32.
///
/// Returns `None` and leaves `out` unchanged if `bytes` are not whole blocks, or if `dtype` is not used for weights
/// (integers).
pub fn dequantise(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) -> Option<()> {
    match dtype {
        Dtype::F64 => plain(bytes, out, |value| f64::from_le_bytes(*value) as f32),
        Dtype::F32 => plain(bytes, out, |value| f32::from_le_bytes(*value)),
        Dtype::F16 => plain(bytes, out, |value| widen(u16::from_le_bytes(*value))),
        Dtype::BF16 => plain(bytes, out, |value| f32::from_bits(u32::from(u16::from_le_bytes(*value)) << 16)),
        Dtype::F8_E4M3 => plain(bytes, out, |&[value]| e4m3(value)),
        // The type is the upper half of an f16.
        Dtype::F8_E5M2 => plain(bytes, out, |&[value]| widen(u16::from(value) << 8)),
        Dtype::Q8_0 => quantised(bytes, out, q8_0),
        Dtype::Q4_0 => quantised(bytes, out, q4_0),
        Dtype::Q4_1 => quantised(bytes, out, q4_1),
        Dtype::Q5_0 => quantised(bytes, out, q5_0),
        Dtype::Q5_1 => quantised(bytes, out, q5_1),
        Dtype::Q2_K => quantised(bytes, out, q2_k),
        Dtype::Q3_K => quantised(bytes, out, q3_k),
        Dtype::Q4_K => quantised(bytes, out, q4_k),
        Dtype::Q5_K => quantised(bytes, out, q5_k),
        Dtype::Q6_K => quantised(bytes, out, q6_k),
        Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::I8 | Dtype::U8 | Dtype::Bool | Dtype::Unread(_) => None,
    }
}

/// Writes the values from the tensor's `first` on that `out` has room for, of a storage type: `F16`, `Q8_0` or `Q4_0`. `bytes`
/// is the whole tensor. The function is inlined, so that callers can compile it for wider vectors.
///
/// Returns `None` and leaves `out` unchanged if the type is another or the tensor ends before.
#[inline(always)]
pub fn widen_range(dtype: Dtype, bytes: &[u8], first: usize, out: &mut [f32]) -> Option<()> {
    match dtype {
        Dtype::F16 => block_range(bytes, first, out, |value: &[u8; 2], out: &mut [f32; 1]| out[0] = scale(value, 0)),
        Dtype::Q8_0 => block_range(bytes, first, out, q8_0),
        Dtype::Q4_0 => block_range(bytes, first, out, q4_0),
        _ => None,
    }
}

/// As [`widen_range`], for blocks of `BYTES` bytes with `VALUES` values each.
#[inline(always)]
fn block_range<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    first: usize,
    out: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) -> Option<()> {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let blocks = blocks.get(first / VALUES..(first + out.len()).div_ceil(VALUES))?;
    let mut skipped = first % VALUES;
    if skipped == 0 && out.len().is_multiple_of(VALUES) {
        for (from, to) in blocks.iter().zip(out.as_chunks_mut().0) {
            block(from, to);
        }
        return Some(());
    }
    let mut left = out;
    for from in blocks {
        let mut values = [0.0; VALUES];
        block(from, &mut values);
        let count = (VALUES - skipped).min(left.len());
        let (to, rest) = std::mem::take(&mut left).split_at_mut(count);
        to.copy_from_slice(&values[skipped..skipped + count]);
        (left, skipped) = (rest, 0);
    }
    Some(())
}

/// Whether all values of `bytes` are finite, judged by their bits. Supports the storage types, for which a file's bytes may
/// be used unchanged. `None` for other types, and if `bytes` are not whole blocks.
pub fn are_finite(dtype: Dtype, bytes: &[u8]) -> Option<bool> {
    // NaN and infinity have an exponent of all ones.
    const HALF: u16 = 0x7c00;
    const SINGLE: u32 = 0x7f80_0000;
    match dtype {
        Dtype::F32 => all(bytes, |value: &[u8; 4]| u32::from_le_bytes(*value) & SINGLE != SINGLE),
        Dtype::F16 => all(bytes, |value: &[u8; 2]| u16::from_le_bytes(*value) & HALF != HALF),
        // The codes are integers; only the scale can be infinite or NaN.
        Dtype::Q8_0 => all(bytes, |[low, high, ..]: &[u8; 34]| u16::from_le_bytes([*low, *high]) & HALF != HALF),
        Dtype::Q4_0 => all(bytes, |[low, high, ..]: &[u8; 18]| u16::from_le_bytes([*low, *high]) & HALF != HALF),
        _ => None,
    }
}

/// Whether all blocks of `N` bytes are sound. It has no early exit, so that it vectorises.
fn all<const N: usize>(bytes: &[u8], is_sound: impl Fn(&[u8; N]) -> bool) -> Option<bool> {
    let (blocks, []) = bytes.as_chunks() else { return None };
    Some(blocks.iter().fold(true, |sound, block| sound & is_sound(block)))
}

/// Plain values of `N` bytes each.
fn plain<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, value: impl Fn(&[u8; N]) -> f32) -> Option<()> {
    let (values, []) = bytes.as_chunks() else { return None };
    out.extend(values.iter().map(value));
    Some(())
}

/// Blocks of `BYTES` bytes with `VALUES` values each.
fn quantised<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    out: &mut Vec<f32>,
    block: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) -> Option<()> {
    let (blocks, []) = bytes.as_chunks() else { return None };
    let old = out.len();
    out.resize(old + blocks.len() * VALUES, 0.0);
    let (values, _) = out.split_at_mut(old).1.as_chunks_mut();
    for (from, to) in blocks.iter().zip(values) {
        block(from, to);
    }
    Some(())
}

/// Converts an f16's bits to f32. It selects instead of branching, so that loops vectorise, in WebAssembly too.
#[inline(always)]
fn widen(half: u16) -> f32 {
    const EXPONENT: u32 = 1 << 23;
    let magnitude = u32::from(half & 0x7fff) << 13;
    let bits = if magnitude < EXPONENT {
        // A subnormal becomes the fraction of a normal number, whose leading one is then subtracted. No slow f32 subnormals
        // occur.
        let one = 113 * EXPONENT;
        (f32::from_bits(magnitude + one) - f32::from_bits(one)).to_bits()
    } else if magnitude < 31 * EXPONENT {
        magnitude + 112 * EXPONENT
    } else {
        magnitude + 224 * EXPONENT
    };
    f32::from_bits(bits | u32::from(half & 0x8000) << 16)
}

/// Converts an 8-bit float with 4 exponent bits to f32. Its fields are shifted into those of an f16, whose bias is 15
/// instead of 7, so the result must be multiplied by 2⁸. This holds for subnormals too.
fn e4m3(bits: u8) -> f32 {
    let magnitude = bits & 0x7f;
    let half = u16::from(magnitude) << 7 | u16::from(bits & 0x80) << 8;
    if magnitude == 0x7f { f32::NAN } else { widen(half) * 256.0 }
}

/// The scale at byte `at` of a block.
#[inline(always)]
fn scale<const N: usize>(block: &[u8; N], at: usize) -> f32 {
    widen(u16::from_le_bytes([block[at], block[at + 1]]))
}

// All indices are below the arrays' constant lengths, so that the bounds checks are optimised away.

/// `[scale: 2][codes: 32]`
#[inline(always)]
fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    for i in 0..32 {
        out[i] = f32::from(block[2 + i] as i8) * d;
    }
}

/// `[scale: 2][codes: 16]`, with values 16 to 31 in the high nibbles.
#[inline(always)]
fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    for i in 0..16 {
        let code = block[2 + i];
        out[i] = d * f32::from((code & 15) as i8 - 8);
        out[i + 16] = d * f32::from((code >> 4) as i8 - 8);
    }
}

/// `[scale: 2][minimum: 2][codes: 16]`
fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (scale(block, 0), scale(block, 2));
    for i in 0..16 {
        let code = block[4 + i];
        out[i] = d * f32::from(code & 15) + m;
        out[i + 16] = d * f32::from(code >> 4) + m;
    }
}

/// 5-bit values: low nibbles from byte `low` on, fifth bits in the 4 bytes at `high`.
fn five_bits<const N: usize>(block: &[u8; N], high: usize, low: usize, to: impl Fn(u8) -> f32, out: &mut [f32; 32]) {
    let bits = u32::from_le_bytes([block[high], block[high + 1], block[high + 2], block[high + 3]]);
    for i in 0..16 {
        let code = block[low + i];
        out[i] = to(code & 15 | ((bits >> i & 1) << 4) as u8);
        out[i + 16] = to(code >> 4 | ((bits >> (i + 16) & 1) << 4) as u8);
    }
}

/// `[scale: 2][fifth bits: 4][codes: 16]`
fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    five_bits(block, 2, 6, |code| d * f32::from(code as i8 - 16), out);
}

/// `[scale: 2][minimum: 2][fifth bits: 4][codes: 16]`
fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (scale(block, 0), scale(block, 2));
    five_bits(block, 4, 8, |code| d * f32::from(code) + m, out);
}

/// `[scale and minimum per 16, 4 bits each: 16][codes: 64][scale of scales: 2][scale of minimums: 2]`
fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (d, least) = (scale(block, 80), scale(block, 82));
    for group in 0..16 {
        let both = block[group];
        let (d, m) = (d * f32::from(both & 15), least * f32::from(both >> 4));
        let (from, shift) = (16 + two_bits(group), group / 2 % 4 * 2);
        for i in 0..16 {
            out[group * 16 + i] = d * f32::from(block[from + i] >> shift & 3) - m;
        }
    }
}

/// First byte of the 2-bit codes of a group of 16. Each 32 bytes hold 4 × 32 values, one group of 32 per bit pair.
const fn two_bits(group: usize) -> usize {
    group / 8 * 32 + group % 2 * 16
}

/// `[third bits, inverted: 32][codes: 64][scale per 16, 6 bits each: 12][scale of scales: 2]`
fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = scale(block, 108);
    for group in 0..16 {
        let low = block[96 + group % 8] >> (group / 8 * 4) & 15;
        let high = block[104 + group % 4] >> (group / 4 * 2) & 3;
        let d = d * f32::from((low | high << 4) as i8 - 32);
        let (from, shift) = (32 + two_bits(group), group / 2 % 4 * 2);
        for i in 0..16 {
            let missing = !block[group % 2 * 16 + i] >> (group / 2) & 1;
            out[group * 16 + i] = d * f32::from((block[from + i] >> shift & 3) as i8 - (missing << 2) as i8);
        }
    }
}

/// Scale and minimum of a group of 32, 6 bits each, from the 12 bytes at offset 4.
fn scale_least<const N: usize>(block: &[u8; N], group: usize) -> (u8, u8) {
    let at = |i: usize| block[4 + i];
    if group < 4 {
        return (at(group) & 63, at(group + 4) & 63);
    }
    let both = at(group + 4);
    (both & 15 | at(group - 4) >> 2 & 48, both >> 4 | at(group) >> 2 & 48)
}

/// `[scale of scales: 2][scale of minimums: 2][scale and minimum per 32: 12][codes: 128]`
fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, least) = (scale(block, 0), scale(block, 2));
    for group in 0..8 {
        let (sc, m) = scale_least(block, group);
        let (d, m) = (d * f32::from(sc), least * f32::from(m));
        let (from, shift) = (16 + group / 2 * 32, group % 2 * 4);
        for i in 0..32 {
            out[group * 32 + i] = d * f32::from(block[from + i] >> shift & 15) - m;
        }
    }
}

/// `[scale of scales: 2][scale of minimums: 2][scale and minimum per 32: 12][fifth bits: 32][codes: 128]`
fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, least) = (scale(block, 0), scale(block, 2));
    for group in 0..8 {
        let (sc, m) = scale_least(block, group);
        let (d, m) = (d * f32::from(sc), least * f32::from(m));
        let (from, shift) = (48 + group / 2 * 32, group % 2 * 4);
        for i in 0..32 {
            let high = block[16 + i] >> group & 1;
            out[group * 32 + i] = d * f32::from(block[from + i] >> shift & 15 | high << 4) - m;
        }
    }
}

/// `[low 4 bits: 128][high 2 bits: 64][scale per 16: 16][scale of scales: 2]`
fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = scale(block, 208);
    for group in 0..16 {
        let d = d * f32::from(block[192 + group] as i8);
        let (low, low_shift) = (group / 8 * 64 + group % 4 * 16, group / 4 % 2 * 4);
        let (high, high_shift) = (128 + two_bits(group), group / 2 % 4 * 2);
        for i in 0..16 {
            let code = block[low + i] >> low_shift & 15 | (block[high + i] >> high_shift & 3) << 4;
            out[group * 16 + i] = d * f32::from(code as i8 - 32);
        }
    }
}

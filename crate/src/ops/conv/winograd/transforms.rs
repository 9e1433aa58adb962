//! The transforms of Winograd's convolution, over rows of tiles so that they are done in vectors.

use pulp::NullaryFnOnce;

/// Numbers that a tile is transformed to.
pub const NUMBERS: usize = 16;

/// Divides a row of pixels: those of even columns first, then those of odd columns.
pub struct Divide<'a> {
    pub line: &'a [f32],
    pub row: &'a mut [f32],
}

impl NullaryFnOnce for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (even, odd) = self.row.split_at_mut(self.line.len() / 2);
        for (pair, (even, odd)) in self.line.chunks_exact(2).zip(even.iter_mut().zip(odd)) {
            (*even, *odd) = (pair[0], pair[1]);
        }
    }
}

/// The paper's Bᵀ·d·B for a row of tiles, whose four rows of pixels are divided.
pub struct TransformPixels<'a> {
    pub rows: &'a [Vec<f32>; 4],
    pub out: [&'a mut [f32]; NUMBERS],
}

impl NullaryFnOnce for TransformPixels<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { rows: [a, b, c, d], out } = self;
        let [o0, o1, o2, o3, o4, o5, o6, o7, o8, o9, o10, o11, o12, o13, o14, o15] = out;
        pixels_along(a, c, -1.0, [o0, o1, o2, o3]);
        pixels_along(b, c, 1.0, [o4, o5, o6, o7]);
        pixels_along(c, b, -1.0, [o8, o9, o10, o11]);
        pixels_along(b, d, -1.0, [o12, o13, o14, o15]);
    }
}

/// The columns 2t to 2t + 3 of tile t, from a divided row of pixels.
#[inline(always)]
fn columns(row: &[f32], across: usize) -> [&[f32]; 4] {
    let (even, odd) = row.split_at(across + 1);
    [&even[..across], &odd[..across], &even[1..][..across], &odd[1..][..across]]
}

/// Bᵀ along the columns of a + sign·b.
#[inline(always)]
fn pixels_along(a: &[f32], b: &[f32], sign: f32, [first, second, third, fourth]: [&mut [f32]; 4]) {
    let across = first.len();
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (columns(a, across), columns(b, across));
    let (second, third, fourth) = (&mut second[..across], &mut third[..across], &mut fourth[..across]);
    for t in 0..across {
        let d0 = a0[t] + sign * b0[t];
        let d1 = a1[t] + sign * b1[t];
        let d2 = a2[t] + sign * b2[t];
        let d3 = a3[t] + sign * b3[t];
        first[t] = d0 - d2;
        second[t] = d1 + d2;
        third[t] = d2 - d1;
        fourth[t] = d1 - d3;
    }
}

/// The paper's G·g·Gᵀ for the weights of an output channel.
pub struct TransformWeights<'a> {
    /// `[inputs, 3, 3]`.
    pub taps: &'a [f32],
    pub out: [&'a mut [f32]; NUMBERS],
}

/// Input channels whose weights are transformed together.
const TOGETHER: usize = 16;

impl NullaryFnOnce for TransformWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { taps, mut out } = self;
        for (block, taps) in taps.chunks(9 * TOGETHER).enumerate() {
            let count = taps.len() / 9;
            let mut rows = [[0.0f32; TOGETHER]; 9];
            for (channel, taps) in taps.chunks_exact(9).enumerate() {
                rows.iter_mut().zip(taps).for_each(|(row, tap)| row[channel] = *tap);
            }
            let mut half = [[0.0f32; TOGETHER]; 12];
            for column in 0..3 {
                let along = weights_along(&rows[column], &rows[3 + column], &rows[6 + column]);
                along.into_iter().enumerate().for_each(|(y, row)| half[3 * y + column] = row);
            }
            for (y, half) in half.chunks_exact(3).enumerate() {
                let along = weights_along(&half[0], &half[1], &half[2]);
                for (row, out) in along.iter().zip(&mut out[4 * y..]) {
                    out[block * TOGETHER..][..count].copy_from_slice(&row[..count]);
                }
            }
        }
    }
}

/// G times three rows.
#[inline(always)]
fn weights_along(a: &[f32; TOGETHER], b: &[f32; TOGETHER], c: &[f32; TOGETHER]) -> [[f32; TOGETHER]; 4] {
    let mut out = [*a, [0.0; TOGETHER], [0.0; TOGETHER], *c];
    for i in 0..TOGETHER {
        let (outer, inner) = ((a[i] + c[i]) * 0.5, b[i] * 0.5);
        out[1][i] = outer + inner;
        out[2][i] = outer - inner;
    }
    out
}

/// The paper's Aᵀ·m·A for a row of tiles, plus a bias.
pub struct TransformSums<'a> {
    pub sums: [&'a [f32]; NUMBERS],
    pub bias: f32,
    pub lines: &'a mut [Vec<f32>; 2],
}

impl NullaryFnOnce for TransformSums<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sums, bias, lines: [upper, lower] } = self;
        let across = upper.len() / 2;
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = sums.map(|row| &row[..across]);
        for (t, (upper, lower)) in upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2)).enumerate() {
            let above = [a0[t] + b0[t] + c0[t], a1[t] + b1[t] + c1[t], a2[t] + b2[t] + c2[t], a3[t] + b3[t] + c3[t]];
            let below = [b0[t] - c0[t] - d0[t], b1[t] - c1[t] - d1[t], b2[t] - c2[t] - d2[t], b3[t] - c3[t] - d3[t]];
            for (pixels, [first, second, third, fourth]) in [(upper, above), (lower, below)] {
                pixels[0] = first + second + third + bias;
                pixels[1] = second - third - fourth + bias;
            }
        }
    }
}

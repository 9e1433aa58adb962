//! Winograd convolution, F(2×2, 3×3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015: a 3×3
//! convolution with 16 multiplications for four pixels instead of 36. Weights and tiles of 4×4 pixels are transformed to 16
//! numbers each, 16 matrix products multiply them and sum over channels, and the sums are transformed to 2×2 pixels.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::plan::{Pictures, Sizes, Window};
use super::software::{LANES, PANEL, place};
use super::stage::{Spot, seen, spot};
use super::weights::{F4, Format, row_of};

/// The window of the input's transform: tiles of 4×4 pixels that overlap by two.
pub fn window(upsample: bool) -> Window {
    Window { side: 4, stride: 2, upsample }
}

/// The paper's G times three vectors.
#[cube]
fn weights_along(a: F4, b: F4, c: F4) -> Sequence<F4> {
    let half = F4::new(0.5f32);
    let outer = (a + c) * half;
    let inner = b * half;
    let mut out = Sequence::<F4>::new();
    out.push(a);
    out.push(outer + inner);
    out.push(outer - inner);
    out.push(c);
    out
}

/// The paper's Bᵀ times four vectors.
#[cube]
fn pixels_along(a: F4, b: F4, c: F4, d: F4) -> Sequence<F4> {
    let mut out = Sequence::<F4>::new();
    out.push(a - c);
    out.push(b + c);
    out.push(c - b);
    out.push(b - d);
    out
}

/// The paper's Aᵀ times four vectors.
#[cube]
fn sums_along(a: F4, b: F4, c: F4, d: F4) -> Sequence<F4> {
    let mut out = Sequence::<F4>::new();
    out.push(a + b + c);
    out.push(b - c - d);
    out
}

/// Transforms `count` rows of weights from row `first` on to 16 matrices, four channels to a vector, zero-padded.
#[cube(launch_unchecked)]
pub fn transform_weights<N: Size>(
    words: &[Vector<u32, N>], // (rows, channels · 9)
    scales: &[u32],           // one f16 for 32 weights, two a word
    out: &mut [F4],           // (16, count, channels)
    first: usize,
    count: usize,
    columns: usize,
    #[comptime] format: Format,
    #[comptime] aligned: bool,
) {
    let vectors = columns.div_ceil(36);
    let at = ABSOLUTE_POS;
    if at < count * vectors {
        let start = (first + at / vectors) * columns;
        let term = at % vectors * 36;
        let mut stored = Sequence::<F4>::new();
        #[unroll]
        for i in 0..9usize {
            stored.push(row_of::<N>(words, scales, start, term + 4 * i, columns, format, aligned));
        }
        let mut taps = Sequence::<F4>::new();
        #[unroll]
        for tap in 0..9usize {
            let mut value = F4::new(0.0f32);
            #[unroll]
            for channel in 0..4usize {
                let n = comptime!(9 * channel + tap);
                value.insert(channel, stored.index(comptime!(n / 4)).extract(comptime!(n % 4)));
            }
            taps.push(value);
        }
        let mut half = Sequence::<F4>::new();
        #[unroll]
        for x in 0..3usize {
            let column = weights_along(*taps.index(x), *taps.index(comptime!(3 + x)), *taps.index(comptime!(6 + x)));
            #[unroll]
            for y in 0..4usize {
                half.push(*column.index(y));
            }
        }
        #[unroll]
        for y in 0..4usize {
            let row = weights_along(*half.index(y), *half.index(comptime!(4 + y)), *half.index(comptime!(8 + y)));
            #[unroll]
            for x in 0..4usize {
                out[comptime!(4 * y + x) * count * vectors + at] = *row.index(x);
            }
        }
    }
}

/// Transforms `count` tiles from `sizes.first` on to 16 matrices in panels, four tiles to a vector.
#[cube(launch_unchecked)]
pub fn transform_pixels<N: Size>(
    x: &[Vector<u32, N>], // (batch, channels, height, width)
    out: &mut [F4],       // (16, depth, count), the last two in panels
    count: usize,
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] window: Window,
    #[comptime] format: Format,
) {
    let channel = CUBE_POS_Y as usize;
    let at = CUBE_POS_X as usize * LANES + UNIT_POS as usize;
    let pitch = count.div_ceil(4);
    if at < pitch {
        let mut spots = Sequence::<Spot>::new();
        #[unroll]
        for i in 0..4usize {
            spots.push(spot(sizes.first + 4 * at + i, &pictures, window));
        }
        let mut half = Sequence::<F4>::new();
        #[unroll]
        for column in 0..4usize {
            let mut pixels = Sequence::<F4>::new();
            #[unroll]
            for row in 0..4usize {
                let mut value = F4::new(0.0f32);
                #[unroll]
                for i in 0..4usize {
                    // Zero-pads the channels, and the tiles after the last picture, to vectors.
                    if channel < pictures.channels && sizes.first + 4 * at + i < sizes.columns {
                        let term = channel * 16 + comptime!(4 * row + column);
                        value.insert(i, seen::<N>(x, spots.index(i), term, &pictures, window, format));
                    }
                }
                pixels.push(value);
            }
            let along = pixels_along(
                *pixels.index(0usize),
                *pixels.index(1usize),
                *pixels.index(2usize),
                *pixels.index(3usize),
            );
            #[unroll]
            for row in 0..4usize {
                half.push(*along.index(row));
            }
        }
        let matrix = pitch.div_ceil(PANEL) * PANEL * sizes.depth;
        #[unroll]
        for row in 0..4usize {
            let along = pixels_along(
                *half.index(row),
                *half.index(comptime!(4 + row)),
                *half.index(comptime!(8 + row)),
                *half.index(comptime!(12 + row)),
            );
            #[unroll]
            for column in 0..4usize {
                out[comptime!(4 * row + column) * matrix + place(at, channel, sizes.depth)] = *along.index(column);
            }
        }
    }
}

/// The result of a convolution, and which of its channels a launch writes.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Target {
    /// Channels of the result.
    pub channels: usize,
    /// The first channel of this launch.
    pub first: usize,
    /// Height of the result.
    pub height: usize,
    /// Width of the result.
    pub width: usize,
}

/// Transforms 16 matrices of sums to pixels, and adds bias and residual.
#[cube(launch_unchecked)]
pub fn transform_sums<E: Float>(
    sums: &[F4],    // (16, rows, count), four tiles to a vector
    bias: &[f32],   // (1 or batch, channels)
    residual: &[E], // of out's shape
    out: &mut [E],  // (batch, channels, height, width)
    count: usize,
    sizes: Sizes,
    pictures: Pictures,
    target: Target,
    #[comptime] biased: bool,
    #[comptime] added: bool,
    #[define(E)] _element: ElemType,
) {
    let row = CUBE_POS_Y as usize;
    let at = CUBE_POS_X as usize * LANES + UNIT_POS as usize;
    let pitch = count.div_ceil(4);
    if at < pitch {
        let mut half = Sequence::<F4>::new();
        #[unroll]
        for column in 0..4usize {
            let mut read = Sequence::<F4>::new();
            #[unroll]
            for line in 0..4usize {
                read.push(sums[(comptime!(4 * line + column) * sizes.rows + row) * pitch + at]);
            }
            let along = sums_along(*read.index(0usize), *read.index(1usize), *read.index(2usize), *read.index(3usize));
            half.push(*along.index(0usize));
            half.push(*along.index(1usize));
        }
        let mut pixels = Sequence::<F4>::new();
        #[unroll]
        for line in 0..2usize {
            let along = sums_along(
                *half.index(line),
                *half.index(comptime!(2 + line)),
                *half.index(comptime!(4 + line)),
                *half.index(comptime!(6 + line)),
            );
            pixels.push(*along.index(0usize));
            pixels.push(*along.index(1usize));
        }
        let channel = target.first + row;
        #[unroll]
        for i in 0..4usize {
            let tile = sizes.first + 4 * at + i;
            if tile < sizes.columns {
                let picture = tile / pictures.pixels;
                let within = tile % pictures.pixels;
                let y = within / pictures.out_width * 2;
                let x = within % pictures.out_width * 2;
                let base = ((picture * target.channels + channel) * target.height + y) * target.width + x;
                let mut shift = 0.0f32;
                if comptime!(biased) {
                    shift = bias[picture * pictures.bias_stride + channel];
                }
                #[unroll]
                for n in 0..4usize {
                    let (down, right) = comptime!((n / 2, n % 2));
                    if y + down < target.height && x + right < target.width {
                        let to = base + down * target.width + right;
                        let mut value = pixels.index(n).extract(i) + shift;
                        if comptime!(added) {
                            value += f32::cast_from(residual[to]);
                        }
                        out[to] = E::cast_from(value);
                    }
                }
            }
        }
    }
}

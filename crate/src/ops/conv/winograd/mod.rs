//! Winograd convolution on the processor, F(2×2, 3×3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
//! 2015: 16 multiplications for four pixels instead of 36. Tiles of 4×4 pixels that overlap by two and the weights are
//! transformed to 16 numbers each, 16 matrix products multiply them and sum over channels, and the sums are transformed to
//! tiles of 2×2 pixels.

mod transforms;

use std::ops::Range;

use burn::tensor::Tensor;
use rayon::prelude::*;

use self::transforms::{Divide, NUMBERS, TransformPixels, TransformSums, TransformWeights};
use super::{Convolve, Geometry};
use crate::ops::host::{Host, Shared, tensor, vectors};
use crate::ops::panels::Panels;
use crate::ops::product::{Matrix, multiply};

/// Transformed pixels at once, whole rows of tiles: they stay in the last-level cache while every output channel reads them.
const PIXELS: usize = 1 << 20;
/// Fewest tiles at once, if there are so many: fewer would not be worth transforming the weights.
const FEWEST: usize = 128;
/// Tiles of a task, whole rows of them: enough that transforming the weights costs little beside the products.
const TILES: usize = 256;
/// Output channels of a task: their transformed weights and sums stay in a core's cache.
const OUTPUTS: usize = 16;
/// Unused numbers between two of the 16 matrices, so that their rows do not lie in the same sets of a cache.
const GAP: usize = 48;

/// Whether [`conv2d`] computes this convolution, and faster than the direct product does.
pub fn suits(Convolve { x, weight, geometry, .. }: &Convolve) -> bool {
    let [batch, inputs, height, width] = x.dims();
    let [outputs, _] = weight.shape();
    let [rows, columns] = geometry.output([height, width]);
    let tiles = batch * rows.div_ceil(2) * columns.div_ceil(2);
    // Measured on two cores (Zen 4): there it takes 0.55 to 0.9 times as long, with 32 output channels or 36 tiles 1.1 to 1.3
    // times, since the transforms of pixels and weights are for fewer products then.
    geometry.kernel == 3 && geometry.stride == 1 && inputs >= 32 && outputs >= 64 && tiles >= 64
}

/// [`super::conv2d`] for f32, where it [`suits`].
pub fn conv2d(Convolve { x, weight, bias, residual, geometry }: Convolve) -> Tensor<4> {
    let [batch, inputs, height, width] = x.dims();
    let [outputs, _] = weight.shape();
    let [rows, columns] = geometry.output([height, width]);
    let shared_bias = bias.dims()[0] == 1;
    let input = Input { x: Host::row(x), geometry, inputs, stored: [height, width], down: rows.div_ceil(2) };
    let output = Output {
        bias: Host::row(bias),
        bias_stride: if shared_bias { 0 } else { outputs },
        residual: residual.map(Host::row),
        outputs,
        size: [rows, columns],
    };
    let weight = Panels::of(weight);
    let across = columns.div_ceil(2);
    let lines = batch * input.down;
    let most = (PIXELS / (NUMBERS * inputs)).max(FEWEST).div_ceil(across).min(lines);
    let each = (TILES / across).clamp(1, most);
    let mut pixels = vec![0.0f32; NUMBERS * (inputs * most * across + GAP)];
    let mut out = vec![0.0f32; batch * outputs * rows * columns];
    let result = Shared::new(&mut out);
    for first in (0..lines).step_by(most) {
        // Rows of tiles, counted over all pictures.
        let lines = first..(first + most).min(lines);
        let tiles = lines.len() * across;
        let pixels = &mut pixels[..NUMBERS * (inputs * tiles + GAP)];
        let transformed = Shared::new(pixels);
        (0..inputs).into_par_iter().for_each_init(Default::default, |rows, channel| {
            // SAFETY: only this task has these rows of the 16 matrices.
            unsafe { input.transform(channel, lines.clone(), across, rows, transformed) };
        });
        let pixels = &*pixels;
        let (blocks, parts) = (lines.len().div_ceil(each), outputs.div_ceil(OUTPUTS));
        (0..blocks * parts).into_par_iter().for_each_init(Buffers::default, |buffers, task| {
            let channels = task / blocks * OUTPUTS..((task / blocks + 1) * OUTPUTS).min(outputs);
            let skipped = task % blocks * each;
            let lines = lines.start + skipped..lines.end.min(lines.start + skipped + each);
            let count = lines.len() * across;
            let Buffers { widened, weights, sums, lines: wide } = buffers;
            transform_weights(&weight, channels.clone(), inputs, widened, weights);
            sums.resize(NUMBERS * (channels.len() * count + GAP), 0.0);
            let matrices = weights.chunks(channels.len() * inputs + GAP).zip(pixels.chunks(inputs * tiles + GAP));
            for ((weights, pixels), sums) in matrices.zip(sums.chunks_mut(channels.len() * count + GAP)) {
                let weights = Matrix { values: weights, row: inputs, column: 1 };
                let pixels = Matrix { values: &pixels[skipped * across..], row: tiles, column: 1 };
                multiply([channels.len(), count, inputs], (sums, count), weights, pixels, false);
            }
            for (i, channel) in channels.clone().enumerate() {
                for (line, at) in lines.clone().zip((i * count..).step_by(across)) {
                    let sums = Sums { values: sums, apart: channels.len() * count + GAP, at, across };
                    // SAFETY: only this task has these channels of these rows.
                    unsafe { output.transform(&sums, wide, channel, [line / input.down, line % input.down], result) };
                }
            }
        });
    }
    tensor(out, [batch, outputs, rows, columns])
}

/// A task's memory.
#[derive(Default)]
struct Buffers {
    widened: Vec<f32>,
    weights: Vec<f32>,
    sums: Vec<f32>,
    lines: [Vec<f32>; 2],
}

/// The pictures, and how they are read.
struct Input {
    /// `[batch, inputs, height, width]`.
    x: Host,
    geometry: Geometry,
    inputs: usize,
    /// Height and width as they are stored.
    stored: [usize; 2],
    /// Rows of tiles of a picture.
    down: usize,
}

impl Input {
    /// Transforms a channel of rows of tiles to 16 rows of `out` `[16, inputs, tiles]`.
    ///
    /// # Safety
    /// `out` has these rows, and nothing else reads or writes them meanwhile.
    unsafe fn transform(
        &self,
        channel: usize,
        lines: Range<usize>,
        across: usize,
        rows: &mut [Vec<f32>; 5],
        out: Shared,
    ) {
        let [height, width] = self.stored;
        let [tall, wide] = self.geometry.input(self.stored);
        let [top, _, left, _] = self.geometry.padding;
        // Nearest upsampling by two repeats every pixel.
        let halve = usize::from(self.geometry.upsampled.is_some());
        let tiles = lines.len() * across;
        let length = 2 * (across + 1);
        rows.iter_mut().for_each(|row| row.resize(length, 0.0));
        let [line, rows @ ..] = rows;
        for (i, tile_row) in lines.enumerate() {
            let (picture, tile_row) = (tile_row / self.down, tile_row % self.down);
            let plane = &self.x.values()[(picture * self.inputs + channel) * height * width..][..height * width];
            for (n, row) in rows.iter_mut().enumerate() {
                let above = 2 * tile_row + n;
                if above < top || above - top >= tall {
                    row.fill(0.0);
                    continue;
                }
                let stored = &plane[((above - top) >> halve) * width..][..width];
                let end = (left + wide).min(length);
                line[..left].fill(0.0);
                if halve == 0 {
                    line[left..end].copy_from_slice(&stored[..end - left]);
                } else {
                    line[left..end].iter_mut().enumerate().for_each(|(x, to)| *to = stored[x / 2]);
                }
                line[end..].fill(0.0);
                vectors(Divide { line, row });
            }
            let target = |number: usize| {
                // SAFETY: the caller guarantees it; this is within the channel's row of that matrix.
                unsafe {
                    let at = out.from(number * (self.inputs * tiles + GAP) + channel * tiles + i * across);
                    std::slice::from_raw_parts_mut(at, across)
                }
            };
            vectors(TransformPixels { rows, out: std::array::from_fn(target) });
        }
    }
}

/// Transforms the weights of these output channels to 16 matrices `[channels, inputs]`.
fn transform_weights(
    weight: &Panels,
    channels: Range<usize>,
    inputs: usize,
    widened: &mut Vec<f32>,
    out: &mut Vec<f32>,
) {
    let count = channels.len() * inputs + GAP;
    out.resize(NUMBERS * count, 0.0);
    // A channel at a time: its weights, and what they are transformed to, are in the first-level cache.
    for (i, channel) in channels.enumerate() {
        let panel = weight.panel(channel..channel + 1, 0..9 * inputs, widened);
        let mut matrices = out.chunks_mut(count);
        let rows =
            std::array::from_fn(|_| matrices.next().map_or(&mut [][..], |rows| &mut rows[i * inputs..][..inputs]));
        vectors(TransformWeights { taps: &panel.values[..9 * inputs], out: rows });
    }
}

/// The sums of a row of tiles in 16 matrices.
struct Sums<'a> {
    values: &'a [f32],
    /// Numbers of a matrix.
    apart: usize,
    /// Where the row begins in the first matrix.
    at: usize,
    /// Tiles of the row.
    across: usize,
}

/// What the sums become.
struct Output {
    bias: Host,
    /// 0 if all pictures share a bias.
    bias_stride: usize,
    /// `[batch, outputs, rows, columns]`.
    residual: Option<Host>,
    outputs: usize,
    /// Rows and columns of a picture.
    size: [usize; 2],
}

impl Output {
    /// Transforms the sums of a row of tiles to two rows of pixels of `out`, and adds bias and residual.
    ///
    /// # Safety
    /// `out` is the whole result, and nothing else reads or writes these rows of it meanwhile.
    unsafe fn transform(
        &self,
        sums: &Sums<'_>,
        lines: &mut [Vec<f32>; 2],
        channel: usize,
        [picture, tile_row]: [usize; 2],
        out: Shared,
    ) {
        let [rows, columns] = self.size;
        lines.iter_mut().for_each(|line| line.resize(2 * sums.across, 0.0));
        let matrices = std::array::from_fn(|n| &sums.values[n * sums.apart + sums.at..][..sums.across]);
        let bias = self.bias.values()[picture * self.bias_stride + channel];
        vectors(TransformSums { sums: matrices, bias, lines });
        for (y, line) in (2 * tile_row..rows).zip(lines) {
            let at = ((picture * self.outputs + channel) * rows + y) * columns;
            // SAFETY: the caller guarantees it.
            let row = unsafe { std::slice::from_raw_parts_mut(out.from(at), columns) };
            match &self.residual {
                Some(residual) => {
                    let sums = line.iter().zip(&residual.values()[at..]);
                    row.iter_mut().zip(sums).for_each(|(to, (value, residual))| *to = value + residual);
                }
                None => row.copy_from_slice(&line[..columns]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Geometry, conv2d};
    use crate::ops::conv::reference::assert_is_the_reference;

    #[test]
    fn it_is_the_references() {
        let plain = Geometry { kernel: 3, stride: 1, padding: [1; 4], upsampled: None };
        let cases = [
            ([1, 33, 2, 2], 32, plain),
            ([2, 70, 19, 23], 37, plain),
            ([1, 96, 33, 20], 160, plain),
            // Several slabs of rows of tiles, of which one has tiles of both pictures.
            ([2, 32, 50, 46], 40, plain),
            ([1, 32, 3, 1030], 32, plain),
            ([1, 36, 17, 14], 33, Geometry { upsampled: Some([34, 28]), ..plain }),
            ([2, 36, 17, 14], 33, Geometry { upsampled: Some([33, 27]), ..plain }),
            ([1, 40, 12, 9], 34, Geometry { padding: [0; 4], ..plain }),
            // Bands of rows have no padding above or below.
            ([1, 40, 12, 9], 34, Geometry { padding: [0, 0, 1, 1], ..plain }),
            ([1, 40, 13, 9], 34, Geometry { padding: [1, 0, 0, 1], ..plain }),
            ([1, 40, 13, 9], 34, Geometry { padding: [0, 1, 1, 0], ..plain }),
        ];
        assert_is_the_reference(conv2d, &cases);
    }
}

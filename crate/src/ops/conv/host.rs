//! Convolution on the processor: im2col and a matrix product with the weights, for one block of output pixels at a time.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::{Convolve, Geometry, winograd};
use crate::ops::clock::timed;
use crate::ops::host::{CACHED, Host, Shared, tensor};
use crate::ops::panels::Panels;
use crate::ops::product::{Matrix, multiply_into};

/// Output pixels of a block: enough that weights are read seldom, few enough that their patches stay in a core's cache.
const PIXELS: usize = 256;
/// Fewest tasks of a large result, so that several cores have some. More would gather the same patches more often.
const TASKS: usize = 8;
/// Input channels are taken in multiples of so many, whose weights are whole groups of quantised values.
const GROUP: usize = 32;

/// [`super::conv2d`] for f32.
pub fn conv2d(operands: Convolve) -> Tensor<4> {
    if winograd::suits(&operands) {
        timed("3×3 convolutions by Winograd", || winograd::conv2d(operands))
    } else {
        timed("other convolutions", || direct(operands))
    }
}

/// By the definition's products.
fn direct(Convolve { x, weight, bias, residual, geometry }: Convolve) -> Tensor<4> {
    let [batch, inputs, height, width] = x.dims();
    let [outputs, _] = weight.shape();
    let [rows, columns] = geometry.output([height, width]);
    let (pixels, area) = (rows * columns, geometry.kernel * geometry.kernel);
    let shared_bias = bias.dims()[0] == 1;
    let (x, weight, bias) = (Host::row(x), Panels::of(weight), Host::row(bias));
    let residual = residual.map(Host::row);
    let mut out = vec![0.0f32; batch * outputs * pixels];
    let result = Shared::new(&mut out);
    let blocks = pixels.div_ceil(PIXELS);
    // With few blocks, the output channels are divided too. This does not depend on the number of cores, since rounding may
    // depend on it.
    let parts = TASKS.div_ceil(batch * blocks).clamp(1, outputs.div_ceil(16));
    let share = outputs.div_ceil(parts);
    let plain =
        geometry.kernel == 1 && geometry.stride == 1 && geometry.padding == [0; 4] && geometry.upsampled.is_none();
    // Input channels that are multiplied together: so many that their patches, and weights that are widened, stay in a core's
    // cache.
    let gathered = if plain { inputs } else { (CACHED / (PIXELS * area)).next_multiple_of(GROUP) };
    let widened = match weight.most_columns(share) / area {
        most if most >= inputs => inputs,
        most => (most / GROUP * GROUP).max(GROUP),
    };
    let chunk = gathered.min(widened).min(inputs);
    let patches = Patches { geometry, height, width, columns };
    let all = batch * blocks * parts;
    (0..all).into_par_iter().for_each_init(
        || (if plain { Vec::new() } else { vec![0.0f32; chunk * area * PIXELS] }, Vec::new()),
        |(gathered, widened), task| {
            let (picture, block, part) = (task / (blocks * parts), task / parts % blocks, task % parts);
            let first = block * PIXELS;
            let count = PIXELS.min(pixels - first);
            let channels = part * share..((part + 1) * share).min(outputs);
            if channels.is_empty() {
                return;
            }
            let start = (picture * outputs + channels.start) * pixels + first;
            for (i, channel) in channels.clone().enumerate() {
                let bias = bias.values()[if shared_bias { channel } else { picture * outputs + channel }];
                let at = start + i * pixels;
                // SAFETY: only this task has these pixels of these channels, and they lie within the result.
                let row = unsafe { std::slice::from_raw_parts_mut(result.from(at), count) };
                match &residual {
                    Some(residual) => {
                        row.iter_mut().zip(&residual.values()[at..]).for_each(|(to, value)| *to = value + bias);
                    }
                    None => row.fill(bias),
                }
            }
            for inputs_from in (0..inputs).step_by(chunk) {
                let count_in = chunk.min(inputs - inputs_from);
                let planes = &x.values()[(picture * inputs + inputs_from) * height * width..];
                let factors = if plain {
                    Matrix { values: &planes[first..], row: pixels, column: 1 }
                } else {
                    for (plane, to) in
                        planes.chunks(height * width).zip(gathered.chunks_mut(area * count)).take(count_in)
                    {
                        patches.gather(plane, first, count, to);
                    }
                    Matrix { values: gathered, row: count, column: 1 }
                };
                let terms = inputs_from * area..(inputs_from + count_in) * area;
                let weights = weight.panel(channels.clone(), terms, widened);
                // SAFETY: as above.
                unsafe {
                    let to = (result.from(start), pixels);
                    multiply_into([channels.len(), count, count_in * area], to, weights, factors, true);
                }
            }
        },
    );
    tensor(out, [batch, outputs, rows, columns])
}

/// Gathers a convolution's patches.
struct Patches {
    geometry: Geometry,
    /// Height of the input as it is stored.
    height: usize,
    width: usize,
    /// Width of the result.
    columns: usize,
}

impl Patches {
    /// im2col of one input plane for `count` pixels of the result from `first` on: a row of `to` for each place in the kernel.
    fn gather(&self, plane: &[f32], first: usize, count: usize, to: &mut [f32]) {
        let Geometry { kernel, stride, padding: [top, _, left, _], upsampled } = self.geometry;
        let [tall, wide] = self.geometry.input([self.height, self.width]);
        // Nearest upsampling by two repeats every pixel.
        let halve = usize::from(upsampled.is_some());
        for (place, to) in to.chunks_mut(count).enumerate() {
            let (down, right) = (place / kernel, place % kernel);
            let mut done = 0;
            while done < count {
                let (y, x) = ((first + done) / self.columns, (first + done) % self.columns);
                let run = (self.columns - x).min(count - done);
                let to = &mut to[done..done + run];
                done += run;
                let above = y * stride + down;
                if above < top || above - top >= tall {
                    to.fill(0.0);
                    continue;
                }
                let row = &plane[((above - top) >> halve) * self.width..][..self.width];
                if stride == 1 && halve == 0 {
                    // Copies the input's columns from x + right − left on; zeros outside.
                    let before = left.saturating_sub(x + right).min(run);
                    let from = (x + right + before).saturating_sub(left).min(wide);
                    let inside = (wide - from).min(run - before);
                    to[..before].fill(0.0);
                    to[before..before + inside].copy_from_slice(&row[from..from + inside]);
                    to[before + inside..].fill(0.0);
                    continue;
                }
                for (i, to) in to.iter_mut().enumerate() {
                    let at = (x + i) * stride + right;
                    *to = if at < left || at - left >= wide { 0.0 } else { row[(at - left) >> halve] };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Geometry, direct};
    use crate::ops::conv::reference::assert_is_the_reference;

    #[test]
    fn it_is_the_references() {
        let plain = Geometry { kernel: 3, stride: 1, padding: [1; 4], upsampled: None };
        let cases = [
            ([1, 3, 1, 1], 5, plain),
            ([2, 70, 19, 23], 37, plain),
            ([1, 96, 33, 20], 160, plain),
            ([1, 4, 33, 8], 64, Geometry { kernel: 1, padding: [0; 4], ..plain }),
            ([2, 8, 17, 20], 9, Geometry { kernel: 1, padding: [0; 4], stride: 2, ..plain }),
            ([1, 5, 16, 18], 6, Geometry { stride: 2, ..plain }),
            ([1, 5, 16, 18], 6, Geometry { stride: 2, padding: [0, 1, 0, 1], ..plain }),
            ([1, 6, 9, 7], 8, Geometry { upsampled: Some([18, 14]), ..plain }),
            ([2, 6, 9, 7], 8, Geometry { upsampled: Some([17, 13]), ..plain }),
            // Bands of rows have no padding above or below.
            ([1, 6, 12, 9], 4, Geometry { padding: [0, 0, 1, 1], ..plain }),
            ([1, 6, 12, 2], 4, Geometry { kernel: 5, padding: [2; 4], ..plain }),
        ];
        assert_is_the_reference(direct, &cases);
    }
}

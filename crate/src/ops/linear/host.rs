//! Linear layers on the processor: a tile of the result at a time, with bias, residual and GEGLU while it is in a core's cache.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::Multiply;
use crate::ops::host::{Host, Shared, gelu, tensor, vectors};
use crate::ops::panels::Panels;
use crate::ops::product::{Matrix, multiply_into};

/// Most rows of a tile: enough that weights are read seldom.
const ROWS: usize = 256;
/// Most columns of a tile.
const COLUMNS: usize = 320;
/// Fewest tiles of a large result, so that many cores have some.
const TASKS: usize = 16;
/// Columns of tiles are multiples of so many, but in the last tile of a row.
const LEAST_COLUMNS: usize = 32;

/// [`super::linear`] for f32.
pub fn linear<const D: usize>(Multiply { x, weight, bias, residual, geglu }: Multiply<'_, D>) -> Tensor<D> {
    let [outputs, inner] = weight.shape();
    let mut shape = x.dims();
    let rows = shape.iter().product::<usize>() / inner;
    let width = if geglu { outputs / 2 } else { outputs };
    shape[D - 1] = width;
    let layer = Layer {
        x: Host::row(x),
        weight: Panels::of(weight),
        bias: bias.map(Host::row),
        residual: residual.map(Host::row),
        inner,
        width,
    };
    let mut out = vec![0.0f32; rows * width];
    let result = Shared::new(&mut out);
    let blocks = rows.div_ceil(ROWS);
    // With few rows, the columns are divided. Tiles do not depend on the number of cores, since rounding depends on tiles.
    let share = width.div_ceil(TASKS.div_ceil(blocks)).next_multiple_of(LEAST_COLUMNS).min(COLUMNS);
    let parts = width.div_ceil(share);
    (0..blocks * parts).into_par_iter().for_each_init(Buffers::default, |buffers, task| {
        let (block, part) = (task / parts, task % parts);
        let tile = Tile {
            rows: [block * ROWS, rows.min((block + 1) * ROWS)],
            columns: [part * share, width.min((part + 1) * share)],
        };
        // SAFETY: only this task has this tile of the result, and it lies within it.
        unsafe {
            if geglu {
                layer.gated(&tile, buffers, result);
            } else {
                layer.plain(&tile, buffers, result);
            }
        }
    });
    tensor(out, shape)
}

/// Operands of a layer.
struct Layer {
    /// `[rows, inner]`.
    x: Host,
    /// `[width, inner]`, or twice as many rows with GEGLU.
    weight: Panels,
    bias: Option<Host>,
    /// `[rows, width]`.
    residual: Option<Host>,
    inner: usize,
    width: usize,
}

/// A part of the result: its first row and column, and those after its last.
struct Tile {
    rows: [usize; 2],
    columns: [usize; 2],
}

/// A task's memory.
#[derive(Default)]
struct Buffers {
    widened: Vec<f32>,
    hidden: Vec<f32>,
    gate: Vec<f32>,
}

impl Layer {
    /// The tile of x·Wᵀ + bias + residual.
    ///
    /// # Safety
    /// The tile lies within `result`, and nothing else reads or writes it meanwhile.
    unsafe fn plain(&self, tile: &Tile, Buffers { widened, .. }: &mut Buffers, result: Shared) {
        let Tile { rows: [from, to], columns: [left, right] } = *tile;
        for row in from..to {
            let at = row * self.width + left;
            // SAFETY: the caller guarantees it.
            let out = unsafe { std::slice::from_raw_parts_mut(result.from(at), right - left) };
            match (&self.bias, &self.residual) {
                (Some(bias), Some(residual)) => {
                    let sums = bias.values()[left..].iter().zip(&residual.values()[at..]);
                    out.iter_mut().zip(sums).for_each(|(to, (bias, residual))| *to = bias + residual);
                }
                (Some(bias), None) => out.copy_from_slice(&bias.values()[left..right]),
                (None, Some(residual)) => out.copy_from_slice(&residual.values()[at..][..right - left]),
                (None, None) => {}
            }
        }
        let add = self.bias.is_some() || self.residual.is_some();
        // SAFETY: as above.
        unsafe {
            let out = (result.from(from * self.width + left), self.width);
            self.multiply(tile.rows, [left, right], add, widened, out);
        }
    }

    /// The tile of GEGLU: the left half of x·Wᵀ + bias times gelu of its right half, plus the residual.
    ///
    /// # Safety
    /// As [`Layer::plain`].
    unsafe fn gated(&self, tile: &Tile, Buffers { widened, hidden, gate }: &mut Buffers, result: Shared) {
        let Tile { rows: [from, to], columns: [left, right] } = *tile;
        let wide = right - left;
        for (half, values) in [(0, &mut *hidden), (self.width, &mut *gate)] {
            values.resize((to - from) * wide, 0.0);
            if let Some(bias) = &self.bias {
                let bias = &bias.values()[half + left..][..wide];
                values.chunks_mut(wide).for_each(|row| row.copy_from_slice(bias));
            }
            let columns = [half + left, half + right];
            // SAFETY: `values` has a row of `wide` numbers for each row of the tile.
            unsafe { self.multiply(tile.rows, columns, self.bias.is_some(), widened, (values.as_mut_ptr(), wide)) };
        }
        for (row, (hidden, gate)) in (from..to).zip(hidden.chunks(wide).zip(gate.chunks(wide))) {
            let at = row * self.width + left;
            // SAFETY: the caller guarantees it.
            let out = unsafe { std::slice::from_raw_parts_mut(result.from(at), wide) };
            vectors(|| {
                for ((to, hidden), &gate) in out.iter_mut().zip(hidden).zip(gate) {
                    *to = hidden * gelu(gate);
                }
            });
            if let Some(residual) = &self.residual {
                out.iter_mut().zip(&residual.values()[at..]).for_each(|(to, residual)| *to += residual);
            }
        }
    }

    /// These rows of x times these rows of the weights, transposed, into `out`, whose rows are `stride` apart; or added to it.
    ///
    /// # Safety
    /// `out` is valid for the product, and nothing else reads or writes it meanwhile.
    unsafe fn multiply(
        &self,
        [from, to]: [usize; 2],
        [left, right]: [usize; 2],
        add: bool,
        widened: &mut Vec<f32>,
        (out, stride): (*mut f32, usize),
    ) {
        let most = self.weight.most_columns(right - left);
        for first in (0..self.inner).step_by(most) {
            let terms = most.min(self.inner - first);
            let x = Matrix { values: &self.x.values()[from * self.inner + first..], row: self.inner, column: 1 };
            let Matrix { values, row, .. } = self.weight.panel(left..right, first..first + terms, widened);
            let transposed = Matrix { values, row: 1, column: row };
            let shape = [to - from, right - left, terms];
            // SAFETY: the caller guarantees `out`.
            unsafe { multiply_into(shape, (out, stride), x, transposed, add || first > 0) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Multiply, linear};
    use crate::ops::host::{assert_near, assert_same_on_all_cores, random};
    use crate::ops::linear::reference;
    use crate::ops::weight::Weight;

    #[test]
    fn it_is_the_references() {
        for (batch, tokens, inner, outputs) in [(1, 1, 3, 8), (2, 33, 40, 96), (1, 130, 320, 20), (2, 150, 700, 720)] {
            let weight = Weight::dense(random([outputs, inner], 0.0, 1.0));
            for geglu in [false, true] {
                let width = if geglu { outputs / 2 } else { outputs };
                for (bias, residual) in [(false, false), (true, false), (false, true), (true, true)] {
                    let operands = Multiply {
                        x: random([batch, tokens, inner], 0.1, 1.0),
                        weight: &weight,
                        bias: bias.then(|| random([outputs], 0.2, 1.0)),
                        residual: residual.then(|| random([batch, tokens, width], 1.0, 1.0)),
                        geglu,
                    };
                    assert_near(linear(operands.clone()), reference::linear(operands.clone()), 1e-5);
                    assert_same_on_all_cores(|| linear(operands.clone()));
                }
            }
        }
    }
}

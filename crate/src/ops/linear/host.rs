//! Linear layers on the processor.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::Multiply;
use crate::ops::host::{Host, Matrix, gelu, multiply, tensor, vectors};

/// [`super::linear`] for f32.
pub fn linear<const D: usize>(Multiply { x, weight, bias, residual, geglu: gated }: Multiply<'_, D>) -> Tensor<D> {
    let [columns, inner] = weight.shape();
    let mut shape = x.dims();
    let rows = shape.iter().product::<usize>() / inner;
    shape[D - 1] = columns;
    let (x, weight) = (Host::row(x), Host::row(weight.values()));
    let bias = bias.map(Host::row);
    // The product accumulates onto the residual, but with GEGLU the residual belongs to the gated result and is added at the end.
    let (before, after) = if gated { (None, residual) } else { (residual.map(Host::row), None) };
    let mut out = vec![0.0f32; rows * columns];
    let add = bias.is_some() || before.is_some();
    if add {
        out.par_chunks_mut(columns).with_min_len(16).enumerate().for_each(|(row, out)| {
            if let Some(bias) = &bias {
                out.copy_from_slice(&bias.values()[..columns]);
            }
            if let Some(before) = &before {
                out.iter_mut().zip(&before.values()[row * columns..]).for_each(|(to, value)| *to += value);
            }
        });
    }
    let activations = Matrix { values: x.values(), row: inner, column: 1 };
    let transposed = Matrix { values: weight.values(), row: 1, column: inner };
    multiply([rows, columns, inner], (&mut out, columns), activations, transposed, add, true);
    if gated {
        shape[D - 1] = columns / 2;
        out = geglu(&out, columns / 2);
    }
    let out = tensor(out, shape);
    match after {
        Some(residual) => out + residual,
        None => out,
    }
}

/// Rows of `2·inner` to rows of `inner`: the first half times gelu of the second.
fn geglu(x: &[f32], inner: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; x.len() / 2];
    out.par_chunks_mut(inner).with_min_len(8).zip(x.par_chunks(2 * inner)).for_each(|(out, x)| {
        let (hidden, gate) = x.split_at(inner);
        vectors(|| {
            for ((to, hidden), &gate) in out.iter_mut().zip(hidden).zip(gate) {
                *to = hidden * gelu(gate);
            }
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::{Multiply, linear};
    use crate::ops::host::{assert_near, random};
    use crate::ops::linear::reference;
    use crate::ops::weight::Weight;

    #[test]
    fn it_is_the_references() {
        for (batch, tokens, inner, outputs) in [(1, 1, 3, 8), (2, 33, 40, 96), (1, 130, 320, 20)] {
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
                    assert_near(linear(operands.clone()), reference::linear(operands), 1e-5);
                }
            }
        }
    }
}

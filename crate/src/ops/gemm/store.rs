//! The epilogue of a product: bias, residual, and the layout of the result.

use cubecl::prelude::*;

use super::plan::{Bias, Pictures, ProductPlan, Sizes};
use super::weights::F4;

/// The bias of row `i` and columns `j` to `j + 3`; for GEGLU's gates, of the columns `gate` further on.
#[cube]
pub fn bias_of(
    bias: &[f32],
    i: usize,
    j: usize,
    gate: usize,
    sizes: &Sizes,
    pictures: &Pictures,
    #[comptime] kind: Bias,
) -> F4 {
    let mut out = F4::new(0.0f32);
    match comptime!(kind) {
        Bias::None => {}
        Bias::Rows =>
        {
            #[unroll]
            for t in 0..4usize {
                let picture = min(j + t, sizes.columns - 1) / pictures.pixels;
                out.insert(t, bias[picture * pictures.bias_stride + i]);
            }
        }
        Bias::Columns =>
        {
            #[unroll]
            for t in 0..4usize {
                if j + t < sizes.columns {
                    out.insert(t, bias[gate + j + t]);
                }
            }
        }
    }
    out
}

/// Adds the residual and writes columns `j` to `j + 3` of row `i`.
#[cube]
pub fn store<E: Float, NO: Size>(
    sum: F4,
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    i: usize,
    j: usize,
    sizes: &Sizes,
    pictures: &Pictures,
    #[comptime] plan: ProductPlan,
) {
    let vector = NO::value();
    #[unroll]
    for t in 0..comptime!(4 / vector) {
        // Vectors are four wide only if a picture is a multiple of four pixels: a vector never spans two pictures.
        let j = j + t * vector;
        if j < sizes.columns {
            let picture = j / pictures.pixels;
            let at = ((picture * sizes.rows + i) * pictures.pixels + j % pictures.pixels) / vector;
            let mut value = Vector::<f32, NO>::new(0.0f32);
            #[unroll]
            for n in 0..vector {
                value.insert(n, sum.extract(comptime!(t * vector + n)));
            }
            if comptime!(plan.residual) {
                value += Vector::cast_from(residual[at]);
            }
            out[at] = Vector::cast_from(value);
        }
    }
}

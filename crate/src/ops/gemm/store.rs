//! The epilogue of a product: bias, residual, and the layout of the result.

use cubecl::prelude::*;

use super::plan::{Bias, Pictures, ProductPlan, Sizes};
use super::weights::F4;

/// Four columns of the result: the same for all rows, so the divisions that find their pictures are done once.
#[derive(CubeType)]
pub struct Target {
    /// The first of the columns.
    column: usize,
    /// The picture of each vector of the result. Vectors are four wide only if a picture is a multiple of four pixels, so a
    /// vector never spans two pictures.
    pictures: Sequence<usize>,
    /// The offset of each vector in row 0.
    starts: Sequence<usize>,
}

/// Columns `column` to `column + 3`, for a result in vectors of `vector`.
#[cube]
pub fn target(column: usize, sizes: &Sizes, pictures: &Pictures, #[comptime] vector: usize) -> Target {
    let mut of = Sequence::<usize>::new();
    let mut starts = Sequence::<usize>::new();
    #[unroll]
    for t in 0..comptime!(4 / vector) {
        let column = min(column + t * vector, sizes.columns - 1);
        let picture = column / pictures.pixels;
        of.push(picture);
        starts.push(picture * sizes.rows * pictures.pixels + column % pictures.pixels);
    }
    Target { column, pictures: of, starts }
}

/// The bias of row `i` in the columns of `target`; for GEGLU's gates, of the columns `gate` further on.
#[cube]
pub fn bias_of(
    bias: &[f32],
    i: usize,
    target: &Target,
    gate: usize,
    sizes: &Sizes,
    pictures: &Pictures,
    #[comptime] kind: Bias,
    #[comptime] vector: usize,
) -> F4 {
    let mut out = F4::new(0.0f32);
    match comptime!(kind) {
        Bias::None => {}
        Bias::Rows =>
        {
            #[unroll]
            for t in 0..comptime!(4 / vector) {
                let value = bias[*target.pictures.index(t) * pictures.bias_stride + i];
                #[unroll]
                for n in 0..vector {
                    out.insert(comptime!(t * vector + n), value);
                }
            }
        }
        Bias::Columns =>
        {
            #[unroll]
            for t in 0..4usize {
                let column = target.column + t;
                if column < sizes.columns {
                    out.insert(t, bias[gate + column]);
                }
            }
        }
    }
    out
}

/// Adds the residual and writes the columns of `target` in row `i`.
#[cube]
pub fn store<E: Float, NO: Size>(
    sum: F4,
    residual: &[Vector<E, NO>],
    out: &mut [Vector<E, NO>],
    i: usize,
    target: &Target,
    sizes: &Sizes,
    pictures: &Pictures,
    #[comptime] plan: ProductPlan,
) {
    let vector = NO::value();
    #[unroll]
    for t in 0..comptime!(4 / vector) {
        if target.column + t * vector < sizes.columns {
            let at = (*target.starts.index(t) + i * pictures.pixels) / vector;
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

//! Matrix products for GPUs: a workgroup stages tiles of both factors in its memory, and each invocation sums a register tile.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::plan::{Pictures, ProductPlan, Sizes};
use super::stage::{Extent, stage_pixels, stage_rows};
use super::store::{bias_of, store, target};
use super::tile::{multiply, zeros};
use super::weights::F4;
use crate::ops::elementwise::gelu;

/// With a window, a convolution as an implicit GEMM: weights times patches, which are gathered as they are staged. Without, a
/// linear layer: rows of activations times rows of weights.
#[cube(launch_unchecked)]
pub fn product<E: Float, NX: Size, NW: Size, NO: Size>(
    x: &[Vector<u32, NX>],      // (batch, channels, height, width); (rows, depth) in a linear layer
    words: &[Vector<u32, NW>],  // (rows, depth); (columns, depth) in a linear layer, with GEGLU (2·columns, depth)
    scales: &[u32],             // one f16 for 32 weights, two a word
    bias: &[f32],               // (1 or batch, rows); (columns) in a linear layer, with GEGLU (2·columns)
    residual: &[Vector<E, NO>], // of out's shape
    out: &mut [Vector<E, NO>],  // (batch, rows, pixels); (rows, columns) in a linear layer
    parts: &mut [F4],           // (parts, rows, columns), vectors of four; written instead of `out` if the sum is split
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] plan: ProductPlan,
    #[define(E)] _element: ElemType,
) {
    let ProductPlan { tile, aligned, geglu, .. } = comptime!(plan);
    let rows4 = comptime!(tile.rows() / 4);
    let columns4 = comptime!(tile.columns() / 4);
    // With GEGLU a tile yields half as many columns: the other half are gates.
    let yields = comptime!(if geglu { tile.columns() / 2 } else { tile.columns() });
    let mut left = Shared::<[F4]>::new_slice(comptime!(tile.depth * rows4));
    let mut right = Shared::<[F4]>::new_slice(comptime!(tile.depth * columns4));
    let row = CUBE_POS_Y as usize * comptime!(tile.rows());
    let column = sizes.first + CUBE_POS_X as usize * yields;
    let begin = CUBE_POS_Z as usize * sizes.part;
    let end = min(begin + sizes.part, sizes.depth);
    let y = UNIT_POS as usize / tile.threads_x;
    let lane = UNIT_POS as usize % tile.threads_x;
    let sums = zeros(comptime!(4 * tile.rows4 * tile.columns4));
    let mut k = begin;
    while k < end {
        let rows = Extent { rows: sizes.rows, columns: sizes.depth, gate: 0 };
        match comptime!(plan.window) {
            Some(window) => {
                stage_rows::<NW>(
                    words,
                    scales,
                    &mut left,
                    row,
                    k,
                    end,
                    &rows,
                    rows4,
                    tile,
                    plan.weights,
                    aligned,
                    false,
                );
                stage_pixels::<NX>(x, &mut right, column, k, end, &sizes, &pictures, window, plan);
            }
            None => {
                stage_rows::<NX>(
                    x,
                    scales,
                    &mut left,
                    row,
                    k,
                    end,
                    &rows,
                    rows4,
                    tile,
                    plan.activations,
                    aligned,
                    false,
                );
                let stored = if comptime!(geglu) { 2 * sizes.columns } else { sizes.columns };
                let weights = Extent { rows: stored, columns: sizes.depth, gate: sizes.columns };
                stage_rows::<NW>(
                    words,
                    scales,
                    &mut right,
                    column,
                    k,
                    end,
                    &weights,
                    columns4,
                    tile,
                    plan.weights,
                    aligned,
                    geglu,
                );
            }
        }
        // Both tiles are complete before anyone reads them.
        sync_cube();
        multiply(&left, &right, &sums, y, lane, tile);
        // The tiles' last reads are over before they are written again.
        sync_cube();
        k += tile.depth;
    }
    let count = comptime!(if geglu { tile.columns4 / 2 } else { tile.columns4 });
    let vector = NO::value();
    #[unroll]
    for c in 0..count {
        let j = column + 4 * (c * tile.threads_x + lane);
        let target = target(j, &sizes, &pictures, vector);
        #[unroll]
        for r in 0..comptime!(4 * tile.rows4) {
            let i = row + 4 * (r / 4 * tile.threads_y + y) + r % 4;
            let at = comptime!(r * tile.columns4 + c);
            let mut sum = sums.index(at).read();
            if i < sizes.rows && j < sizes.columns {
                if comptime!(plan.split) {
                    let pitch = sizes.columns.div_ceil(4);
                    parts[(CUBE_POS_Z as usize * sizes.rows + i) * pitch + j / 4] = sum;
                } else {
                    sum += bias_of(bias, i, &target, 0, &sizes, &pictures, plan.bias, vector);
                    if comptime!(geglu) {
                        let gate = sums.index(comptime!(at + count)).read();
                        let shift = bias_of(bias, i, &target, sizes.columns, &sizes, &pictures, plan.bias, vector);
                        sum *= gelu::<Const<4>>(gate + shift);
                    }
                    store::<E, NO>(sum, residual, out, i, &target, &sizes, &pictures, plan);
                }
            }
        }
    }
}

/// Split-K's second step: adds up the partial sums of [`product`].
#[cube(launch_unchecked)]
pub fn join<E: Float, NO: Size>(
    parts: &[F4],               // (count, rows, columns), vectors of four
    bias: &[f32],               // as in `product`
    residual: &[Vector<E, NO>], // of out's shape
    out: &mut [Vector<E, NO>],  // as in `product`
    count: usize,
    sizes: Sizes,
    pictures: Pictures,
    #[comptime] plan: ProductPlan,
    #[define(E)] _element: ElemType,
) {
    let pitch = sizes.columns.div_ceil(4);
    let at = ABSOLUTE_POS;
    if at < sizes.rows * pitch {
        let (i, j) = (at / pitch, at % pitch * 4);
        let vector = NO::value();
        let target = target(j, &sizes, &pictures, vector);
        let mut sum = bias_of(bias, i, &target, 0, &sizes, &pictures, plan.bias, vector);
        for part in 0..count {
            sum += parts[part * sizes.rows * pitch + at];
        }
        store::<E, NO>(sum, residual, out, i, &target, &sizes, &pictures, plan);
    }
}

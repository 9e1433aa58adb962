//! Kernels for the moments of rows: each workgroup or invocation computes a part of a row, then the parts are merged.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::{calculate_cube_count_elemwise, ir::ElemType};

use super::statistics::{FIELDS, accumulate, merge_lanes, merge_parts, write};
use crate::ops::Kernels;
use crate::ops::launch::{contiguous, float, output_of, vector, whole};

/// Invocations of a workgroup that share a part.
const UNITS: usize = 256;
/// Invocations of a workgroup that merge the parts of one row.
const MERGING: usize = 32;
/// Workgroup size if invocations work independently.
const ALONE: u32 = 16;
/// Most parts of a row: one workgroup merges them.
const PARTS: usize = 64;

/// Least elements of a part.
fn part_elements(kernels: Kernels) -> usize {
    match kernels {
        Kernels::Hardware => 8192,
        _ => 1024,
    }
}

/// Moments `[batch, groups, 3]` of `[batch, channels, height, width]`.
pub(super) fn moments(x: CubeTensor, groups: usize, kernels: Kernels) -> CubeTensor {
    let x = contiguous(x);
    let rows = x.meta.shape()[0] * groups;
    let elements = x.meta.shape().num_elements() / rows;
    let vector = vector(elements);
    let length = elements / vector;
    let part = length.div_ceil(PARTS).max(part_elements(kernels) / vector).min(length);
    let parts = length.div_ceil(part);
    let shape = [rows / groups, groups];
    // A single part has the moments of the row already.
    let out = match parts {
        1 => output_of(&x, &[shape[0], shape[1], FIELDS], DType::F32),
        _ => output_of(&x, &[shape[0], shape[1], parts, FIELDS], DType::F32),
    };
    let total = rows * parts;
    let scalars = [length, part, parts, total].map(|value| value as u32);
    let [length, part, parts_argument, total_argument] = scalars;
    // SAFETY: every argument is a whole contiguous tensor, `x` in vectors that divide its rows.
    unsafe {
        let (input, output) = (whole(&x, vector), whole(&out, 1));
        match kernels {
            Kernels::Hardware => shared_part::launch_unchecked(
                &x.client,
                calculate_cube_count_elemwise(&x.client, total * UNITS, CubeDim::new_1d(UNITS as u32)),
                CubeDim::new_1d(UNITS as u32),
                vector,
                input,
                output,
                length,
                part,
                parts_argument,
                total_argument,
                float(&x),
            ),
            _ => lone_part::launch_unchecked(
                &x.client,
                calculate_cube_count_elemwise(&x.client, total, CubeDim::new_1d(ALONE)),
                CubeDim::new_1d(ALONE),
                vector,
                input,
                output,
                length,
                part,
                parts_argument,
                total_argument,
                float(&x),
            ),
        }
    }
    if parts == 1 { out } else { merged(out, shape, kernels) }
}

/// Merges moments `[batch, groups, parts, 3]` to those of whole groups, `[batch, groups, 3]`.
pub(super) fn merged(parts: CubeTensor, [batch, groups]: [usize; 2], kernels: Kernels) -> CubeTensor {
    let parts = contiguous(parts);
    let rows = batch * groups;
    let count = parts.meta.shape().num_elements() / (rows * FIELDS);
    let out = output_of(&parts, &[batch, groups, FIELDS], DType::F32);
    // SAFETY: every argument is a whole contiguous tensor.
    unsafe {
        let (input, output) = (whole(&parts, 1), whole(&out, 1));
        match kernels {
            Kernels::Hardware => shared_merge::launch_unchecked(
                &parts.client,
                calculate_cube_count_elemwise(&parts.client, rows * MERGING, CubeDim::new_1d(MERGING as u32)),
                CubeDim::new_1d(MERGING as u32),
                input,
                output,
                count as u32,
                rows as u32,
            ),
            _ => lone_merge::launch_unchecked(
                &parts.client,
                calculate_cube_count_elemwise(&parts.client, rows, CubeDim::new_1d(ALONE)),
                CubeDim::new_1d(ALONE),
                input,
                output,
                count as u32,
                rows as u32,
            ),
        }
    }
    out
}

/// One workgroup per part; neighbouring invocations read neighbouring items. Surplus workgroups of the grid repeat the last
/// part instead of returning, since barriers follow.
#[cube(launch_unchecked)]
fn shared_part<E: Float, N: Size>(
    x: &[Vector<E, N>], // (rows, length)
    out: &mut [f32],    // (rows, parts, 3)
    length: u32,
    part: u32,
    parts: u32,
    total: u32,
    #[define(E)] _dtype: ElemType,
) {
    let at = min(CUBE_POS, total as usize - 1);
    let row = at / parts as usize;
    let start = at % parts as usize * part as usize;
    let items = min(part as usize, length as usize - start);
    let unit = UNIT_POS as usize;
    let own = (items + UNITS - 1 - unit) / UNITS;
    let part = accumulate::<E, N>(x, row * length as usize + start + unit, UNITS, own);
    let part = merge_lanes(part, UNITS, UNITS);
    if unit == 0 {
        write(out, at, part);
    }
}

/// One invocation per part.
#[cube(launch_unchecked)]
fn lone_part<E: Float, N: Size>(
    x: &[Vector<E, N>], // (rows, length)
    out: &mut [f32],    // (rows, parts, 3)
    length: u32,
    part: u32,
    parts: u32,
    total: u32,
    #[define(E)] _dtype: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= total as usize {
        terminate!();
    }
    let row = at / parts as usize;
    let start = at % parts as usize * part as usize;
    let items = min(part as usize, length as usize - start);
    let part = accumulate::<E, N>(x, row * length as usize + start, 1usize, items);
    write(out, at, part);
}

/// One workgroup per row: merges `parts` (rows, count, 3) to `out` (rows, 3).
#[cube(launch_unchecked)]
fn shared_merge(parts: &[f32], out: &mut [f32], count: u32, rows: u32) {
    let row = min(CUBE_POS, rows as usize - 1);
    let unit = UNIT_POS as usize;
    let count = count as usize;
    let own = (count + MERGING - 1 - unit) / MERGING;
    let part = merge_lanes(merge_parts(parts, row * count + unit, MERGING, own), MERGING, MERGING);
    if unit == 0 {
        write(out, row, part);
    }
}

/// One invocation per row: merges `parts` (rows, count, 3) to `out` (rows, 3).
#[cube(launch_unchecked)]
fn lone_merge(parts: &[f32], out: &mut [f32], count: u32, rows: u32) {
    let row = ABSOLUTE_POS;
    if row >= rows as usize {
        terminate!();
    }
    let count = count as usize;
    write(out, row, merge_parts(parts, row * count, 1usize, count));
}

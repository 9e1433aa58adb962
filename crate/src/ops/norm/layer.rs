//! Layer norm's kernels: statistics and normalisation fused.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::{calculate_cube_count_elemwise, ir::ElemType};

use super::statistics::{accumulate, inverse_deviation, merge_lanes};
use crate::ops::Kernels;
use crate::ops::launch::{contiguous, float, output_of, vector, whole};

/// Invocations that share a token.
const LANES: usize = 32;
/// Invocations of a workgroup.
const UNITS: usize = 128;
/// Workgroup size if invocations work independently.
const ALONE: u32 = 16;

/// Normalises the last dimension of `x` to `result`.
pub(super) fn layer_norm(
    x: CubeTensor,
    [scale, shift]: [CubeTensor; 2],
    epsilon: f32,
    result: DType,
    kernels: Kernels,
) -> CubeTensor {
    let [x, scale, shift] = [x, scale, shift].map(contiguous);
    let shape = x.meta.shape().clone();
    let channels = shape[shape.num_dims() - 1];
    let rows = shape.num_elements() / channels;
    let vector = vector(channels);
    let out = output_of(&x, &shape, result);
    let (length, count) = ((channels / vector) as u32, rows as u32);
    // SAFETY: every argument is a whole contiguous tensor, in vectors that divide its rows.
    unsafe {
        let (input, target) = (whole(&x, vector), whole(&out, vector));
        let (scale_argument, shift_argument) = (whole(&scale, vector), whole(&shift, vector));
        let types = [float(&x), float(&scale), float(&out)];
        match kernels {
            Kernels::Hardware => shared_row::launch_unchecked(
                &x.client,
                calculate_cube_count_elemwise(&x.client, rows * LANES, CubeDim::new_1d(UNITS as u32)),
                CubeDim::new_1d(UNITS as u32),
                vector,
                input,
                scale_argument,
                shift_argument,
                target,
                length,
                count,
                epsilon,
                types,
            ),
            _ => lone_row::launch_unchecked(
                &x.client,
                calculate_cube_count_elemwise(&x.client, rows, CubeDim::new_1d(ALONE)),
                CubeDim::new_1d(ALONE),
                vector,
                input,
                scale_argument,
                shift_argument,
                target,
                length,
                count,
                epsilon,
                types,
            ),
        }
    }
    out
}

#[cube]
fn normalise<E: Float, W: Float, O: Float, N: Size>(
    x: Vector<E, N>,
    mean: f32,
    inverse: f32,
    scale: Vector<W, N>,
    shift: Vector<W, N>,
) -> Vector<O, N> {
    let normal = (Vector::<f32, N>::cast_from(x) - Vector::new(mean)) * Vector::new(inverse);
    Vector::cast_from(fma(normal, Vector::<f32, N>::cast_from(scale), Vector::<f32, N>::cast_from(shift)))
}

/// [`LANES`] invocations per token. Those beyond the last token repeat it instead of returning, since barriers follow.
#[cube(launch_unchecked)]
fn shared_row<E: Float, W: Float, O: Float, N: Size>(
    x: &[Vector<E, N>],       // (rows, length)
    scale: &[Vector<W, N>],   // (length)
    shift: &[Vector<W, N>],   // (length)
    out: &mut [Vector<O, N>], // (rows, length)
    length: u32,
    rows: u32,
    epsilon: f32,
    #[define(E, W, O)] _dtypes: [ElemType; 3],
) {
    let unit = UNIT_POS as usize;
    let lane = unit % LANES;
    let row = min(CUBE_POS * comptime!(UNITS / LANES) + unit / LANES, rows as usize - 1);
    let own = (length as usize + LANES - 1 - lane) / LANES;
    let first = row * length as usize + lane;
    let whole = merge_lanes(accumulate::<E, N>(x, first, LANES, own), LANES, UNITS);
    let inverse = inverse_deviation(&whole, epsilon);
    for i in 0..own {
        let at = i * LANES;
        out[first + at] =
            normalise::<E, W, O, N>(x[first + at], whole.mean, inverse, scale[lane + at], shift[lane + at]);
    }
}

/// One invocation per token.
#[cube(launch_unchecked)]
fn lone_row<E: Float, W: Float, O: Float, N: Size>(
    x: &[Vector<E, N>],       // (rows, length)
    scale: &[Vector<W, N>],   // (length)
    shift: &[Vector<W, N>],   // (length)
    out: &mut [Vector<O, N>], // (rows, length)
    length: u32,
    rows: u32,
    epsilon: f32,
    #[define(E, W, O)] _dtypes: [ElemType; 3],
) {
    let row = ABSOLUTE_POS;
    if row >= rows as usize {
        terminate!();
    }
    let length = length as usize;
    let first = row * length;
    let whole = accumulate::<E, N>(x, first, 1usize, length);
    let inverse = inverse_deviation(&whole, epsilon);
    for i in 0..length {
        out[first + i] = normalise::<E, W, O, N>(x[first + i], whole.mean, inverse, scale[i], shift[i]);
    }
}

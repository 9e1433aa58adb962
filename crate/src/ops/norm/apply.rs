//! The kernel that normalises a picture with the moments of its groups.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::{calculate_cube_count_elemwise, ir::ElemType};

use super::statistics::{inverse_deviation, read};
use crate::ops::Kernels;
use crate::ops::launch::{contiguous, float, output_of, vector, whole};

/// What a normalised picture becomes.
#[derive(Debug, Clone, Copy)]
pub struct Finish {
    /// Added to the variance.
    pub epsilon: f32,
    /// The result's type.
    pub result: DType,
    /// Whether `SiLU` follows.
    pub silu: bool,
}

/// (x − mean)·γ/σ + β as `result` for x `[batch, channels, height, width]`, with the moments `[batch, groups, 3]`.
pub(super) fn apply(
    x: CubeTensor,
    moments: CubeTensor,
    [scale, shift]: [CubeTensor; 2],
    Finish { epsilon, result, silu }: Finish,
    kernels: Kernels,
) -> CubeTensor {
    let [x, moments, scale, shift] = [x, moments, scale, shift].map(contiguous);
    let shape = x.meta.shape().clone();
    let (planes, channels, groups) = (shape[0] * shape[1], shape[1], moments.meta.shape()[1]);
    let elements = shape[2] * shape[3];
    let vector = vector(elements);
    let plane = elements / vector;
    let out = output_of(&x, &shape, result);
    // A GPU coalesces reads of neighbouring invocations. A processor computes the indices' divisions only once per run.
    let (run, units) = if kernels == Kernels::Hardware { (1, 256) } else { (16, 32) };
    let runs = plane.div_ceil(run);
    let dim = CubeDim::new_1d(units);
    // SAFETY: every argument is a whole contiguous tensor, pictures in vectors that divide their planes.
    unsafe {
        normalise::launch_unchecked(
            &x.client,
            calculate_cube_count_elemwise(&x.client, planes * runs, dim),
            dim,
            vector,
            whole(&x, vector),
            whole(&moments, 1),
            whole(&scale, 1),
            whole(&shift, 1),
            whole(&out, vector),
            plane as u32,
            channels as u32,
            (channels / groups) as u32,
            runs as u32,
            (planes * runs) as u32,
            epsilon,
            run,
            plane.is_multiple_of(run),
            silu,
            [float(&x), float(&scale), float(&out)],
        );
    }
    out
}

/// x·sigmoid(x). The exponential is kept finite: in WGSL, arithmetic with infinities may give any result.
#[cube]
fn silu_of<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let one = Vector::new(1.0f32);
    x / (one + (-max(x, Vector::new(-80.0f32))).exp())
}

/// One invocation per run of a plane, `run` vectors at most.
#[cube(launch_unchecked)]
fn normalise<E: Float, W: Float, O: Float, N: Size>(
    x: &[Vector<E, N>],       // (batch, channels, plane)
    moments: &[f32],          // (batch, groups, 3)
    scale: &[W],              // (channels)
    shift: &[W],              // (channels)
    out: &mut [Vector<O, N>], // (batch, channels, plane)
    plane: u32,
    channels: u32,
    group_channels: u32,
    runs: u32,
    total: u32,
    epsilon: f32,
    #[comptime] run: usize,
    #[comptime] exact: bool,
    #[comptime] silu: bool,
    #[define(E, W, O)] _dtypes: [ElemType; 3],
) {
    let at = ABSOLUTE_POS;
    if at >= total as usize {
        terminate!();
    }
    let index = at / runs as usize;
    let within = at % runs as usize * run;
    let channel = index % channels as usize;
    let group = read(moments, index / group_channels as usize);
    let inverse = inverse_deviation(&group, epsilon);
    let mean = Vector::<f32, N>::new(group.mean);
    let factor = Vector::<f32, N>::new(inverse * f32::cast_from(scale[channel]));
    let shift = Vector::<f32, N>::new(f32::cast_from(shift[channel]));
    let first = index * plane as usize + within;
    let length = if comptime!(exact) { run.runtime() } else { min(run.runtime(), plane as usize - within) };
    for i in 0..length {
        // Not x·factor + (β − mean·factor): that would cancel where the mean is large.
        let normal = fma(Vector::<f32, N>::cast_from(x[first + i]) - mean, factor, shift);
        let value = if comptime!(silu) { silu_of::<N>(normal) } else { normal };
        out[first + i] = Vector::cast_from(value);
    }
}

//! Elementwise operations as one kernel each.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;
use cubecl::{calculate_cube_count_elemwise, ir::ElemType};

use crate::ops::Kernels;
use crate::ops::launch::{contiguous, float, output, vector, whole};

#[backend_extension(Cube)]
trait ElementwiseOps: Backend {
    fn elementwise_geglu(x: FloatTensor<Self>, kernels: Kernels) -> FloatTensor<Self>;
}

impl ElementwiseOps for CubeBackend {
    fn elementwise_geglu(x: FloatTensor<Self>, kernels: Kernels) -> FloatTensor<Self> {
        let x = contiguous(x);
        let [batch, tokens, width] = [0, 1, 2].map(|i| x.meta.shape()[i]);
        let inner = width / 2;
        let vector = vector(inner);
        let out = output(&x, &[batch, tokens, inner]);
        let items = inner / vector;
        let total = batch * tokens * items;
        let dim = CubeDim::new_1d(if kernels == Kernels::Hardware { 256 } else { 32 });
        // SAFETY: both arguments are whole contiguous tensors, in vectors that divide half a row.
        unsafe {
            multiply::launch_unchecked(
                &x.client,
                calculate_cube_count_elemwise(&x.client, total, dim),
                dim,
                vector,
                whole(&x, vector),
                whole(&out, vector),
                items as u32,
                total as u32,
                float(&x),
            );
        }
        out
    }
}

/// As [`super::geglu`].
pub(super) fn geglu(x: Tensor<3>, kernels: Kernels) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as ElementwiseOps>::elementwise_geglu(x.into_dispatch(), kernels))
}

/// Exact gelu, x/2·(1 + erf(x/√2)). x is clamped in erf, so that its squares stay finite: beyond ±12, gelu is x or 0 in f32.
#[cube]
pub fn gelu<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let bound = Vector::new(12.0f32);
    let near = min(max(x, -bound), bound);
    let erf = (near * Vector::new(comptime!(std::f32::consts::FRAC_1_SQRT_2))).erf();
    x * Vector::new(0.5f32) * (Vector::new(1.0f32) + erf)
}

#[cube(launch_unchecked)]
fn multiply<E: Float, N: Size>(
    x: &[Vector<E, N>],       // (batch, tokens, 2·items)
    out: &mut [Vector<E, N>], // (batch, tokens, items)
    items: u32,
    total: u32,
    #[define(E)] _dtype: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= total as usize {
        terminate!();
    }
    let row = at / items as usize;
    let hidden = at + row * items as usize;
    let gate = Vector::<f32, N>::cast_from(x[hidden + items as usize]);
    out[at] = Vector::cast_from(Vector::<f32, N>::cast_from(x[hidden]) * gelu::<N>(gate));
}

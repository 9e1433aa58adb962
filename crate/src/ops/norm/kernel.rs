//! The norms' kernels as operations of the GPU backend.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;

use super::apply::{self, Finish};
use super::{Affine, Moments, layer, moments};
use crate::ops::Kernels;

#[backend_extension(Cube)]
trait NormOps: Backend {
    fn norm_moments(x: FloatTensor<Self>, groups: usize, kernels: Kernels) -> FloatTensor<Self>;
    fn norm_merge(parts: FloatTensor<Self>, rows: [usize; 2], kernels: Kernels) -> FloatTensor<Self>;
    fn norm_apply(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        finish: Finish,
        kernels: Kernels,
    ) -> FloatTensor<Self>;
    fn norm_layer(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
        result: DType,
        kernels: Kernels,
    ) -> FloatTensor<Self>;
}

impl NormOps for CubeBackend {
    fn norm_moments(x: FloatTensor<Self>, groups: usize, kernels: Kernels) -> FloatTensor<Self> {
        moments::moments(x, groups, kernels)
    }

    fn norm_merge(parts: FloatTensor<Self>, rows: [usize; 2], kernels: Kernels) -> FloatTensor<Self> {
        moments::merged(parts, rows, kernels)
    }

    fn norm_apply(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        finish: Finish,
        kernels: Kernels,
    ) -> FloatTensor<Self> {
        apply::apply(x, moments, [scale, shift], finish, kernels)
    }

    fn norm_layer(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f32,
        result: DType,
        kernels: Kernels,
    ) -> FloatTensor<Self> {
        layer::layer_norm(x, [scale, shift], epsilon, result, kernels)
    }
}

/// As [`super::group_moments`].
pub(super) fn group_moments(x: Tensor<4>, groups: usize, kernels: Kernels) -> Moments {
    Moments(Tensor::from_dispatch(<Dispatch as NormOps>::norm_moments(x.into_dispatch(), groups, kernels)))
}

/// As [`super::merge_moments`], for `[batch, groups, parts, 3]`.
pub(super) fn merge_moments(parts: Tensor<4>, kernels: Kernels) -> Moments {
    let [batch, groups, ..] = parts.dims();
    Moments(Tensor::from_dispatch(<Dispatch as NormOps>::norm_merge(parts.into_dispatch(), [batch, groups], kernels)))
}

/// As [`super::group_apply`].
pub(super) fn group_apply(x: Tensor<4>, moments: &Moments, affine: Affine, silu: bool, kernels: Kernels) -> Tensor<4> {
    let finish = Finish { epsilon: affine.epsilon as f32, result: affine.result(x.dtype()), silu };
    Tensor::from_dispatch(<Dispatch as NormOps>::norm_apply(
        x.into_dispatch(),
        moments.0.clone().into_dispatch(),
        affine.scale.into_dispatch(),
        affine.shift.into_dispatch(),
        finish,
        kernels,
    ))
}

/// As [`super::layer_norm`].
pub(super) fn layer_norm(x: Tensor<3>, affine: Affine, kernels: Kernels) -> Tensor<3> {
    let result = affine.result(x.dtype());
    Tensor::from_dispatch(<Dispatch as NormOps>::norm_layer(
        x.into_dispatch(),
        affine.scale.into_dispatch(),
        affine.shift.into_dispatch(),
        affine.epsilon as f32,
        result,
        kernels,
    ))
}

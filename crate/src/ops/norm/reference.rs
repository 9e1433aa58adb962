//! Norms in burn's operations.

use burn::tensor::{Tensor, activation};

use super::Affine;

/// As [`super::group_norm`].
pub fn group_norm(x: Tensor<4>, affine: Affine, groups: usize, silu: bool) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let per_channel = |values: Tensor<1>| values.reshape([1, channels, 1, 1]);
    let grouped = x.reshape([batch, groups, channels / groups * height * width]);
    let normal = standardise(grouped, affine.epsilon).reshape([batch, channels, height, width]);
    let out = normal * per_channel(affine.scale) + per_channel(affine.shift);
    if silu { activation::silu(out) } else { out }
}

/// As [`super::layer_norm`].
pub fn layer_norm(x: Tensor<3>, affine: Affine) -> Tensor<3> {
    let channels = x.dims()[2];
    let per_channel = |values: Tensor<1>| values.reshape([1, 1, channels]);
    standardise(x, affine.epsilon) * per_channel(affine.scale) + per_channel(affine.shift)
}

/// Zero mean and unit variance along the last dimension.
fn standardise(x: Tensor<3>, epsilon: f64) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    centred / variance.add_scalar(epsilon).sqrt()
}

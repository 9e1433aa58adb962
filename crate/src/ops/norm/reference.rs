//! Norms in burn's operations.

use burn::tensor::{DType, FloatDType, Tensor, activation, module};

use super::{Affine, Moments};

/// As [`super::group_moments`]. Each row of pixels first gets moments of its own, for two reasons: short sums lose fewer digits,
/// and some adapters (lavapipe) leave any loop after 65,535 iterations, including the one in burn's sum.
pub fn group_moments(x: Tensor<4>, groups: usize) -> Moments {
    let [batch, channels, height, width] = x.dims();
    let x = wide(x).reshape([batch, groups, channels / groups * height, width]);
    let mean = x.clone().mean_dim(3);
    let squares = (x - mean.clone()).square().sum_dim(3);
    let count = mean.full_like(width as f64);
    merge_moments(Tensor::cat(vec![count, mean, squares], 3))
}

/// As [`super::merge_moments`], for `[batch, groups, parts, 3]`.
pub fn merge_moments(parts: Tensor<4>) -> Moments {
    let [batch, groups, count, _] = parts.dims();
    let field = |i| parts.clone().narrow(3, i, 1).reshape([batch, groups, count]);
    let (counts, means, squares) = (field(0), field(1), field(2));
    let total = counts.clone().sum_dim(2);
    // Relative to the first part's mean: far from zero, a sum of weighted means would lose digits.
    let first = means.clone().narrow(2, 0, 1);
    let mean = first.clone() + ((means.clone() - first) * counts.clone()).sum_dim(2) / total.clone();
    let between = ((means - mean.clone()).square() * counts).sum_dim(2);
    Moments(Tensor::cat(vec![total, mean, squares.sum_dim(2) + between], 2))
}

/// As [`super::group_apply`].
pub fn group_apply(x: Tensor<4>, Moments(moments): &Moments, affine: Affine, silu: bool) -> Tensor<4> {
    let dtype: FloatDType = affine.result(x.dtype()).into();
    let [batch, channels, height, width] = x.dims();
    let groups = moments.dims()[1];
    let field = |i| moments.clone().narrow(2, i, 1);
    let (mean, variance) = (field(1), field(2) / field(0));
    let deviation = variance.add_scalar(affine.epsilon).sqrt();
    let grouped = wide(x).reshape([batch, groups, channels / groups * height * width]);
    let normal = ((grouped - mean) / deviation).reshape([batch, channels, height, width]);
    let per_channel = |values: Tensor<1>| wide(values).reshape([1, channels, 1, 1]);
    let out = normal * per_channel(affine.scale) + per_channel(affine.shift);
    let out = if silu { activation::silu(out) } else { out };
    if FloatDType::from(out.dtype()) == dtype { out } else { out.cast(dtype) }
}

/// As [`super::layer_norm`].
pub fn layer_norm(x: Tensor<3>, affine: Affine) -> Tensor<3> {
    let dtype: FloatDType = affine.result(x.dtype()).into();
    let x = wide(x);
    // Subtracting the first channel changes only the rounding: far from zero, burn's sum on a GPU would lose digits.
    let first = x.clone().narrow(2, 0, 1);
    let out = module::layer_norm(x - first, wide(affine.scale), Some(wide(affine.shift)), affine.epsilon);
    if FloatDType::from(out.dtype()) == dtype { out } else { out.cast(dtype) }
}

/// Widens f16 to f32: f16 can represent neither a sum of squares nor a count of pixels.
fn wide<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dtype() == DType::F16 { x.cast(FloatDType::F32) } else { x }
}

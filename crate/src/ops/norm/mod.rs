//! Group norm with an optional `SiLU`, and layer norm.

mod reference;

use burn::tensor::Tensor;

/// Scale and shift of a norm, `[channels]` each.
#[derive(Debug, Clone)]
pub struct Affine {
    /// γ.
    pub scale: Tensor<1>,
    /// β.
    pub shift: Tensor<1>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Group norm of `[batch, channels, height, width]` over `groups` groups of channels, followed by `SiLU` if `silu`.
pub fn group_norm(x: Tensor<4>, affine: Affine, groups: usize, silu: bool) -> Tensor<4> {
    reference::group_norm(x, affine, groups, silu)
}

/// Layer norm of `[batch, tokens, channels]` over its channels.
pub fn layer_norm(x: Tensor<3>, affine: Affine) -> Tensor<3> {
    reference::layer_norm(x, affine)
}

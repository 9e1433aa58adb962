//! Group norm with an optional `SiLU`, and layer norm. Statistics are f32 at least, whatever the type of the data.
//!
//! Group norm has two passes, which can also be called separately: if a picture is computed in bands of rows, each band yields
//! its own moments, and these are merged before any band is normalised.

#[cfg(feature = "gpu")]
mod apply;
#[cfg(feature = "processor")]
mod host;
#[cfg(feature = "gpu")]
mod kernel;
#[cfg(feature = "gpu")]
mod layer;
#[cfg(feature = "gpu")]
mod moments;
mod reference;
#[cfg(feature = "gpu")]
mod statistics;

use burn::tensor::{DType, Tensor};

#[cfg(feature = "processor")]
use super::clock::timed;
use super::{Kernels, family, kernels};

/// Scale and shift of a norm, `[channels]` each.
#[derive(Debug, Clone)]
pub struct Affine {
    /// γ.
    pub scale: Tensor<1>,
    /// β.
    pub shift: Tensor<1>,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the result is f16, whatever the type of the data: what the layers after the norm compute in.
    pub halves: bool,
}

impl Affine {
    /// The type of the result for data of type `dtype`.
    fn result(&self, dtype: DType) -> DType {
        if self.halves { DType::F16 } else { dtype }
    }
}

/// Count, mean and sum of squared deviations of each group, `[batch, groups, 3]`, on the device.
#[derive(Debug, Clone)]
pub struct Moments(Tensor<3>);

impl Moments {
    /// The moments as a tensor, f32 or f64.
    pub fn values(&self) -> Tensor<3> {
        self.0.clone()
    }
}

/// Group norm of `[batch, channels, height, width]` over `groups` groups of channels, followed by `SiLU` if `silu`.
/// `groups` divides the channels.
pub fn group_norm(x: Tensor<4>, affine: Affine, groups: usize, silu: bool) -> Tensor<4> {
    let moments = group_moments(x.clone(), groups);
    group_apply(x, &moments, affine, silu)
}

/// The first pass of [`group_norm`].
pub fn group_moments(x: Tensor<4>, groups: usize) -> Moments {
    match family(&x) {
        Kernels::Reference => reference::group_moments(x, groups),
        #[cfg(feature = "processor")]
        Kernels::Processor => timed("norms", || host::group_moments(x, groups)),
        #[cfg(feature = "gpu")]
        chosen => kernel::group_moments(x, groups, chosen),
    }
}

/// Merges the moments of a picture's parts, at least one, to those of the whole (Chan, Golub and `LeVeque` 1983).
pub fn merge_moments(parts: Vec<Moments>) -> Moments {
    let parts: Tensor<4> = Tensor::stack(parts.into_iter().map(|part| part.0).collect(), 2);
    match kernels(&parts.device()) {
        #[cfg(feature = "gpu")]
        chosen @ (Kernels::Software | Kernels::Hardware) => kernel::merge_moments(parts, chosen),
        _ => reference::merge_moments(parts),
    }
}

/// The second pass of [`group_norm`]: normalises `x`, a whole picture or a part, with the moments of the whole.
pub fn group_apply(x: Tensor<4>, moments: &Moments, affine: Affine, silu: bool) -> Tensor<4> {
    match family(&x) {
        Kernels::Reference => reference::group_apply(x, moments, affine, silu),
        #[cfg(feature = "processor")]
        Kernels::Processor => timed("norms", || host::group_apply(x, moments, affine, silu)),
        #[cfg(feature = "gpu")]
        chosen => kernel::group_apply(x, moments, affine, silu, chosen),
    }
}

/// Layer norm of `[batch, tokens, channels]` over its channels.
pub fn layer_norm(x: Tensor<3>, affine: Affine) -> Tensor<3> {
    match family(&x) {
        Kernels::Reference => reference::layer_norm(x, affine),
        #[cfg(feature = "processor")]
        Kernels::Processor => timed("norms", || host::layer_norm(x, affine)),
        #[cfg(feature = "gpu")]
        chosen => kernel::layer_norm(x, affine, chosen),
    }
}

//! Elementwise operations.

#[cfg(feature = "gpu")]
mod kernel;
mod reference;

use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::Kernels;
use super::kernels;
#[cfg(feature = "gpu")]
pub(super) use kernel::gelu;

/// GEGLU (Shazeer 2020) of `[batch, tokens, 2·inner]`, to `[batch, tokens, inner]`: the first half times the exact gelu of the
/// second.
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    match kernels(&x.device()) {
        #[cfg(feature = "gpu")]
        chosen @ (Kernels::Software | Kernels::Hardware) => kernel::geglu(x, chosen),
        _ => reference::geglu(x),
    }
}

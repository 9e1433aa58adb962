//! Elementwise operations.

mod kernel;
mod reference;

use burn::tensor::Tensor;

use super::{Kernels, kernels};
pub(super) use kernel::gelu;

/// GEGLU (Shazeer 2020) of `[batch, tokens, 2·inner]`, to `[batch, tokens, inner]`: the first half times the exact gelu of the
/// second.
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    match kernels(&x.device()) {
        Kernels::Reference => reference::geglu(x),
        chosen => kernel::geglu(x, chosen),
    }
}

//! What is computed element by element.

mod kernel;
mod reference;

use burn::tensor::Tensor;

use super::{Kernels, kernels};
pub(super) use kernel::gelu;

/// `[batch, tokens, 2·inner]` to `[batch, tokens, inner]`: the first half times gelu (the exact one) of the second
/// (Shazeer 2020, GEGLU).
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    match kernels(&x.device()) {
        Kernels::Reference => reference::geglu(x),
        chosen => kernel::geglu(x, chosen),
    }
}

//! Elementwise operations in burn's operations.

use burn::tensor::{DType, FloatDType, Tensor, activation};

/// As [`super::geglu`].
pub fn geglu(x: Tensor<3>) -> Tensor<3> {
    if x.dtype() == DType::F16 {
        return geglu(x.cast(FloatDType::F32)).cast(FloatDType::F16);
    }
    let inner = x.dims()[2] / 2;
    let (hidden, gate) = (x.clone().narrow(2, 0, inner), x.narrow(2, inner, inner));
    hidden * activation::gelu(gate)
}

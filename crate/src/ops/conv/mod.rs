//! Two-dimensional convolution, optionally with nearest upsampling before it and a residual after it.

#[cfg(feature = "processor")]
mod host;
mod reference;
#[cfg(feature = "processor")]
mod winograd;

#[cfg(feature = "gpu")]
use burn::backend::Dispatch;
use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::gemm::{ProductOps, factors};
pub use super::geometry::Geometry;
use super::weight::Weight;
use super::{Kernels, family};

/// Operands of a convolution.
#[derive(Debug, Clone)]
pub struct Convolve<'a> {
    /// Pictures, `[batch, in, height, width]`.
    pub x: Tensor<4>,
    /// Weights `[out, in·kernel²]`.
    pub weight: &'a Weight,
    /// Bias, `[1, out]` for all pictures or `[batch, out]`.
    pub bias: Tensor<2>,
    /// Added to the result, in its shape. The result has its type; without one, that of `x`.
    pub residual: Option<Tensor<4>>,
    /// Kernel, stride, padding and upsampling.
    pub geometry: Geometry,
}

/// Convolves to `[batch, out, …]`.
pub fn conv2d(operands: Convolve) -> Tensor<4> {
    match family(&operands.x) {
        Kernels::Reference => reference::conv2d(operands),
        #[cfg(feature = "processor")]
        Kernels::Processor => host::conv2d(operands),
        #[cfg(feature = "gpu")]
        family => {
            let Convolve { x, weight, bias, residual, geometry } = operands;
            let factors = factors(x, weight.stored(), weight.shape(), Some(bias), residual);
            Tensor::from_dispatch(<Dispatch as ProductOps>::conv(factors, geometry, family))
        }
    }
}

//! Linear layers, optionally with GEGLU or a residual after them.

#[cfg(feature = "processor")]
mod host;
mod reference;

#[cfg(feature = "gpu")]
use burn::backend::Dispatch;
use burn::tensor::Tensor;

#[cfg(feature = "processor")]
use super::clock::timed;
#[cfg(feature = "gpu")]
use super::elementwise::geglu;
#[cfg(feature = "gpu")]
use super::gemm::{ProductOps, factors};
use super::weight::Weight;
use super::{Kernels, family};

/// Operands of a linear layer.
#[derive(Debug, Clone)]
pub struct Multiply<'a, const D: usize> {
    /// Activations `[…, in]`.
    pub x: Tensor<D>,
    /// Weights `[out, in]`.
    pub weight: &'a Weight,
    /// Bias `[out]`.
    pub bias: Option<Tensor<1>>,
    /// Added to the result, in its shape. The result has its type; without one, that of `x`.
    pub residual: Option<Tensor<D>>,
    /// GEGLU (Shazeer 2020): multiplies the left half of the result by gelu of its right half.
    pub geglu: bool,
}

/// x·Wᵀ + b, `[…, out]`, or half as wide with GEGLU.
pub fn linear<const D: usize>(operands: Multiply<'_, D>) -> Tensor<D> {
    match family(&operands.x) {
        Kernels::Reference => reference::linear(operands),
        #[cfg(feature = "processor")]
        Kernels::Processor => timed("linear layers", || host::linear(operands)),
        #[cfg(feature = "gpu")]
        // An invocation's register tile does not have hidden columns together with their gates, so GEGLU is a separate kernel.
        Kernels::Software if operands.geglu => {
            let residual = operands.residual.clone();
            let both = linear(Multiply { geglu: false, residual: None, ..operands });
            let mut shape = both.dims();
            let width = shape[D - 1];
            let rows = shape.iter().product::<usize>() / width;
            shape[D - 1] = width / 2;
            let out = geglu(both.reshape([1, rows, width])).reshape(shape);
            match residual {
                Some(residual) => out.cast(residual.dtype()) + residual,
                None => out,
            }
        }
        #[cfg(feature = "gpu")]
        family => {
            let Multiply { x, weight, bias, residual, geglu } = operands;
            let factors = factors(x, weight.stored(), weight.shape(), bias, residual);
            Tensor::from_dispatch(<Dispatch as ProductOps>::linear(factors, geglu, family))
        }
    }
}

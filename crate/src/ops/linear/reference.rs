//! Linear layers in burn's operations.

use burn::tensor::{DType, Tensor, activation, module};

use super::Multiply;

/// As [`super::linear`].
pub fn linear<const D: usize>(Multiply { x, weight, bias, residual, geglu }: Multiply<'_, D>) -> Tensor<D> {
    if x.dtype() == DType::F16 {
        // burn multiplies only operands of the same type, and accumulates in it.
        let result = residual.as_ref().map_or(DType::F16, Tensor::dtype);
        let wide = |x: Tensor<D>| x.cast(DType::F32);
        let operands = Multiply { x: wide(x), weight, bias, residual: residual.map(wide), geglu };
        return linear(operands).cast(result);
    }
    let mut out = module::linear(x, weight.values().transpose(), bias);
    if geglu {
        let inner = out.dims()[D - 1] / 2;
        let (hidden, gate) = (out.clone().narrow(D - 1, 0, inner), out.narrow(D - 1, inner, inner));
        out = hidden * activation::gelu(gate);
    }
    match residual {
        Some(residual) => out + residual,
        None => out,
    }
}

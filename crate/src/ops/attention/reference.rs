//! Attention in burn's operations.

use burn::tensor::{DType, Tensor, activation};

use super::Attend;

/// Largest score matrix; a larger one is computed in bands of query rows. WebGPU's default limit for a binding is 128 MiB, and
/// softmax keeps a few such bands alive at once.
const SCORE_BYTES: usize = 16 << 20;

/// [`super::attention`] without groups; f16 operands are widened, as in the kernels.
pub fn attention(Attend { q, blend, k, v, scale, .. }: Attend) -> Tensor<4> {
    if q.dtype() == DType::F16 {
        let wide = |x: Tensor<4>| x.cast(DType::F32);
        let blend = blend.map(|(other, gamma)| (wide(other), gamma));
        return attention(Attend { q: wide(q), blend, k: wide(k), v: wide(v), scale, groups: None }).cast(DType::F16);
    }
    let q = match blend {
        Some((other, gamma)) => other.mul_scalar(gamma) + q.mul_scalar(1.0 - gamma),
        None => q,
    };
    let [batch, heads, tokens, _] = q.dims();
    let keys = k.dims()[2];
    let transposed = k.swap_dims(2, 3);
    let band = |q: Tensor<4>| {
        let scores = q.matmul(transposed.clone()).mul_scalar(scale);
        activation::softmax(scores, 3).matmul(v.clone())
    };
    let rows = (SCORE_BYTES / (4 * batch * heads * keys)).clamp(1, tokens);
    if rows == tokens {
        return band(q);
    }
    Tensor::cat(q.split(rows, 2).into_iter().map(band).collect(), 2)
}

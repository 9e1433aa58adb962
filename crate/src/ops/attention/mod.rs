//! softmax(scale · q·kᵀ)·v, with `StyleID`'s blend of two queries inside.
//!
//! The kernels keep a running softmax, so no score matrix is ever stored, and memory grows linearly with the tokens.

mod hardware;
mod launch;
mod layout;
mod reference;
mod software;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{Kernels, kernels};
use launch::{AttentionOps, VECTOR};

/// Operands of one attention, each `[batch, heads, tokens, head_dim]`, f32 or f16; the kernels compute in f32.
#[derive(Debug, Clone)]
pub struct Attend {
    /// Queries.
    pub q: Tensor<4>,
    /// Other queries of the same shape and their share γ: attends with γ·other + (1 − γ)·q (paper, equation 5).
    pub blend: Option<(Tensor<4>, f32)>,
    /// Keys; may have another number of tokens than the queries.
    pub k: Tensor<4>,
    /// Values, as many tokens as the keys.
    pub v: Tensor<4>,
    /// Multiplies the scores: T/√`head_dim`.
    pub scale: f32,
}

/// Attention, `[batch, heads, tokens, head_dim]` of the queries.
///
/// Operands may be views of `[batch, tokens, heads·head_dim]`. So is the output of the kernels: joining its heads copies
/// nothing.
pub fn attention(operands: Attend) -> Tensor<4> {
    let head_dim = operands.q.dims()[3];
    let software = match kernels(&operands.q.device()) {
        Kernels::Reference => return reference::attention(operands),
        Kernels::Software => true,
        Kernels::Hardware => head_dim > launch::WIDEST,
    };
    let Attend { q, blend, k, v, scale } = operands;
    let [q, k, v] = [q, k, v].map(|x| pad(x).into_dispatch());
    let out = match blend {
        None => Dispatch::attend(q, k, v, scale, software),
        Some((other, gamma)) => Dispatch::attend_blended(q, pad(other).into_dispatch(), gamma, k, v, scale, software),
    };
    Tensor::<4>::from_dispatch(out).narrow(3, 0, head_dim).swap_dims(1, 2)
}

/// Zeros after each head's numbers, up to a whole vector; they change no score.
fn pad(x: Tensor<4>) -> Tensor<4> {
    let [batch, heads, tokens, head_dim] = x.dims();
    let missing = head_dim.next_multiple_of(VECTOR) - head_dim;
    if missing == 0 {
        return x;
    }
    let zeros = Tensor::zeros([batch, heads, tokens, missing], (&x.device(), x.dtype()));
    Tensor::cat(vec![x, zeros], 3)
}

//! softmax(scale · q·kᵀ)·v, with `StyleID`'s blend of two queries inside.

mod reference;

use burn::tensor::Tensor;

/// Operands of one attention, each `[batch, heads, tokens, head_dim]`.
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
pub fn attention(operands: Attend) -> Tensor<4> {
    reference::attention(operands)
}

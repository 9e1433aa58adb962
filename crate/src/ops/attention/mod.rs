//! Attention, softmax(scale · q·kᵀ)·v, with `StyleID`'s blend of two queries.
//!
//! The kernels use the online softmax of `FlashAttention`: no score matrix is stored, so memory grows linearly with the tokens.

mod groups;
#[cfg(feature = "gpu")]
mod hardware;
#[cfg(feature = "processor")]
mod host;
#[cfg(feature = "gpu")]
mod launch;
#[cfg(feature = "gpu")]
mod layout;
mod reference;
#[cfg(feature = "gpu")]
mod software;

#[cfg(feature = "gpu")]
use burn::backend::Dispatch;
use burn::tensor::Tensor;

#[cfg(feature = "processor")]
use super::clock::timed;
use super::{Kernels, family};
pub use groups::Groups;
#[cfg(feature = "gpu")]
use groups::VECTOR;
#[cfg(feature = "gpu")]
use launch::AttentionOps;

/// Operands of attention, each `[batch, heads, tokens, head_dim]`, f32 or f16; the kernels compute in f32.
#[derive(Debug, Clone)]
pub struct Attend {
    /// Queries.
    pub q: Tensor<4>,
    /// A second query operand of the same shape and its share γ: attends with γ·other + (1 − γ)·q (paper, equation 5).
    pub blend: Option<(Tensor<4>, f32)>,
    /// Keys; their number may differ from that of the queries.
    pub k: Tensor<4>,
    /// Values, as many as keys.
    pub v: Tensor<4>,
    /// Multiplies the scores: T/√`head_dim`.
    pub scale: f32,
    /// Logarithmic weights of groups of keys, which are added to the scores.
    pub groups: Option<Groups>,
}

/// Attention: `[batch, heads, tokens, head_dim]`, with the queries' tokens and the values' head dim.
///
/// Operands may be views of `[batch, tokens, heads·head_dim]`. The kernels' output is such a view too, so joining its heads
/// copies nothing.
pub fn attention(operands: Attend) -> Tensor<4> {
    let operands = with_columns(operands);
    match family(&operands.q) {
        Kernels::Reference => reference::attention(operands),
        #[cfg(feature = "processor")]
        Kernels::Processor => timed("attention", || host::attention(operands)),
        #[cfg(feature = "gpu")]
        family => on_gpu(operands, family),
    }
}

#[cfg(feature = "gpu")]
fn on_gpu(operands: Attend, family: Kernels) -> Tensor<4> {
    let head_dim = operands.v.dims()[3];
    let width = operands.q.dims()[3].next_multiple_of(VECTOR);
    let software = family == Kernels::Software || width > launch::WIDEST;
    let Attend { q, blend, k, v, scale, .. } = operands;
    let [q, k, v] = [q, k, v].map(|x| pad(x, width).into_dispatch());
    let out = match blend {
        None => Dispatch::attend(q, k, v, scale, software),
        Some((other, gamma)) => {
            Dispatch::attend_blended(q, pad(other, width).into_dispatch(), gamma, k, v, scale, software)
        }
    };
    Tensor::<4>::from_dispatch(out).narrow(3, 0, head_dim).swap_dims(1, 2)
}

/// The same attention without groups: they become extra columns of queries and keys, which are then wider than the values.
fn with_columns(operands: Attend) -> Attend {
    let Attend { q, blend, k, v, scale, groups: Some(groups) } = operands else {
        return operands;
    };
    // Both query operands get the same columns, so blending leaves them unchanged.
    let blend = blend.map(|(other, gamma)| (groups.queries(other, scale), gamma));
    Attend { q: groups.queries(q, scale), blend, k: groups.keys(k, scale), v, scale, groups: None }
}

/// Zero-pads the head dim to `width`, which changes no score.
#[cfg(feature = "gpu")]
fn pad(x: Tensor<4>, width: usize) -> Tensor<4> {
    let [batch, heads, tokens, head_dim] = x.dims();
    if head_dim == width {
        return x;
    }
    let zeros = Tensor::zeros([batch, heads, tokens, width - head_dim], (&x.device(), x.dtype()));
    Tensor::cat(vec![x, zeros], 3)
}

//! Weights for groups of keys, as extra columns of queries and keys.
//!
//! The logarithm of a group's weight is added to the scores of its keys. Every query has these logarithms appended, every key a
//! one-hot row of its group, so their dot product contains the added term. Kernels need not know of groups.

use burn::tensor::Tensor;

/// Numbers to a vector of the kernels: head dims are padded to a multiple of it.
pub const VECTOR: usize = 4;

/// A query's value in the column of a group that weighs nothing: within f16's range, and its score is below all differences of
/// scores.
const NOTHING: f32 = -3e4;

/// Groups of keys and their logarithmic weights. Both tensors have [`Groups::columns`] columns, padded as head dims are; the
/// padding is zero.
#[derive(Debug, Clone)]
pub struct Groups {
    /// The logarithm of each group's weight, `[1, 1, queries or 1, columns]`; far below any score for a weight of zero.
    pub logs: Tensor<4>,
    /// 1 in the column of a key's group, else 0: `[1, 1, keys, columns]`.
    pub members: Tensor<4>,
}

impl Groups {
    /// Columns for this number of groups.
    pub fn columns(groups: usize) -> usize {
        groups.next_multiple_of(VECTOR)
    }

    /// A key's value in its group's column. It keeps both factors of the product within f16's range whatever the scale, and the
    /// score of `NOTHING` lower than scores differ by.
    fn unit(scale: f32) -> f32 {
        (0.1 / scale).clamp(64.0, 6e4)
    }

    /// Queries with the logarithms appended, for scores that are multiplied by `scale`.
    pub(super) fn queries(&self, q: Tensor<4>, scale: f32) -> Tensor<4> {
        let columns = self.logs.clone().div_scalar(scale * Self::unit(scale)).clamp_min(NOTHING);
        beside(q, columns)
    }

    /// Keys with their groups appended.
    pub(super) fn keys(&self, k: Tensor<4>, scale: f32) -> Tensor<4> {
        beside(k, self.members.clone().mul_scalar(Self::unit(scale)))
    }
}

/// Appends `columns`, the same for all batches and heads, to each token of `x`.
fn beside(x: Tensor<4>, columns: Tensor<4>) -> Tensor<4> {
    let [batch, heads, tokens, _] = x.dims();
    let [_, _, rows, width] = columns.dims();
    let columns = columns.cast(x.dtype()).repeat_dim(2, tokens / rows).repeat_dim(1, heads).repeat_dim(0, batch);
    debug_assert_eq!(columns.dims(), [batch, heads, tokens, width]);
    Tensor::cat(vec![x, columns], 3)
}

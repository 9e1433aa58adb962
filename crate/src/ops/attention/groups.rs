//! Keys in groups that weigh more or less, by columns that are added to queries and keys.
//!
//! A group's logarithm is added to the scores of its keys: a query gets the logarithms after its own numbers, a key gets
//! a one in its group's column, so that their product is what is added. No kernel knows of it.

use burn::tensor::Tensor;

use super::launch::VECTOR;

/// What is added to the scores of keys that count for nothing: more than scores differ by, and within f16 as a factor.
const NOTHING: f32 = -3e4;

/// Groups of keys and what is added to their scores. Both have [`Groups::columns`] columns, as wide as the head dim asks for,
/// those after the groups' all zero.
#[derive(Debug, Clone)]
pub struct Groups {
    /// The logarithm of each group's weight, `[1, 1, queries or 1, columns]`; below any score where it weighs nothing.
    pub logs: Tensor<4>,
    /// 1 in the column of a key's group, else 0: `[1, 1, keys, columns]`.
    pub members: Tensor<4>,
}

impl Groups {
    /// Columns for so many groups.
    pub fn columns(groups: usize) -> usize {
        groups.next_multiple_of(VECTOR)
    }

    /// What a key has in its group's column. The factors of a product are within f16 whatever the scale is, and what stands
    /// for nothing stays below what scores differ by.
    fn unit(scale: f32) -> f32 {
        (0.1 / scale).clamp(64.0, 6e4)
    }

    /// Queries with the logarithms beside them, of scores that are multiplied by `scale`.
    pub(super) fn queries(&self, q: Tensor<4>, scale: f32) -> Tensor<4> {
        let columns = self.logs.clone().div_scalar(scale * Self::unit(scale)).clamp_min(NOTHING);
        beside(q, columns)
    }

    /// Keys with their groups beside them.
    pub(super) fn keys(&self, k: Tensor<4>, scale: f32) -> Tensor<4> {
        beside(k, self.members.clone().mul_scalar(Self::unit(scale)))
    }
}

/// `columns`, the same for all batches and heads, after the numbers of each token.
fn beside(x: Tensor<4>, columns: Tensor<4>) -> Tensor<4> {
    let [batch, heads, tokens, _] = x.dims();
    let [_, _, rows, width] = columns.dims();
    let columns = columns.cast(x.dtype()).repeat_dim(2, tokens / rows).repeat_dim(1, heads).repeat_dim(0, batch);
    debug_assert_eq!(columns.dims(), [batch, heads, tokens, width]);
    Tensor::cat(vec![x, columns], 3)
}

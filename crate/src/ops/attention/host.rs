//! Attention on the processor: one block of queries at a time, whose scores stay in a core's cache.

use burn::tensor::Tensor;
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::Attend;
use crate::ops::host::{CACHED, Host, exp, sum, tensor, vectors};
use crate::ops::product::{Matrix, multiply, multiply_into};

/// Fewest blocks of a large attention, so that many cores have some. Blocks do not depend on the number of cores, since rounding
/// depends on them.
const TASKS: usize = 16;
/// Most queries of a block.
const MOST_QUERIES: usize = 64;

/// [`super::attention`] without groups, for f32.
pub fn attention(Attend { q, blend, k, v, scale, .. }: Attend) -> Tensor<4> {
    let [batch, heads, tokens, width] = q.dims();
    let (keys, head_dim) = (k.dims()[2], v.dims()[3]);
    let gamma = blend.as_ref().map_or(0.0, |(_, gamma)| *gamma);
    let (q, other) = (Host::view(q), blend.map(|(other, _)| Host::view(other)));
    // Strided views, no contiguous copies: a block's products read them only once for all of its queries.
    let [k, v] = [k, v].map(Host::view);
    let queries = (CACHED * 4 / keys).clamp(8, MOST_QUERIES).min(tokens.div_ceil(TASKS)).max(1);
    let row = heads * head_dim;
    let mut out = vec![0.0f32; batch * tokens * row];
    let (at_q, at_k, at_v) = (q.strides(), k.strides(), v.strides());
    let at_other = other.as_ref().map(Host::strides);
    for (picture, out) in out.chunks_mut(tokens * row).enumerate() {
        out.par_chunks_mut(queries * row).enumerate().for_each_init(
            || (vec![0.0f32; queries * width], vec![0.0f32; queries * keys]),
            |(asked, scores), (block, out)| {
                let count = out.len() / row;
                for head in 0..heads {
                    let from = |at: [usize; 4], token: usize| picture * at[0] + head * at[1] + token * at[2];
                    for (i, asked) in asked.chunks_mut(width).take(count).enumerate() {
                        let token = block * queries + i;
                        let own = &q.values()[from(at_q, token)..];
                        asked.iter_mut().enumerate().for_each(|(d, to)| *to = own[d * at_q[3]]);
                        if let (Some(other), Some(at)) = (&other, at_other) {
                            let theirs = &other.values()[from(at, token)..];
                            for (d, to) in asked.iter_mut().enumerate() {
                                *to = gamma * theirs[d * at[3]] + (1.0 - gamma) * *to;
                            }
                        }
                    }
                    let asked = Matrix { values: asked, row: width, column: 1 };
                    // Transposed: a column is a key.
                    let key = Matrix { values: &k.values()[from(at_k, 0)..], row: at_k[3], column: at_k[2] };
                    multiply([count, keys, width], (scores, keys), asked, key, false);
                    let mut sums = [0.0f32; MOST_QUERIES];
                    for (sum, scores) in sums.iter_mut().zip(scores.chunks_mut(keys)).take(count) {
                        *sum = vectors(Exponentials(scores, scale));
                    }
                    let shares = Matrix { values: scores, row: keys, column: 1 };
                    let value = Matrix { values: &v.values()[from(at_v, 0)..], row: at_v[2], column: at_v[3] };
                    assert!(head * head_dim + (count - 1) * row + head_dim <= out.len());
                    // SAFETY: only this closure has this block's rows of `out`, and the last row ends within them, as asserted.
                    unsafe {
                        let to = out.as_mut_ptr().add(head * head_dim);
                        multiply_into([count, head_dim, keys], (to, row), shares, value, false);
                    }
                    for (out, sum) in out.chunks_mut(row).zip(sums) {
                        let share = 1.0 / sum;
                        out[head * head_dim..][..head_dim].iter_mut().for_each(|value| *value *= share);
                    }
                }
            },
        );
    }
    tensor(out, [batch, tokens, heads, head_dim]).swap_dims(1, 2)
}

/// The numerators of one query's softmax: replaces each score s by exp(scale·s − largest), and returns their sum. Scores are
/// scaled here, not queries beforehand: that would round once more, which costs precision in scores of some thousands.
struct Exponentials<'a>(&'a mut [f32], f32);

// Not a closure: the compiler would not inline one of this size into the function that is compiled for wider vectors.
impl NullaryFnOnce for Exponentials<'_> {
    type Output = f32;

    #[inline(always)]
    fn call(self) -> f32 {
        let Self(scores, scale) = self;
        scores.iter_mut().for_each(|score| *score *= scale);
        let mut largest = [f32::NEG_INFINITY; 16];
        let chunks = scores.chunks_exact(16);
        let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for chunk in chunks {
            for (largest, &score) in largest.iter_mut().zip(chunk) {
                *largest = if score > *largest { score } else { *largest };
            }
        }
        let most = largest.into_iter().fold(rest, f32::max);
        scores.iter_mut().for_each(|score| *score = exp(*score - most));
        sum(scores, |value| value)
    }
}

#[cfg(test)]
mod tests {
    use super::{Attend, attention};
    use crate::ops::attention::reference;
    use crate::ops::host::{assert_near, assert_same_on_all_cores, random};

    #[test]
    fn it_is_the_references() {
        for (tokens, keys, width, head_dim) in [(1, 1, 4, 4), (5, 21, 8, 6), (130, 77, 40, 40), (67, 300, 12, 8)] {
            // Views of `[batch, tokens, heads, width]`, as in the model.
            let heads = |tokens, width, scale| random([2, tokens, 3, width], 0.0, scale).swap_dims(1, 2);
            for gamma in [None, Some(0.75)] {
                let operands = Attend {
                    q: heads(tokens, width, 2.0),
                    blend: gamma.map(|gamma| (heads(tokens, width, 1.0), gamma)),
                    k: heads(keys, width, 0.5),
                    v: heads(keys, head_dim, 3.0),
                    scale: 0.7,
                    groups: None,
                };
                assert_near(attention(operands.clone()), reference::attention(operands.clone()), 2e-5);
                assert_same_on_all_cores(|| attention(operands.clone()));
            }
        }
    }
}

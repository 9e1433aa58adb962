//! Attention for the processor posing as a GPU: every invocation attends with a few queries of its own over all keys.
//!
//! Nothing is shared and nothing waits. Keys and values are read at addresses that a whole workgroup has in common, which
//! software adapters turn into scalar loads. The running maximum, and with it what was summed so far, is corrected once a
//! block of keys.

use cubecl::prelude::*;

use super::layout::{Four, LOWEST, Layout, ScoreFactors, dot, query, row_of, start_of_head};

/// For narrow heads: `tile` queries of `width` vectors to an invocation, over blocks of `block` keys, queries and sums in
/// registers or on the stack. Heads and batches are the grid's y and z.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn held<F: Float>(
    q: &[Four<F>],
    other: ComptimeOption<&[Four<F>]>,
    k: &[Four<F>],
    v: &[Four<F>],
    out: &mut [Four<F>],
    layout: Layout,
    factors: ScoreFactors,
    #[comptime] width: usize,
    #[comptime] tile: usize,
    #[comptime] block: usize,
) {
    let end = layout.end as usize;
    let keys = layout.keys as usize;
    let first = layout.first as usize + ABSOLUTE_POS_X as usize * tile;
    if first >= end {
        terminate!();
    }
    let k_at = start_of_head(&layout, &layout.k);
    let v_at = start_of_head(&layout, &layout.v);

    let mut queries = Sequence::<Four<f32>>::new();
    let mut sums = Sequence::<RuntimeCell<Four<f32>>>::new();
    let mut largest = Sequence::<RuntimeCell<f32>>::new();
    let mut totals = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for i in 0..tile {
        // Queries past the end repeat the last; they are not written.
        let token = min(first + i, end - 1);
        #[unroll]
        for c in 0..width {
            queries.push(query(q, other, &layout, &factors, token, c));
            sums.push(RuntimeCell::new(Four::new(0.0f32)));
        }
        largest.push(RuntimeCell::new(LOWEST));
        totals.push(RuntimeCell::new(0.0f32));
    }

    for start in range_stepped(0usize, keys, block) {
        let mut scores = Sequence::<RuntimeCell<f32>>::new();
        #[unroll]
        for _ in 0..tile * block {
            scores.push(RuntimeCell::new(0.0f32));
        }
        #[unroll]
        for c in 0..width {
            #[unroll]
            for j in 0..block {
                let key = Four::<f32>::cast_from(k[k_at + min(start + j, keys - 1) * layout.k.token as usize + c]);
                #[unroll]
                for i in 0..tile {
                    let cell = scores.index(i * block + j);
                    cell.store(dot(*queries.index(i * width + c), key, cell.read()));
                }
            }
        }
        #[unroll]
        for i in 0..tile {
            let correction = weigh(&scores, largest.index(i), totals.index(i), factors.scale, keys - start, i, block);
            #[unroll]
            for c in 0..width {
                let sum = sums.index(i * width + c);
                sum.store(sum.read() * Four::new(correction));
            }
        }
        #[unroll]
        for c in 0..width {
            #[unroll]
            for j in 0..block {
                let value = Four::<f32>::cast_from(v[v_at + min(start + j, keys - 1) * layout.v.token as usize + c]);
                #[unroll]
                for i in 0..tile {
                    let sum = sums.index(i * width + c);
                    sum.store(fma(Four::new(scores.index(i * block + j).read()), value, sum.read()));
                }
            }
        }
    }

    #[unroll]
    for i in 0..tile {
        if first + i < end {
            let share = Four::new(1.0 / totals.index(i).read());
            let at = row_of(&layout, first + i, width);
            #[unroll]
            for c in 0..width {
                out[at + c] = Four::<F>::cast_from(sums.index(i * width + c).read() * share);
            }
        }
    }
}

/// For heads of any width: as [`held`], but queries are read again for every block, and the sums are kept in `out`, which
/// is f32 therefore. The code does not grow with the width, which would take minutes to compile.
///
/// Attends over keys `from..to` only, `from` a multiple of `block`; launches from the first key to the last follow each
/// other, and leave the running maximum and total of each query of each head in `state`.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn streamed<F: Float>(
    q: &[Four<F>],
    other: ComptimeOption<&[Four<F>]>,
    k: &[Four<F>],
    v: &[Four<F>],
    out: &mut [Four<f32>],
    state: &mut [f32],
    layout: Layout,
    factors: ScoreFactors,
    from: u32,
    to: u32,
    #[comptime] width: usize,
    #[comptime] tile: usize,
    #[comptime] block: usize,
) {
    let end = layout.end as usize;
    let keys = layout.keys as usize;
    let first = layout.first as usize + ABSOLUTE_POS_X as usize * tile;
    if first >= end {
        terminate!();
    }
    let k_at = start_of_head(&layout, &layout.k);
    let v_at = start_of_head(&layout, &layout.v);
    let mut largest = Sequence::<RuntimeCell<f32>>::new();
    let mut totals = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for i in 0..tile {
        let peak = RuntimeCell::<f32>::new(LOWEST);
        let total = RuntimeCell::<f32>::new(0.0f32);
        if from > 0 {
            let at = 2 * row_of(&layout, min(first + i, end - 1), 1usize);
            peak.store(state[at]);
            total.store(state[at + 1]);
        }
        largest.push(peak);
        totals.push(total);
    }

    for start in range_stepped(from as usize, to as usize, block) {
        let mut scores = Sequence::<RuntimeCell<f32>>::new();
        #[unroll]
        for _ in 0..tile * block {
            scores.push(RuntimeCell::new(0.0f32));
        }
        for c in 0..width {
            let mut queries = Sequence::<Four<f32>>::new();
            #[unroll]
            for i in 0..tile {
                queries.push(query(q, other, &layout, &factors, min(first + i, end - 1), c));
            }
            #[unroll]
            for j in 0..block {
                let key = Four::<f32>::cast_from(k[k_at + min(start + j, keys - 1) * layout.k.token as usize + c]);
                #[unroll]
                for i in 0..tile {
                    let cell = scores.index(i * block + j);
                    cell.store(dot(*queries.index(i), key, cell.read()));
                }
            }
        }
        let mut corrections = Sequence::<f32>::new();
        #[unroll]
        for i in 0..tile {
            corrections.push(weigh(&scores, largest.index(i), totals.index(i), factors.scale, keys - start, i, block));
        }
        // The last block of keys leaves the mean rather than the sum.
        let last = start + block >= keys;
        let mut shares = Sequence::<Four<f32>>::new();
        #[unroll]
        for i in 0..tile {
            shares.push(Four::new(select(last, 1.0 / totals.index(i).read(), 1.0f32)));
        }
        for c in 0..width {
            let mut sums = Sequence::<RuntimeCell<Four<f32>>>::new();
            #[unroll]
            for i in 0..tile {
                // What `out` holds before the first block is anything, numbers or not.
                let sum = RuntimeCell::<Four<f32>>::new(Four::new(0.0f32));
                if start > 0 {
                    let so_far = out[row_of(&layout, min(first + i, end - 1), width) + c];
                    sum.store(so_far * Four::new(*corrections.index(i)));
                }
                sums.push(sum);
            }
            #[unroll]
            for j in 0..block {
                let value = Four::<f32>::cast_from(v[v_at + min(start + j, keys - 1) * layout.v.token as usize + c]);
                #[unroll]
                for i in 0..tile {
                    let sum = sums.index(i);
                    sum.store(fma(Four::new(scores.index(i * block + j).read()), value, sum.read()));
                }
            }
            #[unroll]
            for i in 0..tile {
                if first + i < end {
                    out[row_of(&layout, first + i, width) + c] = sums.index(i).read() * *shares.index(i);
                }
            }
        }
    }

    if (to as usize) < keys {
        #[unroll]
        for i in 0..tile {
            if first + i < end {
                let at = 2 * row_of(&layout, first + i, 1usize);
                state[at] = largest.index(i).read();
                state[at + 1] = totals.index(i).read();
            }
        }
    }
}

/// Turns query `i`'s scores of one block into weights relative to the largest score so far, and adds them to its total.
/// Returns the factor that what was summed before this block needs now. Only the first `left` keys count.
#[cube]
fn weigh(
    scores: &Sequence<RuntimeCell<f32>>,
    largest: &RuntimeCell<f32>,
    total: &RuntimeCell<f32>,
    scale: f32,
    left: usize,
    #[comptime] i: usize,
    #[comptime] block: usize,
) -> f32 {
    let before = largest.read();
    #[unroll]
    for j in 0..block {
        let cell = scores.index(i * block + j);
        cell.store(select(j < left, cell.read() * scale, LOWEST));
        largest.store(max(largest.read(), cell.read()));
    }
    let now = largest.read();
    let correction = (before - now).exp();
    total.store(total.read() * correction);
    #[unroll]
    for j in 0..block {
        let cell = scores.index(i * block + j);
        cell.store((cell.read() - now).exp());
        total.store(total.read() + cell.read());
    }
    correction
}

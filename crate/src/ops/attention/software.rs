//! FlashAttention (Dao et al. 2022) for software adapters, which run shaders on the processor: every invocation attends with a
//! few queries of its own over all keys, with the online softmax of Milakov and Gimelshein (2018).
//!
//! There is no workgroup memory and no barrier. All invocations of a workgroup need the same keys and values at the same time.
//! Where they are one subgroup, each of its lanes loads another one and hands it to the others, because a load that is the same
//! for all lanes takes these adapters as long as one that differs. The running maximum rises, and the output so far is rescaled,
//! once a block of keys.

use cubecl::prelude::*;

use super::layout::{Four, LOWEST, Layout, ScoreFactors, dot, query, row_of, start_of_head};
use crate::ops::launch::WIDTH;

/// How the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// Queries of an invocation.
    pub tile: usize,
    /// Keys of a block; a multiple of [`WIDTH`] if they are shared.
    pub block: usize,
    /// Whether the lanes of a subgroup share the loads of keys and values.
    pub shared: bool,
}

/// Where the keys or values of this invocation's head are.
#[derive(CubeType, Clone, Copy)]
struct Rows {
    /// The offset of the first.
    start: usize,
    /// From one to the next.
    step: usize,
    /// Their number.
    count: usize,
}

/// Vector `column` of the rows from `first` that this lane loads: all of a block, or its share of them.
#[cube]
fn load<F: Float>(
    x: &[Four<F>], // (batch, heads, keys, width)
    rows: &Rows,
    first: usize,
    column: usize,
    #[comptime] blocks: Blocks,
) -> Sequence<Four<f32>> {
    let Blocks { block, shared, .. } = comptime!(blocks);
    let mut loaded = Sequence::<Four<f32>>::new();
    #[unroll]
    for j in 0..comptime!(if shared { block / WIDTH } else { block }) {
        let row = if comptime!(shared) { first + j * WIDTH + UNIT_POS as usize } else { first + j };
        loaded.push(Four::<f32>::cast_from(x[rows.start + min(row, rows.count - 1) * rows.step + column]));
    }
    loaded
}

/// Row `j` of a block that was [loaded](load).
#[cube]
fn row(loaded: &Sequence<Four<f32>>, #[comptime] j: usize, #[comptime] blocks: Blocks) -> Four<f32> {
    if comptime!(blocks.shared) {
        plane_broadcast(*loaded.index(comptime!(j / WIDTH)), comptime!((j % WIDTH) as u32))
    } else {
        *loaded.index(j)
    }
}

/// For narrow heads: `tile` queries of `width` vectors to an invocation, over blocks of `block` keys, queries and sums in
/// registers or on the stack. Heads and batches are the grid's y and z.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn held<F: Float>(
    q: &[Four<F>],                       // (batch, heads, tokens, width), vectors of four
    blended: ComptimeOption<&[Four<F>]>, // the second query operand, of q's shape
    k: &[Four<F>],                       // (batch, heads, keys, width)
    v: &[Four<F>],                       // (batch, heads, keys, width)
    out: &mut [Four<F>],                 // (batch, heads, tokens, width)
    layout: Layout,
    factors: ScoreFactors,
    #[comptime] width: usize,
    #[comptime] blocks: Blocks,
) {
    let Blocks { tile, block, shared } = comptime!(blocks);
    let end = layout.end as usize;
    let keys = layout.keys as usize;
    let first_query = layout.first as usize + ABSOLUTE_POS_X as usize * tile;
    // Lanes that share loads stay together; those past the end write nothing.
    if comptime!(!shared) && first_query >= end {
        terminate!();
    }
    let key_rows = Rows { start: start_of_head(&layout, &layout.k), step: layout.k.token as usize, count: keys };
    let value_rows = Rows { start: start_of_head(&layout, &layout.v), step: layout.v.token as usize, count: keys };

    let mut queries = Sequence::<Four<f32>>::new();
    let mut sums = Sequence::<RuntimeCell<Four<f32>>>::new();
    let mut running_max = Sequence::<RuntimeCell<f32>>::new();
    let mut running_sums = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for i in 0..tile {
        // Queries past the end repeat the last; they are not written.
        let token = min(first_query + i, end - 1);
        #[unroll]
        for c in 0..width {
            queries.push(query(q, blended, &layout, &factors, token, c));
            sums.push(RuntimeCell::new(Four::new(0.0f32)));
        }
        running_max.push(RuntimeCell::new(LOWEST));
        running_sums.push(RuntimeCell::new(0.0f32));
    }

    for block_start in range_stepped(0usize, keys, block) {
        let mut scores = Sequence::<RuntimeCell<f32>>::new();
        #[unroll]
        for _ in 0..tile * block {
            scores.push(RuntimeCell::new(0.0f32));
        }
        #[unroll]
        for c in 0..width {
            let loaded = load::<F>(k, &key_rows, block_start, c, blocks);
            #[unroll]
            for j in 0..block {
                let key = row(&loaded, j, blocks);
                #[unroll]
                for i in 0..tile {
                    let cell = scores.index(i * block + j);
                    cell.store(dot(*queries.index(i * width + c), key, cell.read()));
                }
            }
        }
        #[unroll]
        for i in 0..tile {
            let rescale = weigh(
                &scores,
                running_max.index(i),
                running_sums.index(i),
                factors.scale,
                keys - block_start,
                i,
                block,
            );
            #[unroll]
            for c in 0..width {
                let sum = sums.index(i * width + c);
                sum.store(sum.read() * Four::new(rescale));
            }
        }
        #[unroll]
        for c in 0..width {
            let loaded = load::<F>(v, &value_rows, block_start, c, blocks);
            #[unroll]
            for j in 0..block {
                let value = row(&loaded, j, blocks);
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
        if first_query + i < end {
            let share = Four::new(1.0 / running_sums.index(i).read());
            let at = row_of(&layout, first_query + i, width);
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
/// other, and leave each query's running maximum and sum, for each head, in `state`.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn streamed<F: Float>(
    q: &[Four<F>],                       // (batch, heads, tokens, width), vectors of four
    blended: ComptimeOption<&[Four<F>]>, // the second query operand, of q's shape
    k: &[Four<F>],                       // (batch, heads, keys, width)
    v: &[Four<F>],                       // (batch, heads, keys, width)
    out: &mut [Four<f32>],               // (batch, heads, tokens, width)
    state: &mut [f32],                   // (batch, heads, tokens, 2): running maximum, running sum
    layout: Layout,
    factors: ScoreFactors,
    from: u32,
    to: u32,
    #[comptime] width: usize,
    #[comptime] blocks: Blocks,
) {
    let Blocks { tile, block, shared } = comptime!(blocks);
    let end = layout.end as usize;
    let keys = layout.keys as usize;
    let first_query = layout.first as usize + ABSOLUTE_POS_X as usize * tile;
    // Lanes that share loads stay together; those past the end write nothing.
    if comptime!(!shared) && first_query >= end {
        terminate!();
    }
    let value_rows = Rows { start: start_of_head(&layout, &layout.v), step: layout.v.token as usize, count: keys };
    let mut running_max = Sequence::<RuntimeCell<f32>>::new();
    let mut running_sums = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for i in 0..tile {
        let maximum = RuntimeCell::<f32>::new(LOWEST);
        let running_sum = RuntimeCell::<f32>::new(0.0f32);
        if from > 0 {
            let at = 2 * row_of(&layout, min(first_query + i, end - 1), 1usize);
            maximum.store(state[at]);
            running_sum.store(state[at + 1]);
        }
        running_max.push(maximum);
        running_sums.push(running_sum);
    }

    for block_start in range_stepped(from as usize, to as usize, block) {
        let mut scores = Sequence::<RuntimeCell<f32>>::new();
        #[unroll]
        for _ in 0..tile * block {
            scores.push(RuntimeCell::new(0.0f32));
        }
        score_block(q, blended, k, &scores, &layout, &factors, first_query, block_start, width, blocks);
        let mut rescales = Sequence::<f32>::new();
        #[unroll]
        for i in 0..tile {
            rescales.push(weigh(
                &scores,
                running_max.index(i),
                running_sums.index(i),
                factors.scale,
                keys - block_start,
                i,
                block,
            ));
        }
        // The last block of keys leaves the mean rather than the sum.
        let last = block_start + block >= keys;
        let mut shares = Sequence::<Four<f32>>::new();
        #[unroll]
        for i in 0..tile {
            shares.push(Four::new(select(last, 1.0 / running_sums.index(i).read(), 1.0f32)));
        }
        for c in 0..width {
            let mut sums = Sequence::<RuntimeCell<Four<f32>>>::new();
            #[unroll]
            for i in 0..tile {
                // What `out` holds before the first block is anything, numbers or not.
                let sum = RuntimeCell::<Four<f32>>::new(Four::new(0.0f32));
                if block_start > 0 {
                    let so_far = out[row_of(&layout, min(first_query + i, end - 1), width) + c];
                    sum.store(so_far * Four::new(*rescales.index(i)));
                }
                sums.push(sum);
            }
            let loaded = load::<F>(v, &value_rows, block_start, c, blocks);
            #[unroll]
            for j in 0..block {
                let value = row(&loaded, j, blocks);
                #[unroll]
                for i in 0..tile {
                    let sum = sums.index(i);
                    sum.store(fma(Four::new(scores.index(i * block + j).read()), value, sum.read()));
                }
            }
            #[unroll]
            for i in 0..tile {
                if first_query + i < end {
                    out[row_of(&layout, first_query + i, width) + c] = sums.index(i).read() * *shares.index(i);
                }
            }
        }
    }

    if (to as usize) < keys {
        #[unroll]
        for i in 0..tile {
            if first_query + i < end {
                let at = 2 * row_of(&layout, first_query + i, 1usize);
                state[at] = running_max.index(i).read();
                state[at + 1] = running_sums.index(i).read();
            }
        }
    }
}

/// Adds up the scores of a tile of queries and a block of keys, reading the queries again.
#[cube]
#[allow(clippy::too_many_arguments)]
fn score_block<F: Float>(
    q: &[Four<F>],                       // (batch, heads, tokens, width)
    blended: ComptimeOption<&[Four<F>]>, // of q's shape
    k: &[Four<F>],                       // (batch, heads, keys, width)
    scores: &Sequence<RuntimeCell<f32>>, // (tile, block)
    layout: &Layout,
    factors: &ScoreFactors,
    first_query: usize,
    block_start: usize,
    #[comptime] width: usize,
    #[comptime] blocks: Blocks,
) {
    let Blocks { tile, block, .. } = comptime!(blocks);
    let end = layout.end as usize;
    let keys =
        Rows { start: start_of_head(layout, &layout.k), step: layout.k.token as usize, count: layout.keys as usize };
    for c in 0..width {
        let mut queries = Sequence::<Four<f32>>::new();
        #[unroll]
        for i in 0..tile {
            queries.push(query(q, blended, layout, factors, min(first_query + i, end - 1), c));
        }
        let loaded = load::<F>(k, &keys, block_start, c, blocks);
        #[unroll]
        for j in 0..block {
            let key = row(&loaded, j, blocks);
            #[unroll]
            for i in 0..tile {
                let cell = scores.index(i * block + j);
                cell.store(dot(*queries.index(i), key, cell.read()));
            }
        }
    }
}

/// Turns query `i`'s scores of one block into weights relative to the largest score so far, and adds them to its running sum.
/// Returns the factor that rescales what was summed before this block. Only the first `left` keys count.
#[cube]
fn weigh(
    scores: &Sequence<RuntimeCell<f32>>,
    running_max: &RuntimeCell<f32>,
    running_sum: &RuntimeCell<f32>,
    scale: f32,
    left: usize,
    #[comptime] i: usize,
    #[comptime] block: usize,
) -> f32 {
    let old_max = running_max.read();
    #[unroll]
    for j in 0..block {
        let cell = scores.index(i * block + j);
        cell.store(select(j < left, cell.read() * scale, LOWEST));
        running_max.store(max(running_max.read(), cell.read()));
    }
    let new_max = running_max.read();
    let rescale = (old_max - new_max).exp();
    running_sum.store(running_sum.read() * rescale);
    #[unroll]
    for j in 0..block {
        let cell = scores.index(i * block + j);
        cell.store((cell.read() - new_max).exp());
        running_sum.store(running_sum.read() + cell.read());
    }
    rescale
}

//! FlashAttention (Dao et al. 2022) for software adapters, which run shaders on the processor: every invocation attends with a
//! few queries of its own over all keys, with the online softmax of Milakov and Gimelshein (2018).
//!
//! There is no workgroup memory and no barrier. All invocations of a workgroup need the same keys and values at the same time.
//! Where they are one subgroup, each of its lanes loads another one and hands it to the others, because a load that is the same
//! for all lanes takes these adapters as long as one that differs. The running maximum rises, and the output so far is rescaled,
//! once a block of keys.

use cubecl::prelude::*;

use super::layout::{Four, LOWEST, Layout, ScoreFactors, dot, query, row_of, start_of_head};
use crate::ops::launch::Lanes;

/// How the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// Queries of an invocation.
    pub tile: usize,
    /// Keys of a block; a multiple of the lanes if they share loads.
    pub block: usize,
    /// The workgroup.
    pub lanes: Lanes,
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
    let Blocks { block, lanes, .. } = comptime!(blocks);
    let mut loaded = Sequence::<Four<f32>>::new();
    #[unroll]
    for j in 0..comptime!(if lanes.shared { block / lanes.count } else { block }) {
        let row =
            if comptime!(lanes.shared) { first + j * comptime!(lanes.count) + UNIT_POS as usize } else { first + j };
        loaded.push(Four::<f32>::cast_from(x[rows.start + min(row, rows.count - 1) * rows.step + column]));
    }
    loaded
}

/// Row `j` of a block that was [loaded](load).
#[cube]
fn row(loaded: &Sequence<Four<f32>>, #[comptime] j: usize, #[comptime] blocks: Blocks) -> Four<f32> {
    let Lanes { count, shared } = comptime!(blocks.lanes);
    if comptime!(shared) {
        plane_broadcast(*loaded.index(comptime!(j / count)), comptime!((j % count) as u32))
    } else {
        *loaded.index(j)
    }
}

/// All rows of a block that was [loaded](load).
#[cube]
fn rows(loaded: &Sequence<Four<f32>>, #[comptime] blocks: Blocks) -> Sequence<Four<f32>> {
    let mut all = Sequence::<Four<f32>>::new();
    #[unroll]
    for j in 0..comptime!(blocks.block) {
        all.push(row(loaded, j, blocks));
    }
    all
}

/// `sum` and the values of a block by query `i`'s weights. Every partial sum is a value of its own: `SwiftShader` loads and stores
/// a variable at every use.
#[cube]
fn weighed(
    weights: &Sequence<f32>,      // (tile, block)
    values: &Sequence<Four<f32>>, // (block)
    sum: Four<f32>,
    #[comptime] i: usize,
    #[comptime] blocks: Blocks,
) -> Four<f32> {
    let block = comptime!(blocks.block);
    let mut sums = Sequence::<Four<f32>>::new();
    sums.push(sum);
    #[unroll]
    for j in 0..block {
        sums.push(fma(Four::new(*weights.index(i * block + j)), *values.index(j), *sums.index(j)));
    }
    *sums.index(block)
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
    let Blocks { tile, block, lanes } = comptime!(blocks);
    let end = layout.end as usize;
    let keys = layout.keys as usize;
    let first_query = layout.first as usize + ABSOLUTE_POS_X as usize * tile;
    // Lanes that share loads stay together; those past the end write nothing.
    if comptime!(!lanes.shared) && first_query >= end {
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
        // The sums so far of every score, one column after the other; a variable would be loaded and stored for every column.
        let mut scores = Sequence::<f32>::new();
        #[unroll]
        for _ in 0..block * tile {
            scores.push(0.0f32);
        }
        #[unroll]
        for c in 0..width {
            let loaded = load::<F>(k, &key_rows, block_start, c, blocks);
            #[unroll]
            for j in 0..block {
                let key = row(&loaded, j, blocks);
                #[unroll]
                for i in 0..tile {
                    let before = *scores.index((c * block + j) * tile + i);
                    scores.push(dot(*queries.index(i * width + c), key, before));
                }
            }
        }
        let mut weights = Sequence::<f32>::new();
        let mut rescales = Sequence::<f32>::new();
        #[unroll]
        for i in 0..tile {
            let first = comptime!(width * block * tile + i);
            let left = keys - block_start;
            let (maximum, sum) = (running_max.index(i), running_sums.index(i));
            let rescale = weigh(&scores, &mut weights, maximum, sum, factors.scale, left, first, blocks);
            rescales.push(rescale);
        }
        #[unroll]
        for c in 0..width {
            let values = rows(&load::<F>(v, &value_rows, block_start, c, blocks), blocks);
            #[unroll]
            for i in 0..tile {
                let sum = sums.index(i * width + c);
                sum.store(weighed(&weights, &values, sum.read() * Four::new(*rescales.index(i)), i, blocks));
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
    let Blocks { tile, block, lanes } = comptime!(blocks);
    let end = layout.end as usize;
    let keys = layout.keys as usize;
    let first_query = layout.first as usize + ABSOLUTE_POS_X as usize * tile;
    // Lanes that share loads stay together; those past the end write nothing.
    if comptime!(!lanes.shared) && first_query >= end {
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
        let mut finished = Sequence::<f32>::new();
        #[unroll]
        for at in 0..block * tile {
            finished.push(scores.index(at).read());
        }
        let mut weights = Sequence::<f32>::new();
        let mut rescales = Sequence::<f32>::new();
        #[unroll]
        for i in 0..tile {
            let left = keys - block_start;
            let (maximum, sum) = (running_max.index(i), running_sums.index(i));
            rescales.push(weigh(&finished, &mut weights, maximum, sum, factors.scale, left, i, blocks));
        }
        // The last block of keys leaves the mean rather than the sum.
        let last = block_start + block >= keys;
        let mut shares = Sequence::<Four<f32>>::new();
        #[unroll]
        for i in 0..tile {
            shares.push(Four::new(select(last, 1.0 / running_sums.index(i).read(), 1.0f32)));
        }
        for c in 0..width {
            let values = rows(&load::<F>(v, &value_rows, block_start, c, blocks), blocks);
            #[unroll]
            for i in 0..tile {
                let at = row_of(&layout, min(first_query + i, end - 1), width) + c;
                // What `out` holds before the first block is anything, numbers or not.
                let mut so_far = Four::<f32>::new(0.0f32);
                if block_start > 0 {
                    so_far = out[at] * Four::new(*rescales.index(i));
                }
                if first_query + i < end {
                    out[at] = weighed(&weights, &values, so_far, i, blocks) * *shares.index(i);
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
    scores: &Sequence<RuntimeCell<f32>>, // (block, tile)
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
                let cell = scores.index(j * tile + i);
                cell.store(dot(*queries.index(i), key, cell.read()));
            }
        }
    }
}

/// Pushes a query's weights for one block, relative to its largest score so far, and adds them to its running sum. The scores
/// of the block are every `tile`th from `first` on, of which only the first `left` count. Returns the factor that rescales what
/// was summed before this block.
#[cube]
#[allow(clippy::too_many_arguments)]
fn weigh(
    scores: &Sequence<f32>,      // (…, block, tile)
    weights: &mut Sequence<f32>, // (tile, block)
    running_max: &RuntimeCell<f32>,
    running_sum: &RuntimeCell<f32>,
    scale: f32,
    left: usize,
    #[comptime] first: usize,
    #[comptime] blocks: Blocks,
) -> f32 {
    let Blocks { tile, block, .. } = comptime!(blocks);
    let old_max = running_max.read();
    let mut scaled = Sequence::<f32>::new();
    let mut new_max = old_max;
    #[unroll]
    for j in 0..block {
        let score = select(j < left, *scores.index(first + j * tile) * scale, LOWEST);
        new_max = max(new_max, score);
        scaled.push(score);
    }
    let rescale = (old_max - new_max).exp();
    let mut sum = running_sum.read() * rescale;
    #[unroll]
    for j in 0..block {
        let weight = (*scaled.index(j) - new_max).exp();
        sum += weight;
        weights.push(weight);
    }
    running_max.store(new_max);
    running_sum.store(sum);
    rescale
}

//! FlashAttention (Dao et al. 2022) for GPUs: softmax(scale · Q·Kᵀ)·V without a score matrix. A workgroup takes a tile of
//! queries over tiles of keys. The online softmax of Milakov and Gimelshein (2018) keeps each query's running maximum and sum,
//! and rescales the output so far when the maximum rises.
//!
//! An invocation has a row and a column in its workgroup. It owns four queries; of a tile's scores it owns four keys, and of
//! the output every `columns`-th vector. Scores are exchanged through workgroup memory, since every column needs all weights of
//! its rows.

use cubecl::prelude::*;

use super::layout::{Four, LOWEST, Layout, ScoreFactors, dot, query, row_of, start_of_head};

/// Queries that an invocation owns, and keys of a tile: the components of a vector.
const OWN: usize = 4;

/// How a workgroup divides its work. Its memory is (queries·columns + `stage`) vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tiles {
    /// Rows of invocations; a tile has four times as many queries.
    pub rows: usize,
    /// Columns of invocations; a tile has four times as many keys.
    pub columns: usize,
    /// Vectors of each query and key that are staged at once.
    pub depth: usize,
    /// Quadruples of values that are staged at once.
    pub span: usize,
}

impl Tiles {
    /// Invocations of a workgroup.
    pub fn invocations(self) -> usize {
        self.rows * self.columns
    }

    /// Queries of a workgroup.
    pub fn queries(self) -> usize {
        OWN * self.rows
    }

    /// Vectors of workgroup memory to stage operands `width` vectors wide.
    fn stage(self, width: usize) -> usize {
        (OWN * (self.rows + self.columns) * self.depth).max(OWN * self.span * width)
    }

    /// Bytes of workgroup memory.
    pub fn bytes(self, width: usize) -> usize {
        16 * (self.queries() * self.columns + self.stage(width))
    }
}

/// Where an invocation is in its workgroup, and what it owns.
#[derive(CubeType, Clone, Copy)]
struct Spot {
    /// Number of the invocation.
    unit: usize,
    row: usize,
    column: usize,
    /// The first of its queries in the scratch memory; the next is the tile's columns on.
    own: usize,
    /// The workgroup's first query.
    first_query: usize,
}

/// The softmax of this invocation's four queries so far: running maximum and sum, a component for each.
#[derive(CubeType)]
struct Running {
    max: RuntimeCell<Four<f32>>,
    sum: RuntimeCell<Four<f32>>,
}

/// Heads of `width` vectors. Heads and batches are the grid's y and z.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
pub fn attend<F: Float>(
    q: &[Four<F>],                       // (batch, heads, tokens, width), vectors of four
    blended: ComptimeOption<&[Four<F>]>, // the second query operand, of q's shape
    k: &[Four<F>],                       // (batch, heads, keys, width)
    v: &[Four<F>],                       // (batch, heads, keys, width)
    out: &mut [Four<F>],                 // (batch, heads, tokens, width)
    layout: Layout,
    factors: ScoreFactors,
    #[comptime] width: usize,
    #[comptime] tiles: Tiles,
) {
    let columns = comptime!(tiles.columns);
    let vectors = comptime!(width.div_ceil(columns));
    // Queries and keys of a piece of the depth: (tile_queries, depth), then (depth, tile_keys). Later values: (4·span, width).
    let mut stage = Shared::<[Four<f32>]>::new_slice(comptime!(tiles.stage(width)));
    // (tile_queries, columns): in turn the columns' maxima, the softmax's weights, and at the end the columns' sums.
    let mut scratch = Shared::<[Four<f32>]>::new_slice(comptime!(tiles.queries() * columns));

    let keys = layout.keys as usize;
    let unit = UNIT_POS as usize;
    let spot = Spot {
        unit,
        row: unit / columns,
        column: unit % columns,
        own: unit / columns * comptime!(OWN * columns),
        first_query: layout.first as usize + CUBE_POS_X as usize * comptime!(tiles.queries()),
    };
    let mut sums = Sequence::<RuntimeCell<Four<f32>>>::new();
    #[unroll]
    for _ in 0..OWN * vectors {
        sums.push(RuntimeCell::new(Four::new(0.0f32)));
    }
    let running = Running {
        max: RuntimeCell::<Four<f32>>::new(Four::new(LOWEST)),
        sum: RuntimeCell::<Four<f32>>::new(Four::new(0.0f32)),
    };
    for tile_start in range_stepped(0usize, keys, comptime!(OWN * columns)) {
        // A vector of scores for each query, a component for each of the keys column, column + columns, ...
        let mut scores = Sequence::<RuntimeCell<f32>>::new();
        #[unroll]
        for _ in 0..OWN * OWN {
            scores.push(RuntimeCell::new(0.0f32));
        }
        for depth_start in range_stepped(0usize, width, comptime!(tiles.depth)) {
            // The stage's last reads (of values, or of the piece before) are over before it is written again.
            sync_cube();
            stage_queries(q, blended, &mut stage, &layout, &factors, &spot, depth_start, width, tiles);
            stage_keys(k, &mut stage, &layout, &spot, tile_start, depth_start, width, tiles);
            // The piece of queries and keys is complete before anyone reads it.
            sync_cube();
            score(&stage, &scores, &spot, tiles);
        }
        soften(&scores, &running, &sums, &mut scratch, &factors, &spot, keys - tile_start, vectors, tiles);
        for span_start in range_stepped(0usize, columns, comptime!(tiles.span)) {
            // The weights are complete, and the stage's last reads (of keys, or of the values before) are over.
            sync_cube();
            stage_values(v, &mut stage, &layout, &spot, tile_start, span_start, width, tiles);
            // The values are complete before anyone reads them.
            sync_cube();
            add_values(&stage, &scratch, &sums, &spot, span_start, width, vectors, tiles);
        }
    }

    // Each column has summed the weights of its own keys. The weights' last reads are over before the sums take their place,
    sync_cube();
    scratch[spot.own + spot.column] = running.sum.read();
    // and all columns' sums are there before they are added.
    sync_cube();
    running.sum.store(Four::new(0.0f32));
    #[unroll]
    for peer in 0..columns {
        running.sum.store(running.sum.read() + scratch[spot.own + peer]);
    }
    #[unroll]
    for i in 0..OWN {
        let token = spot.first_query + spot.row * OWN + i;
        let share = Four::new(1.0 / running.sum.read().extract(i));
        let at = row_of(&layout, token, width);
        #[unroll]
        for n in 0..vectors {
            let c = n * columns + spot.column;
            if token < layout.end as usize && c < width {
                out[at + c] = Four::<F>::cast_from(sums.index(i * vectors + n).read() * share);
            }
        }
    }
}

/// Stages the workgroup's queries for a piece of the depth, zero beyond it.
#[cube]
#[allow(clippy::too_many_arguments)]
fn stage_queries<F: Float>(
    q: &[Four<F>],                       // (batch, heads, tokens, width)
    blended: ComptimeOption<&[Four<F>]>, // of q's shape
    stage: &mut Shared<[Four<f32>]>,     // (tile_queries, depth) of it
    layout: &Layout,
    factors: &ScoreFactors,
    spot: &Spot,
    depth_start: usize,
    #[comptime] width: usize,
    #[comptime] tiles: Tiles,
) {
    let depth = comptime!(tiles.depth);
    let end = layout.end as usize;
    for item in range_stepped(spot.unit, comptime!(tiles.queries() * tiles.depth), comptime!(tiles.invocations())) {
        let c = depth_start + item % depth;
        let token = min(spot.first_query + item / depth, end - 1);
        let x = query(q, blended, layout, factors, token, min(c, width - 1));
        stage[item] = x * Four::new(select(c < width, 1.0f32, 0.0f32));
    }
}

/// Stages a tile's keys for a piece of the depth, behind the queries. Keys past the end repeat the last.
#[cube]
#[allow(clippy::too_many_arguments)]
fn stage_keys<F: Float>(
    k: &[Four<F>],                   // (batch, heads, keys, width)
    stage: &mut Shared<[Four<f32>]>, // (depth, tile_keys) of it
    layout: &Layout,
    spot: &Spot,
    tile_start: usize,
    depth_start: usize,
    #[comptime] width: usize,
    #[comptime] tiles: Tiles,
) {
    let depth = comptime!(tiles.depth);
    let tile_keys = comptime!(OWN * tiles.columns);
    let keys = layout.keys as usize;
    let k_at = start_of_head(layout, &layout.k);
    for item in range_stepped(spot.unit, comptime!(OWN * tiles.columns * tiles.depth), comptime!(tiles.invocations())) {
        let c = min(depth_start + item % depth, width - 1);
        let key = item / depth;
        let x = k[k_at + min(tile_start + key, keys - 1) * layout.k.token as usize + c];
        stage[comptime!(tiles.queries() * tiles.depth) + (item % depth) * tile_keys + key] = Four::<f32>::cast_from(x);
    }
}

/// Adds the products of a piece of the depth to the scores of this invocation's queries and keys.
#[cube]
fn score(
    stage: &Shared<[Four<f32>]>, // (tile_queries, depth), then (depth, tile_keys)
    scores: &Sequence<RuntimeCell<f32>>,
    spot: &Spot,
    #[comptime] tiles: Tiles,
) {
    let Tiles { columns, depth, .. } = comptime!(tiles);
    #[unroll]
    for c in 0..depth {
        let mut queries = Sequence::<Four<f32>>::new();
        #[unroll]
        for i in 0..OWN {
            queries.push(stage[(spot.row * OWN + i) * depth + c]);
        }
        #[unroll]
        for j in 0..OWN {
            let at = comptime!(tiles.queries() * depth + c * OWN * columns + j * columns);
            let key = stage[at + spot.column];
            #[unroll]
            for i in 0..OWN {
                let cell = scores.index(i * OWN + j);
                cell.store(dot(*queries.index(i), key, cell.read()));
            }
        }
    }
}

/// The online softmax: turns a tile's scores into weights relative to the largest score so far, in `scratch`, and rescales what
/// was summed before it. Only the first `left` keys count.
#[cube]
#[allow(clippy::too_many_arguments)]
fn soften(
    scores: &Sequence<RuntimeCell<f32>>,
    running: &Running,
    sums: &Sequence<RuntimeCell<Four<f32>>>,
    scratch: &mut Shared<[Four<f32>]>, // (tile_queries, columns)
    factors: &ScoreFactors,
    spot: &Spot,
    left: usize,
    #[comptime] vectors: usize,
    #[comptime] tiles: Tiles,
) {
    let columns = comptime!(tiles.columns);
    // The largest of each query in this column, then over all columns.
    let mut column_max = Four::<f32>::new(LOWEST);
    #[unroll]
    for j in 0..OWN {
        let counts = j * columns + spot.column < left;
        let mut score = Four::<f32>::new(LOWEST);
        #[unroll]
        for i in 0..OWN {
            let cell = scores.index(i * OWN + j);
            cell.store(select(counts, cell.read() * factors.scale, LOWEST));
            score.insert(i, cell.read());
        }
        column_max = max(column_max, score);
    }
    scratch[spot.own + spot.column] = column_max;
    // All columns' maxima are there before they are combined.
    sync_cube();
    let old_max = running.max.read();
    #[unroll]
    for peer in 0..columns {
        running.max.store(max(running.max.read(), scratch[spot.own + peer]));
    }
    let new_max = running.max.read();
    let rescale = (old_max - new_max).exp();
    // All have read the maxima before the weights take their place.
    sync_cube();
    running.sum.store(running.sum.read() * rescale);
    #[unroll]
    for i in 0..OWN {
        let mut weight = Four::<f32>::new(0.0f32);
        #[unroll]
        for j in 0..OWN {
            weight.insert(j, scores.index(i * OWN + j).read());
        }
        let weight = (weight - Four::new(new_max.extract(i))).exp();
        scratch[spot.own + i * columns + spot.column] = weight;
        let mut one = Four::<f32>::new(0.0f32);
        one.insert(
            i,
            weight.extract(0usize) + weight.extract(1usize) + weight.extract(2usize) + weight.extract(3usize),
        );
        running.sum.store(running.sum.read() + one);
        #[unroll]
        for n in 0..vectors {
            let sum = sums.index(i * vectors + n);
            sum.store(sum.read() * Four::new(rescale.extract(i)));
        }
    }
}

/// Stages the values of a span of the tile's columns: four to each column of weights, in the order of the weights' components.
#[cube]
#[allow(clippy::too_many_arguments)]
fn stage_values<F: Float>(
    v: &[Four<F>],                   // (batch, heads, keys, width)
    stage: &mut Shared<[Four<f32>]>, // (4·span, width)
    layout: &Layout,
    spot: &Spot,
    tile_start: usize,
    span_start: usize,
    #[comptime] width: usize,
    #[comptime] tiles: Tiles,
) {
    let columns = comptime!(tiles.columns);
    let keys = layout.keys as usize;
    let v_at = start_of_head(layout, &layout.v);
    for item in range_stepped(spot.unit, comptime!(OWN * tiles.span * width), comptime!(tiles.invocations())) {
        let slot = item / width;
        let key = tile_start + (slot % OWN) * columns + span_start + slot / OWN;
        let x = v[v_at + min(key, keys - 1) * layout.v.token as usize + item % width];
        stage[item] = Four::<f32>::cast_from(x);
    }
}

/// Adds the staged values, by their weights, to this invocation's part of the output.
#[cube]
#[allow(clippy::too_many_arguments)]
fn add_values(
    stage: &Shared<[Four<f32>]>,   // (4·span, width)
    scratch: &Shared<[Four<f32>]>, // (tile_queries, columns)
    sums: &Sequence<RuntimeCell<Four<f32>>>,
    spot: &Spot,
    span_start: usize,
    #[comptime] width: usize,
    #[comptime] vectors: usize,
    #[comptime] tiles: Tiles,
) {
    let Tiles { columns, span, .. } = comptime!(tiles);
    for at in 0..min(span, columns - span_start) {
        let mut shares = Sequence::<Four<f32>>::new();
        #[unroll]
        for i in 0..OWN {
            shares.push(scratch[spot.own + i * columns + span_start + at]);
        }
        #[unroll]
        for j in 0..OWN {
            #[unroll]
            for n in 0..vectors {
                // Columns past the end repeat the last; they are not written.
                let value = stage[(at * OWN + j) * width + min(n * columns + spot.column, width - 1)];
                #[unroll]
                for i in 0..OWN {
                    let sum = sums.index(i * vectors + n);
                    sum.store(fma(Four::new(shares.index(i).extract(j)), value, sum.read()));
                }
            }
        }
    }
}

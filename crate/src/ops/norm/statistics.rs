//! Mean and squared deviations inside a kernel, without the cancellation of subtracting two large sums.

use cubecl::prelude::*;

/// Items that are loaded at once: first their mean is computed, then their deviations from it.
const BLOCK: usize = 8;

/// Numbers stored for each part: count, mean and sum of squared deviations.
pub(super) const FIELDS: usize = 3;

/// Moments of one part of a row.
#[derive(CubeType, Clone, Copy)]
pub(super) struct RowMoments {
    pub(super) count: f32,
    pub(super) mean: f32,
    /// Sum of squared deviations from the mean.
    pub(super) squares: f32,
}

/// Moments of `length` items from `first` on, `step` apart (Welford's algorithm, by blocks).
#[cube]
pub(super) fn accumulate<E: Float, N: Size>(
    x: &[Vector<E, N>],
    first: usize,
    step: usize,
    length: usize,
) -> RowMoments {
    // Each component of the vectors has its own moments until the end.
    let mut mean = Vector::<f32, N>::new(0.0f32);
    let mut squares = Vector::<f32, N>::new(0.0f32);
    let blocks = length / BLOCK;
    for block in 0..blocks {
        let at = first + block * BLOCK * step;
        let mut items = Sequence::<Vector<f32, N>>::new();
        let mut sum = Vector::<f32, N>::new(0.0f32);
        #[unroll]
        for i in 0..BLOCK {
            let item = Vector::<f32, N>::cast_from(x[at + i * step]);
            sum += item;
            items.push(item);
        }
        let block_mean = sum * Vector::new(comptime!(1.0 / BLOCK as f32));
        let mut block_squares = Vector::<f32, N>::new(0.0f32);
        #[unroll]
        for i in 0..BLOCK {
            let deviation = *items.index(i) - block_mean;
            block_squares = fma(deviation, deviation, block_squares);
        }
        let before = f32::cast_from(block * BLOCK);
        let share = comptime!(BLOCK as f32) / (before + comptime!(BLOCK as f32));
        let delta = block_mean - mean;
        mean = fma(delta, Vector::new(share), mean);
        squares += fma(delta * delta, Vector::new(before * share), block_squares);
    }
    for i in blocks * BLOCK..length {
        let item = Vector::<f32, N>::cast_from(x[first + i * step]);
        let delta = item - mean;
        mean += delta / Vector::new(f32::cast_from(i + 1));
        squares = fma(delta, item - mean, squares);
    }
    joined::<N>(mean, squares, f32::cast_from(length))
}

/// Merges the moments of all components, each over `count` items.
#[cube]
fn joined<N: Size>(means: Vector<f32, N>, deviations: Vector<f32, N>, count: f32) -> RowMoments {
    let size = means.vector_size().comptime();
    let mut sum = 0.0f32;
    #[unroll]
    for i in 0..size {
        sum += means.extract(i);
    }
    let mean = sum * comptime!(1.0 / size as f32);
    let mut squares = 0.0f32;
    #[unroll]
    for i in 0..size {
        let delta = means.extract(i) - mean;
        squares += deviations.extract(i) + delta * delta * count;
    }
    RowMoments { count: count * comptime!(size as f32), mean, squares }
}

/// Merges the moments of two parts (Chan, Golub and LeVeque 1983). Either may be empty.
#[cube]
pub(super) fn merge(a: RowMoments, b: RowMoments) -> RowMoments {
    let count = a.count + b.count;
    let share = b.count / max(count, 1.0f32);
    let delta = b.mean - a.mean;
    RowMoments { count, mean: a.mean + delta * share, squares: a.squares + b.squares + delta * delta * a.count * share }
}

/// Reads the moments of part `at`.
#[cube]
pub(super) fn read(parts: &[f32], at: usize) -> RowMoments {
    RowMoments { count: parts[at * FIELDS], mean: parts[at * FIELDS + 1], squares: parts[at * FIELDS + 2] }
}

#[cube]
pub(super) fn write(parts: &mut [f32], at: usize, part: RowMoments) {
    parts[at * FIELDS] = part.count;
    parts[at * FIELDS + 1] = part.mean;
    parts[at * FIELDS + 2] = part.squares;
}

/// Merges `length` parts from `first` on, `step` apart.
#[cube]
pub(super) fn merge_parts(parts: &[f32], first: usize, step: usize, length: usize) -> RowMoments {
    let mut count = 0.0f32;
    let mut mean = 0.0f32;
    let mut squares = 0.0f32;
    for i in 0..length {
        let both = merge(RowMoments { count, mean, squares }, read(parts, first + i * step));
        count = both.count;
        mean = both.mean;
        squares = both.squares;
    }
    RowMoments { count, mean, squares }
}

/// Tree reduction in workgroup memory: merges the moments of each `lanes` neighbouring invocations (a power of two) of a
/// workgroup of `units`. The whole workgroup must call it; every invocation gets the result.
#[cube]
pub(super) fn merge_lanes(own: RowMoments, #[comptime] lanes: usize, #[comptime] units: usize) -> RowMoments {
    let mut parts = Shared::<[f32]>::new_slice(comptime!(units * FIELDS));
    let unit = UNIT_POS as usize;
    let lane = unit % lanes;
    write(&mut parts, unit, own);
    // All moments are written before any are merged.
    sync_cube();
    #[unroll]
    for level in 0..comptime!(lanes.ilog2() as usize) {
        let offset = comptime!(lanes >> (level + 1));
        if lane < offset {
            let both = merge(read(&parts, unit), read(&parts, unit + offset));
            write(&mut parts, unit, both);
        }
        // This level is complete before the next, or the return, reads it.
        sync_cube();
    }
    read(&parts, unit - lane)
}

/// 1/σ, with `epsilon` added to the variance.
#[cube]
pub(super) fn inverse_deviation(part: &RowMoments, epsilon: f32) -> f32 {
    1.0f32 / (part.squares / part.count + epsilon).sqrt()
}

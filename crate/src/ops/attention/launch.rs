//! Launches of attention: which kernel runs, on which tiles, and in how many parts.

use std::ops::Range;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::cast;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use half::f16;

use super::groups::VECTOR;
use super::hardware::{self, Tiles};
use super::layout::{LayoutLaunch, ScoreFactorsLaunch, StepsLaunch};
use super::software::{self, Blocks};
use crate::ops::choice::lanes;
use crate::ops::launch::{Lanes, contiguous, output_of};
use crate::ops::tiles::{ATTENTION, Class};

/// WebGPU's default limit of workgroup memory, in bytes.
const SHARED: usize = 16 << 10;

/// Widest head that the kernel for GPUs has enough workgroup memory for.
pub const WIDEST: usize = 512;

/// How [`software::held`], if true, or [`software::streamed`] divides heads of `width` vectors: the fastest sizes that compile in a
/// few seconds, for `held`'s code grows with the width. `streamed` reads queries and sums again for every block, for which larger
/// blocks make up.
///
/// On lavapipe, GFLOPS at 2048 tokens, 160 being its peak. 40 numbers a head with subgroups: 4 queries 54, 6 60, 8 63 (which take
/// 0.8, 1.4 and 2.1 s to compile), without 27. 64 numbers: 4 55, 6 61 (1.6, 2.9 s). 80: 3 50, 4 55 (1.6, 2.3 s). 160: held by 3
/// 41 (5 s), streamed by 4 × 32 44 (0.4 s), 8 × 64 47 (2 s). 160 at 256 tokens, of a peak of 128: 4 × 32 41, 4 × 64 45, 6 × 32 40,
/// 8 × 32 43.
///
/// On `SwiftShader`, ms of a block of 4096 tokens and 8 heads of 40 numbers with subgroups: 6 queries 2900, 8 2700, 12 2500, 16 2360,
/// without subgroups 3650; 12 and 16 take 2.3 and 5.5 s longer to compile, which only the most tokens of a run earn again.
fn blocks(width: usize, [queries, keys]: [usize; 2], lanes: Lanes) -> (Blocks, bool) {
    let Lanes { count, shared } = lanes;
    let is_held = width <= if shared { 20 } else { 16 };
    let (tile, block) = match (is_held, lanes) {
        (true, Lanes::ALONE) => (8, 2),
        (false, Lanes::ALONE) => (8, 16),
        (true, Lanes { count: 8, .. }) => (if width <= 10 { 6 } else { 4 }, count),
        (true, _) if width <= 10 && queries >= 2048 => (16, count),
        (true, _) => (if width <= 16 { 8 } else { 4 }, count),
        // Keys past the end are computed, too.
        (false, _) => (4, if keys >= 16 * count { 8 * count } else { 4 * count }),
    };
    (Blocks { tile, block, lanes }, is_held)
}

/// Iterations an invocation may make in all its loops together: Mesa's software adapters silently leave every loop after 65,535
/// iterations.
const ITERATIONS: usize = 60_000;

/// Work of one launch, in floating-point operations: about 300 ms on the processor, under 100 ms on a GPU of 200 GFLOPS.
const SOFTWARE_PART: u64 = 2_000_000_000;
const HARDWARE_PART: u64 = 5_400_000_000;

/// Attention on `[batch, heads, tokens, head_dim]`, with `head_dim` a multiple of [`VECTOR`]. The result is `[batch, tokens,
/// heads, head_dim]`. `software` selects the kernels for software adapters.
#[backend_extension(Cube)]
pub trait AttentionOps: Backend {
    /// Attention with queries q.
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        scale: f32,
        software: bool,
    ) -> FloatTensor<Self>;

    /// Attention with queries γ·other + (1 − γ)·q.
    fn attend_blended(
        q: FloatTensor<Self>,
        other: FloatTensor<Self>,
        gamma: f32,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        scale: f32,
        software: bool,
    ) -> FloatTensor<Self>;
}

impl AttentionOps for CubeBackend {
    fn attend(q: CubeTensor, k: CubeTensor, v: CubeTensor, scale: f32, software: bool) -> CubeTensor {
        Call { q: vectors(q), other: None, gamma: 0.0, k: vectors(k), v: vectors(v), scale }.run(software)
    }

    fn attend_blended(
        q: CubeTensor,
        other: CubeTensor,
        gamma: f32,
        k: CubeTensor,
        v: CubeTensor,
        scale: f32,
        software: bool,
    ) -> CubeTensor {
        Call { q: vectors(q), other: Some(vectors(other)), gamma, k: vectors(k), v: vectors(v), scale }.run(software)
    }
}

/// The tensor itself if its head dim is contiguous and its strides are whole vectors, else a contiguous copy.
fn vectors(x: CubeTensor) -> CubeTensor {
    let strides = x.meta.strides();
    if strides[3] == 1 && strides[..3].iter().all(|stride| stride.is_multiple_of(VECTOR)) { x } else { contiguous(x) }
}

fn buffer(x: &CubeTensor) -> BufferArg {
    let bytes = usize::try_from(x.handle.size_in_used()).unwrap_or(usize::MAX);
    // SAFETY: the handle holds this many vectors; kernels stay within the tensor's shape and strides.
    unsafe { BufferArg::from_raw_parts(x.handle.clone(), bytes / x.dtype.size() / VECTOR) }
}

fn steps(x: &CubeTensor) -> StepsLaunch {
    let [batch, head, token] = [0, 1, 2].map(|i| (x.meta.strides()[i] / VECTOR) as u32);
    StepsLaunch::new(batch, head, token)
}

/// Tiles for heads of `width` vectors, at most [`WIDEST`], within 256 invocations and [`SHARED`].
fn tiles(width: usize) -> Tiles {
    divide(width, Class::of_heads(width).and_then(Class::chosen).map(|index| ATTENTION[index]))
}

/// [`tiles`] with this many `invocations` along queries and keys.
fn divide(width: usize, invocations: Option<[usize; 2]>) -> Tiles {
    // Wide heads leave room for fewer queries. For narrow ones, 8 or 10 columns: whichever leaves fewer of them idle.
    let [rows, columns] = match invocations {
        Some(invocations) => invocations,
        None if width > 64 => [8, 16],
        None => [16, if width.div_ceil(10) * 10 < width.div_ceil(8) * 8 { 10 } else { 8 }],
    };
    let room = SHARED / 16 - 4 * rows * columns;
    // The cost of a chunk of queries and keys: its vectors, idle ones included, and two barriers.
    let deepest = (room / (4 * (rows + columns))).max(1);
    let cost = |depth: &usize| width.div_ceil(*depth) * (2 * depth + 1);
    let depth = (1..=deepest).min_by_key(cost).unwrap_or(1);
    let chunks = columns.div_ceil((room / (4 * width)).max(1));
    Tiles { rows, columns, depth, span: columns.div_ceil(chunks) }
}

/// The part of an attention that one launch computes: these queries of these heads, in all batches.
struct Launch {
    heads: Range<usize>,
    queries: Range<usize>,
}

/// Operands as [`vectors`] returns them.
struct Call {
    q: CubeTensor,
    other: Option<CubeTensor>,
    gamma: f32,
    k: CubeTensor,
    v: CubeTensor,
    scale: f32,
}

impl Call {
    fn run(&self, software: bool) -> CubeTensor {
        match (self.q.dtype, software) {
            (DType::F16, true) => self.on_software::<f16>(),
            (DType::F16, false) => self.on_hardware::<f16>(),
            (_, true) => self.on_software::<f32>(),
            (_, false) => self.on_hardware::<f32>(),
        }
    }

    /// Numbers of batches, heads, queries, and vectors of a head.
    fn sizes(&self) -> [usize; 4] {
        let shape = self.q.meta.shape();
        [shape[0], shape[1], shape[2], shape[3] / VECTOR]
    }

    fn keys(&self) -> usize {
        self.k.meta.shape()[2]
    }

    fn layout(&self, part: &Launch) -> LayoutLaunch {
        let [_, heads, queries, _] = self.sizes();
        let other = self.other.as_ref().unwrap_or(&self.q);
        LayoutLaunch::new(
            part.queries.start as u32,
            part.queries.end as u32,
            part.heads.start as u32,
            heads as u32,
            queries as u32,
            self.keys() as u32,
            steps(&self.q),
            steps(other),
            steps(&self.k),
            steps(&self.v),
        )
    }

    fn factors(&self) -> ScoreFactorsLaunch {
        ScoreFactorsLaunch::new(self.gamma, self.scale)
    }

    /// A new `[batch, tokens, heads, head_dim]`.
    fn output(&self, dtype: DType) -> CubeTensor {
        let [batch, heads, tokens, width] = self.sizes();
        let shape = [batch, tokens, heads, VECTOR * width];
        output_of(&self.q, &shape, dtype)
    }

    /// Parts of at most `work` operations, but of at least `multiple` queries of one head. Parts prefer whole heads to a few
    /// queries of every head: one head's keys and values fit into caches, those of all heads do not.
    fn parts(&self, work: u64, multiple: usize) -> Vec<Launch> {
        let [batch, heads, queries, width] = self.sizes();
        let head: u64 = [4 * VECTOR, batch, queries, width, self.keys()].iter().map(|size| *size as u64).product();
        let heads_each = usize::try_from(work / head.max(1)).unwrap_or(usize::MAX).clamp(1, heads);
        let pieces = usize::try_from(head.div_ceil(work)).unwrap_or(usize::MAX);
        let queries_each = queries.div_ceil(pieces).next_multiple_of(multiple);
        let cut = |all: usize, each: usize| (0..all).step_by(each).map(move |start| start..all.min(start + each));
        cut(heads, heads_each)
            .flat_map(|heads| cut(queries, queries_each).map(move |queries| Launch { heads: heads.clone(), queries }))
            .collect()
    }

    /// Workgroups for a part, `each` queries to a workgroup.
    fn grid(&self, part: &Launch, each: usize) -> CubeCount {
        let batch = self.sizes()[0];
        CubeCount::Static(part.queries.len().div_ceil(each) as u32, part.heads.len() as u32, batch as u32)
    }

    fn on_software<F: Float + CubeElement>(&self) -> CubeTensor {
        let [_, _, tokens, width] = self.sizes();
        let (blocks, is_held) = blocks(width, [tokens, self.keys()], lanes());
        if is_held { self.held::<F>(blocks) } else { self.streamed::<F>(blocks) }
    }

    fn held<F: Float + CubeElement>(&self, blocks: Blocks) -> CubeTensor {
        let queries = blocks.tile * blocks.lanes.count;
        let out = self.output(self.q.dtype);
        for part in self.parts(SOFTWARE_PART, queries) {
            // SAFETY: the kernel clamps queries and keys to the tensors' sizes, and writes only queries of the part.
            unsafe {
                software::held::launch_unchecked::<F>(
                    &self.q.client,
                    self.grid(&part, queries),
                    CubeDim::new_1d(blocks.lanes.count as u32),
                    buffer(&self.q),
                    self.other.as_ref().map(buffer).into(),
                    buffer(&self.k),
                    buffer(&self.v),
                    buffer(&out),
                    self.layout(&part),
                    self.factors(),
                    self.sizes()[3],
                    blocks,
                );
            }
        }
        out
    }

    fn streamed<F: Float + CubeElement>(&self, blocks: Blocks) -> CubeTensor {
        let queries = blocks.tile * blocks.lanes.count;
        let [batch, heads, tokens, width] = self.sizes();
        let keys = self.keys();
        let out = self.output(DType::F32);
        let rows = 2 * batch * heads * tokens;
        let state = self.q.client.empty(rows * size_of::<f32>());
        // A block loops over the width twice.
        let keys_each = (ITERATIONS / (2 * width + 1)).max(1) * blocks.block;
        for part in self.parts(SOFTWARE_PART, queries) {
            for from in (0..keys).step_by(keys_each) {
                // SAFETY: as above; `state` has two numbers for each query of each head.
                unsafe {
                    software::streamed::launch_unchecked::<F>(
                        &self.q.client,
                        self.grid(&part, queries),
                        CubeDim::new_1d(blocks.lanes.count as u32),
                        buffer(&self.q),
                        self.other.as_ref().map(buffer).into(),
                        buffer(&self.k),
                        buffer(&self.v),
                        buffer(&out),
                        BufferArg::from_raw_parts(state.clone(), rows),
                        self.layout(&part),
                        self.factors(),
                        from as u32,
                        keys.min(from + keys_each) as u32,
                        width,
                        blocks,
                    );
                }
            }
        }
        cast(out, self.q.dtype)
    }

    fn on_hardware<F: Float + CubeElement>(&self) -> CubeTensor {
        let width = self.sizes()[3];
        let tiles = tiles(width);
        debug_assert!(tiles.bytes(width) <= SHARED, "{tiles:?}");
        let out = self.output(self.q.dtype);
        for part in self.parts(HARDWARE_PART, tiles.queries()) {
            // SAFETY: the kernel clamps queries and keys to the tensors' sizes, and writes only queries before the end.
            unsafe {
                hardware::attend::launch_unchecked::<F>(
                    &self.q.client,
                    self.grid(&part, tiles.queries()),
                    CubeDim::new_1d(tiles.invocations() as u32),
                    buffer(&self.q),
                    self.other.as_ref().map(buffer).into(),
                    buffer(&self.k),
                    buffer(&self.v),
                    buffer(&out),
                    self.layout(&part),
                    self.factors(),
                    width,
                    tiles,
                );
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_within_the_default_limits() {
        for width in 1..=WIDEST / VECTOR {
            let class = Class::of_heads(width);
            for invocations in ATTENTION.into_iter().filter(|_| class.is_some()).map(Some).chain([None]) {
                let tiles = divide(width, invocations);
                assert!(tiles.bytes(width) <= SHARED, "{width}: {tiles:?}");
                assert!(tiles.invocations() <= 256 && tiles.depth > 0 && tiles.span > 0, "{width}: {tiles:?}");
            }
        }
    }
}

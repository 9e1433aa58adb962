//! What all attention kernels share: how operands lie in memory, and how queries are read.

use cubecl::prelude::*;

/// Four neighbouring numbers of a head.
pub type Four<F> = Vector<F, Const<4>>;

/// Below any score. Not the lowest f32, since differences of scores must not overflow.
pub const LOWEST: f32 = -1e30;

/// From one batch, head and token of an operand to the next, in vectors of four.
#[derive(CubeType, CubeLaunch, Debug, Clone, Copy)]
pub struct Steps {
    /// From one batch to the next.
    pub batch: u32,
    /// From one head to the next.
    pub head: u32,
    /// From one token to the next.
    pub token: u32,
}

/// Sizes, and steps through the operands.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Layout {
    /// The first query of this launch.
    pub first: u32,
    /// The query after the last of this launch.
    pub end: u32,
    /// The first head of this launch.
    pub head: u32,
    /// All heads.
    pub heads: u32,
    /// All queries.
    pub queries: u32,
    /// All keys.
    pub keys: u32,
    /// Through the queries.
    pub q: Steps,
    /// Through the queries to blend in.
    pub other: Steps,
    /// Through the keys.
    pub k: Steps,
    /// Through the values.
    pub v: Steps,
}

/// ScoreFactors of the scores: γ, and what multiplies the scores.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct ScoreFactors {
    /// Share of the other queries.
    pub gamma: f32,
    /// Multiplies the scores.
    pub scale: f32,
}

/// Where the numbers of this invocation's batch and head begin: the grid's z and y.
#[cube]
pub fn start_of_head(layout: &Layout, steps: &Steps) -> usize {
    let head = layout.head as usize + CUBE_POS_Y as usize;
    CUBE_POS_Z as usize * steps.batch as usize + head * steps.head as usize
}

/// Where the row of a token begins in an output of `[batch, tokens, heads, head_dim]`, `width` vectors to a head.
#[cube]
pub fn row_of(layout: &Layout, token: usize, #[comptime] width: usize) -> usize {
    let head = layout.head as usize + CUBE_POS_Y as usize;
    ((CUBE_POS_Z as usize * layout.queries as usize + token) * layout.heads as usize + head) * width
}

/// Vector `column` of the query at `token`, blended. Not scaled: large scores lose less if they are scaled themselves.
#[cube]
pub fn query<F: Float>(
    q: &[Four<F>],
    other: ComptimeOption<&[Four<F>]>,
    layout: &Layout,
    factors: &ScoreFactors,
    token: usize,
    column: usize,
) -> Four<f32> {
    let own = Four::<f32>::cast_from(q[start_of_head(layout, &layout.q) + token * layout.q.token as usize + column]);
    #[comptime]
    match other {
        ComptimeOption::Some(other) => {
            let at = start_of_head(layout, &layout.other) + token * layout.other.token as usize + column;
            let theirs = Four::<f32>::cast_from(other[at]);
            fma(theirs, Four::new(factors.gamma), own * Four::new(1.0 - factors.gamma))
        }
        ComptimeOption::None => own,
    }
}

/// a·b + c.
#[cube]
pub fn dot(a: Four<f32>, b: Four<f32>, c: f32) -> f32 {
    let c = fma(a.extract(0usize), b.extract(0usize), c);
    let c = fma(a.extract(1usize), b.extract(1usize), c);
    let c = fma(a.extract(2usize), b.extract(2usize), c);
    fma(a.extract(3usize), b.extract(3usize), c)
}

//! What all attention kernels share: the operands' layout in memory, and how queries are read.

use cubecl::prelude::*;

/// Four neighbouring numbers of a head.
pub type Four<F> = Vector<F, Const<4>>;

/// Below any score. Not the lowest f32, since differences of scores must not overflow.
pub const LOWEST: f32 = -1e30;

/// Strides of an operand, in vectors of four.
#[derive(CubeType, CubeLaunch, Debug, Clone, Copy)]
pub struct Steps {
    /// From one batch to the next.
    pub batch: u32,
    /// From one head to the next.
    pub head: u32,
    /// From one token to the next.
    pub token: u32,
}

/// Sizes and strides of the operands, and what part of them a launch computes.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Layout {
    /// The first query of this launch.
    pub first: u32,
    /// The query after the last of this launch.
    pub end: u32,
    /// The first head of this launch.
    pub head: u32,
    /// Number of heads.
    pub heads: u32,
    /// Number of queries.
    pub queries: u32,
    /// Number of keys.
    pub keys: u32,
    /// Strides of the queries.
    pub q: Steps,
    /// Strides of the second query operand.
    pub other: Steps,
    /// Strides of the keys.
    pub k: Steps,
    /// Strides of the values.
    pub v: Steps,
}

/// Factors of the blend and of the scores.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct ScoreFactors {
    /// Share of the second query operand, γ.
    pub gamma: f32,
    /// Multiplies the scores.
    pub scale: f32,
}

/// Offset of this invocation's batch and head, which are the grid's z and y, in an operand.
#[cube]
pub fn start_of_head(layout: &Layout, steps: &Steps) -> usize {
    let head = layout.head as usize + CUBE_POS_Y as usize;
    CUBE_POS_Z as usize * steps.batch as usize + head * steps.head as usize
}

/// Offset of a token's row in an output of `[batch, tokens, heads, head_dim]`, `width` vectors to a head.
#[cube]
pub fn row_of(layout: &Layout, token: usize, #[comptime] width: usize) -> usize {
    let head = layout.head as usize + CUBE_POS_Y as usize;
    ((CUBE_POS_Z as usize * layout.queries as usize + token) * layout.heads as usize + head) * width
}

/// Vector `column` of the query at `token`, blended. Not scaled: scaling the scores instead loses less precision in large ones.
#[cube]
pub fn query<F: Float>(
    q: &[Four<F>],                     // (batch, heads, tokens, width)
    other: ComptimeOption<&[Four<F>]>, // the second query operand, of q's shape
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

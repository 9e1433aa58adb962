//! Features of the coarse levels, for a second call on the same latents that differs from the first in the finer levels alone.

use burn::tensor::Tensor;

/// What the second call takes over.
#[derive(Debug, Clone)]
pub struct Deep {
    /// Up blocks that both calls compute, counted from the last.
    live: usize,
    kept: Option<Kept>,
}

#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Input of the first live up block, without its skip connection.
    pub(super) x: Tensor<4>,
    /// The skip connections of the live up blocks.
    pub(super) skips: Vec<Tensor<4>>,
}

impl Deep {
    /// Of calls that differ in the last `live` up blocks, at least one.
    pub fn new(live: usize) -> Self {
        Self { live: live.max(1), kept: None }
    }

    /// Number of the first live up block of a network with `blocks` of them.
    pub(super) fn first(&self, blocks: usize) -> usize {
        blocks.saturating_sub(self.live)
    }

    /// Keeps what a call has before its first live up block.
    pub(super) fn keep(&mut self, x: &Tensor<4>, skips: &[Tensor<4>]) {
        self.kept = Some(Kept { x: x.clone(), skips: skips.to_vec() });
    }

    /// What the first call kept.
    pub(super) fn take(&mut self) -> Option<Kept> {
        self.kept.take()
    }
}

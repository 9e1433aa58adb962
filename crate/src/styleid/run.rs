//! What the phases of a run share beside the model.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use crate::control::Control;

/// Who listens to a run, what is counted, and how much of it is kept.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Progress out, cancel in.
    pub control: &'a Control<'a>,
    /// What is counted.
    pub counters: &'a Counters,
    /// Whether the latents of every step are kept. They are for a trace only, and hundreds of steps take hundreds of tensors.
    pub traced: bool,
}

/// What a session has seen of its network so far.
#[derive(Debug, Default)]
pub struct Counters {
    calls: Cell<usize>,
    inversions: Cell<usize>,
    reverse_passes: Cell<usize>,
    met: RefCell<BTreeSet<[usize; 4]>>,
}

impl Counters {
    /// Pictures that the UNet was called on so far.
    pub fn unet_calls(&self) -> usize {
        self.calls.get()
    }

    /// Pictures that were inverted so far.
    pub fn inversions(&self) -> usize {
        self.inversions.get()
    }

    /// Reverse passes so far.
    pub fn reverse_passes(&self) -> usize {
        self.reverse_passes.get()
    }

    /// Counts an inversion of `pictures` pictures in one batch.
    pub(super) fn inverts(&self, pictures: usize) {
        self.inversions.set(self.inversions.get() + pictures);
    }

    /// Counts a reverse pass.
    pub(super) fn reverses(&self) {
        self.reverse_passes.set(self.reverse_passes.get() + 1);
    }

    /// Counts a call of the UNet on a batch of `pictures`.
    pub(super) fn count(&self, pictures: usize) {
        self.calls.set(self.calls.get() + pictures);
    }

    /// Whether latents of this `shape` are new to the network: a GPU compiles its shaders at the first.
    pub(super) fn meets(&self, shape: [usize; 4]) -> bool {
        self.met.borrow_mut().insert(shape)
    }
}

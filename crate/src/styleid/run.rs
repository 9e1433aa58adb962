//! What the phases of a run share in addition to the model.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use crate::control::Control;

/// A run's callbacks and counters, and whether it is traced.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Progress out, cancel in.
    pub control: &'a Control<'a>,
    /// Counts of calls and passes.
    pub counters: &'a Counters,
    /// Whether the latents of every step are kept. Only a trace needs them, and hundreds of steps take hundreds of tensors.
    pub traced: bool,
}

/// What a session has computed so far.
#[derive(Debug, Default)]
pub struct Counters {
    calls: Cell<usize>,
    inversions: Cell<usize>,
    reverse_passes: Cell<usize>,
    met: RefCell<BTreeSet<[usize; 4]>>,
}

impl Counters {
    /// Calls of the UNet so far, counted once per picture of a batch.
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

    /// Whether this is the first call on latents of this `shape`, in which a GPU compiles its shaders. Remembers the shape.
    pub(super) fn meets(&self, shape: [usize; 4]) -> bool {
        self.met.borrow_mut().insert(shape)
    }
}

//! Which implementation of our operations runs: the one point that decides.

use std::sync::atomic::{AtomicU8, Ordering};

use burn::tensor::{DType, Device, Tensor};

/// An implementation of all our operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// burn's own operations: on the processor in other types than f32, on a GPU for finding out whether a kernel is at fault;
    /// in the browser only with the feature `bench`.
    Reference,
    /// Kernels for the processor posing as a GPU (SwiftShader, lavapipe): no workgroup memory, since barriers are dear
    /// there and every memory is the same; one invocation computes a large register tile.
    Software,
    /// Kernels for GPUs: tiles shared by a workgroup, register tiles within.
    Hardware,
    /// Plain code for the processor's cores and vectors, in f32.
    Processor,
}

impl Kernels {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Processor => "processor",
            Self::Software => "software",
            Self::Hardware => "hardware",
        }
    }
}

static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// Sets what runs on the GPU from now on.
pub fn choose(kernels: Kernels) {
    CHOSEN.store(kernels as u8, Ordering::Relaxed);
}

/// What computes with `x`, where the processor has code of its own too.
pub fn family<const D: usize>(x: &Tensor<D>) -> Kernels {
    let device = x.device();
    let has_own = cfg!(not(target_arch = "wasm32")) && crate::device::is_processor(&device);
    if has_own && x.dtype() == DType::F32 { Kernels::Processor } else { kernels(&device) }
}

/// What runs on `device`: burn's operations on the processor, and what was [chosen](choose) elsewhere.
pub fn kernels(device: &Device) -> Kernels {
    if crate::device::is_processor(device) {
        return Kernels::Reference;
    }
    match CHOSEN.load(Ordering::Relaxed) {
        1 => Kernels::Software,
        2 => Kernels::Hardware,
        // The page goes without: burn's convolutions and products would be a quarter of what every visitor loads.
        _ if cfg!(all(target_arch = "wasm32", not(feature = "bench"))) => Kernels::Hardware,
        _ => Kernels::Reference,
    }
}

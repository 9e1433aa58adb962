//! Decides, in one place, which implementation of our operations runs.

use std::sync::atomic::{AtomicU8, Ordering};

use burn::tensor::{DType, Device, Tensor};

/// An implementation of all our operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// burn's own operations: on the processor for types other than f32, on a GPU to find out whether a kernel is at fault, in
    /// the browser only with the feature `bench`.
    Reference,
    /// Kernels for software adapters (SwiftShader, lavapipe), which run shaders on the processor: no workgroup memory, since
    /// barriers are expensive and all memory is equally fast there; one invocation computes a large register tile.
    Software,
    /// Kernels for GPUs: tiles in workgroup memory, and register tiles within them.
    Hardware,
    /// Plain code for the processor's cores and SIMD vectors, in f32.
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

/// Sets the implementation for GPUs from now on.
pub fn choose(kernels: Kernels) {
    CHOSEN.store(kernels as u8, Ordering::Relaxed);
}

/// The implementation for `x`, for operations that have code for the processor too.
pub fn family<const D: usize>(x: &Tensor<D>) -> Kernels {
    let device = x.device();
    let has_own = cfg!(not(target_arch = "wasm32")) && crate::device::is_processor(&device);
    if has_own && x.dtype() == DType::F32 { Kernels::Processor } else { kernels(&device) }
}

/// The implementation for `device`: burn's operations on the processor, elsewhere the [chosen](choose) one.
pub fn kernels(device: &Device) -> Kernels {
    if crate::device::is_processor(device) {
        return Kernels::Reference;
    }
    match CHOSEN.load(Ordering::Relaxed) {
        1 => Kernels::Software,
        2 => Kernels::Hardware,
        // The page leaves out the reference: burn's convolutions and products would be a quarter of what every visitor loads.
        _ if cfg!(all(target_arch = "wasm32", not(feature = "bench"))) => Kernels::Hardware,
        _ => Kernels::Reference,
    }
}

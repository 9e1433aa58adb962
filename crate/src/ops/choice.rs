//! Decides, in one place, which implementation of our operations runs.

#[cfg(feature = "gpu")]
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

#[cfg(feature = "processor")]
use burn::tensor::DType;
use burn::tensor::{Device, Tensor};

#[cfg(feature = "gpu")]
use super::launch::Lanes;

/// An implementation of all our operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// burn's own operations: on the processor for types other than f32, on a GPU to find out whether a kernel is at fault, in
    /// the browser only with the feature `bench`.
    Reference,
    /// Kernels for software adapters (SwiftShader, lavapipe), which run shaders on the processor: no workgroup memory, since
    /// barriers are expensive and all memory is equally fast there; one invocation computes a large register tile.
    #[cfg(feature = "gpu")]
    Software,
    /// Kernels for GPUs: tiles in workgroup memory, and register tiles within them.
    #[cfg(feature = "gpu")]
    Hardware,
    /// Plain code for the processor's cores and SIMD vectors, in f32.
    #[cfg(feature = "processor")]
    Processor,
}

impl Kernels {
    /// Whether these are kernels for software adapters.
    pub const fn is_for_software(self) -> bool {
        match self {
            #[cfg(feature = "gpu")]
            Self::Software => true,
            _ => false,
        }
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            #[cfg(feature = "processor")]
            Self::Processor => "processor",
            #[cfg(feature = "gpu")]
            Self::Software => "software",
            #[cfg(feature = "gpu")]
            Self::Hardware => "hardware",
        }
    }
}

#[cfg(feature = "gpu")]
static CHOSEN: AtomicU8 = AtomicU8::new(0);

/// Sets the implementation for GPUs from now on.
#[cfg(feature = "gpu")]
pub fn choose(kernels: Kernels) {
    CHOSEN.store(kernels as u8, Ordering::Relaxed);
}

/// Invocations of a subgroup, 0 where that is not known.
#[cfg(feature = "gpu")]
static SUBGROUP: AtomicU32 = AtomicU32::new(0);

/// Says that shaders may use subgroups, and that all have `size` invocations; `None` if either is not so.
#[cfg(feature = "gpu")]
pub fn use_subgroups(size: Option<u32>) {
    SUBGROUP.store(size.unwrap_or(0), Ordering::Relaxed);
}

/// The workgroups of the kernels for software adapters.
#[cfg(feature = "gpu")]
pub(super) fn lanes() -> Lanes {
    Lanes::of_subgroup(Some(SUBGROUP.load(Ordering::Relaxed)))
}

/// The implementation for `x`, for operations that have code for the processor too.
pub fn family<const D: usize>(x: &Tensor<D>) -> Kernels {
    let device = x.device();
    #[cfg(feature = "processor")]
    if crate::device::is_processor(&device) && x.dtype() == DType::F32 {
        return Kernels::Processor;
    }
    kernels(&device)
}

/// The implementation for `device`: burn's operations on the processor, elsewhere the [chosen](choose) one.
#[cfg(feature = "gpu")]
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

/// The implementation for the processor: burn's operations.
#[cfg(not(feature = "gpu"))]
pub fn kernels(_: &Device) -> Kernels {
    Kernels::Reference
}

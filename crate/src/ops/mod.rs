//! Our own implementations, in addition to burn's, of the operations that networks spend their time in. The kernels keep to
//! WebGPU's default limits.
//!
//! Each operation is a folder: `reference` computes it with burn's own operations, `kernel` or `gemm` has the `CubeCL` kernels
//! and their launches, `host` computes it on the processor's cores (by a `product` of
//! matrices, with `panels` of the weights), and `mod` has the functions that the model calls. These ask
//! [`family`] or [`kernels`] which of them to run. A program has those of its features, `gpu` and `processor`.

pub mod attention;
mod choice;
#[cfg(feature = "processor")]
pub mod clock;
pub mod conv;
pub mod elementwise;
#[cfg(feature = "gpu")]
pub mod gemm;
mod geometry;
pub mod halves;
#[cfg(feature = "processor")]
mod host;
#[cfg(feature = "gpu")]
mod launch;
pub mod linear;
pub mod norm;
#[cfg(feature = "processor")]
mod panels;
#[cfg(feature = "processor")]
mod product;
#[cfg(feature = "gpu")]
pub mod tiles;
pub mod weight;

pub use choice::{Kernels, family, kernels};
#[cfg(feature = "gpu")]
pub use choice::{choose, use_subgroups};

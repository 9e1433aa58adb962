//! Operations of our own beside burn's: what a network spends its time in, as kernels written for WebGPU's default limits.
//!
//! Each operation is a folder: `reference` computes it with burn's own operations, `kernel` holds the `CubeCL` kernels and
//! how they are launched, `host` computes it on the processor's cores, and its `mod` is the one function that the model
//! calls. That function asks [`family`] or [`kernels`] which of them to run.

pub mod attention;
mod choice;
pub mod conv;
pub mod elementwise;
pub mod gemm;
pub mod halves;
#[cfg(not(target_arch = "wasm32"))]
mod host;
mod launch;
pub mod linear;
pub mod norm;
pub mod weight;

pub use choice::{Kernels, choose, family, kernels};

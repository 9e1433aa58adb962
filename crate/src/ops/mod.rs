//! Our own implementations, in addition to burn's, of the operations that networks spend their time in. The kernels keep to
//! WebGPU's default limits.
//!
//! Each operation is a folder: `reference` computes it with burn's own operations, `kernel` or `gemm` has the `CubeCL` kernels
//! and their launches, `host` computes it on the processor's cores (with `panels` of the
//! weights), and `mod` has the functions that the model calls. These ask
//! [`family`] or [`kernels`] which of them to run.

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
#[cfg(not(target_arch = "wasm32"))]
mod panels;
pub mod weight;

pub use choice::{Kernels, choose, family, kernels};

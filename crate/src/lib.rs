//! **StyleID**: repaints a photo in the style of a painting with Stable Diffusion, without any training.
//!
//! Both pictures are inverted to noise with DDIM while self-attention features are kept; the content's noise takes the
//! style's statistics; the reverse pass then attends, in the late decoder layers, with the content's queries over the
//! style's keys and values (Chung, Hyun and Heo, *Style Injection in Diffusion*, CVPR 2024).
//!
//! The same crate runs natively (processor or GPU) and in the browser on WebGPU. A module imports only those before it:
//!
//! ```text
//! weights < error < control < fault < device < ops < picture < memory < gpu < platform < diffusion < model < styleid
//!   < eval < trace < selftest < bench < messages < web < cli
//! ```
//!
//! The features `gpu` and `processor` say which devices a program has; the command line has both, a page's program one.
//!
//! [`weights`] is the crate `styleid-weights`: it reads a checkpoint's tensors from bytes. `docs/architecture.md`
//! follows the path of a picture and of a weight.

#[cfg(not(any(feature = "gpu", feature = "processor")))]
compile_error!("a program has to have a device: turn on the feature `gpu`, `processor` or both");

#[cfg(feature = "bench")]
pub mod bench;
pub mod control;
pub mod device;
pub mod diffusion;
pub mod error;
pub mod eval;
pub mod fault;
#[cfg(test)]
#[path = "../../tests/native/golden.rs"]
#[allow(dead_code, reason = "the integration tests use more of it")]
mod golden;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod memory;
#[cfg(any(target_arch = "wasm32", test))]
pub mod messages;
pub mod model;
pub mod ops;
pub mod picture;
pub mod platform;
pub mod selftest;
pub mod styleid;
#[cfg(not(target_arch = "wasm32"))]
pub mod trace;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use control::{Control, Phase, Progress};
pub use error::{Error, Result};
pub use styleid::{Inversion, Params, Pipeline, Preset, Session, Style};
pub use styleid_weights as weights;

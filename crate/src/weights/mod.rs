//! Weights: from files, wherever they are, to tensors in the form in which the device holds them.
//!
//! Data flows one way: [`mod@file`] (bytes by range) → [`mod@format`] (which tensors a file holds) → [`checkpoint`] (which tensors a
//! model has, by diffusers name) → [`stream`] (converted one by one as they arrive) → [`cache`] and [`tensors`] → model.

pub mod cache;
pub mod checkpoint;
pub mod compact;
#[cfg(not(target_arch = "wasm32"))]
pub mod embedded;
pub mod family;
pub mod file;
pub mod format;
pub mod http;
pub mod hub;
#[cfg(not(target_arch = "wasm32"))]
pub mod local;
pub mod names;
pub mod origin;
pub mod pack;
pub mod source;
pub mod stream;
pub mod tensors;

pub use compact::{Compact, WeightType};
pub use origin::Origin;
pub use tensors::Tensors;

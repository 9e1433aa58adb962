//! A streaming reader of Stable Diffusion weights, natively and in browsers.
//!
//! It reads a model from a disk, an address, the Hugging Face Hub, or files that a visitor picked. It supports folders in
//! the diffusers layout, single LDM files (safetensors, GGUF, or PyTorch's zip kind) and packs. Every tensor is delivered by
//! its diffusers name, already converted to its storage type, while the bytes arrive. Only a few MiB of a file are in memory
//! at a time. Converted weights can be cached on disk for the next visit. Nothing here computes with weights.
//!
//! Data flows one way: [`source`] (bytes by range) → [`mod@format`] (the tensors in a file) → [`checkpoint`] (the tensors
//! of a model, and their values as they arrive) → the receiver, and [`store`] (the cache).
//!
//! Imports go one way too. Each module uses only those before it:
//!
//! ```text
//! error < source < config < format < store < checkpoint
//! ```
//!
//! # Example
//!
//! All weights of a local model as 8-bit integers, one after another:
//!
//! ```no_run
//! # #[cfg(not(target_arch = "wasm32"))]
//! # async fn example() -> styleid_weights::Result<()> {
//! use styleid_weights::checkpoint::stream::{ByteProgress, Receiver, Wanted, stream};
//! use styleid_weights::{Compact, Origin, Pending, Result, TensorRequest, WeightType};
//!
//! struct Names;
//!
//! impl Receiver for Names {
//!     fn receive<'a>(&'a mut self, tensor: Compact, _: &'a TensorRequest) -> Pending<'a, Result<()>> {
//!         println!("{} {:?}: {} bytes", tensor.name, tensor.shape, tensor.bytes.len());
//!         Box::pin(async { Ok(()) })
//!     }
//!
//!     fn progress(&mut self, _done: u64, _total: u64) -> Pending<'_, Result<()>> {
//!         Box::pin(async { Ok(()) })
//!     }
//! }
//!
//! let origin = Origin::local("models/sd15".as_ref(), None)?;
//! let checkpoint = (origin.open)().await?;
//! let request = |(name, located): (&String, &styleid_weights::Located)| {
//!     let (name, shape) = (name.clone(), located.shape.clone());
//!     TensorRequest { is_weight: name.ends_with(".weight") && shape.len() > 1, name, shape, rows: None }
//! };
//! let requests: Vec<TensorRequest> = checkpoint.tensors.iter().map(request).collect();
//! let wanted: Vec<Wanted<'_>> =
//!     requests.iter().map(|request| Wanted { name: request.name.clone(), request }).collect();
//! stream(&checkpoint, &wanted, WeightType::Q8, &mut Names, &mut ByteProgress::default()).await
//! # }
//! ```
#![warn(missing_docs)]

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod format;
pub mod source;
pub mod store;

pub use checkpoint::census::Census;
pub use checkpoint::origin::Origin;
pub use checkpoint::request::TensorRequest;
pub use checkpoint::{Checkpoint, Located};
pub use error::{Error, Result};
pub use format::Dtype;
pub use format::compact::{Compact, WeightType};
pub use source::{File, Pending, Sink, Source};
pub use store::{Cache, KeptCopy, ModelKey};

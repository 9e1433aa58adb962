//! What is kept of a model for the next time, and where.

pub mod cache;
#[cfg(target_arch = "wasm32")]
pub mod opfs;
pub mod storage;

pub use cache::{Cache, KeptCopy, ModelKey};
pub use storage::{Storage, StorageError};

//! Models stored for the next visit.

pub mod cache;
#[cfg(target_arch = "wasm32")]
pub mod opfs;
pub mod storage;

pub use cache::{Cache, KeptCopy, ModelKey};
pub use storage::{Storage, StorageError};

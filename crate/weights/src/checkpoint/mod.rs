//! A model's tensors by diffusers' names, whatever files they are in, and their values as they arrive.

pub mod census;
pub mod family;
pub mod names;
mod opened;
pub mod origin;
pub mod pack;
pub mod request;
pub mod stream;

pub use opened::{Checkpoint, Located, NULL_EMBEDDING, read_header};

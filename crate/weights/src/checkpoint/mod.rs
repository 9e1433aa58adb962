//! A model's tensors by their diffusers names, whatever the file format, and their values as they arrive.

pub mod census;
pub mod choice;
pub mod contents;
pub mod family;
mod folder;
mod layout;
mod located;
pub mod names;
mod opened;
pub mod origin;
pub mod pack;
mod parts;
pub mod prediction;
pub mod request;
mod single;
pub mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use contents::Contents;
pub use located::Located;
pub use names::Part;
pub use opened::{Checkpoint, NULL_EMBEDDING, read_header};
pub use parts::Parts;
pub use prediction::PredictionSource;

//! Files read by byte range, and the folders that contain them.
//!
//! The traits are in [`mod@file`]. They are implemented for files on this computer (`local`), in the program (`embedded`),
//! picked by a visitor of a page (`picked`), at an address ([`http`]) and on the Hugging Face Hub ([`hub`]).

#[cfg(not(target_arch = "wasm32"))]
pub mod embedded;
pub mod file;
pub mod http;
pub mod hub;
pub mod json;
pub mod licence;
#[cfg(not(target_arch = "wasm32"))]
pub mod local;
#[cfg(target_arch = "wasm32")]
pub mod picked;
pub mod token;

pub use file::{File, Listed, Pending, Sink, Source};

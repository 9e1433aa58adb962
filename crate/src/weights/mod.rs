//! Weights: where the files come from ([`source`]) and the named tensors in them ([`tensors`]).
//! Data flows one way from here: source → tensors → model → pipeline.

pub mod names;
pub mod source;
pub mod tensors;

pub use source::Source;
pub use tensors::Tensors;

//! The self-attention features that an inversion captures.

use burn::tensor::Tensor;

use crate::control::Phase;
pub use crate::model::attention::KeyValue;

/// The self-attention features kept for a picture in a given role, content or style.
pub trait Feature: Sized {
    /// Name of the role in messages.
    const ROLE: &'static str;
    /// Phase in which such a picture is encoded.
    const ENCODE: Phase;
    /// Phase in which such a picture is inverted.
    const INVERT: Phase;
    /// Added to the seed of the VAE's posterior, so that the two pictures get different noise.
    const SEED_OFFSET: u32;

    /// Number of tensors in a feature.
    const PARTS: usize;
    /// Whether this is the content, whose own keys and values may be kept in addition to its feature.
    const IS_CONTENT: bool;

    /// Takes what is needed from one self-attention.
    fn of(q: &Tensor<4>, keys_values: &KeyValue) -> Self;

    /// The feature as its tensors.
    fn into_tensors(self) -> Vec<Tensor<4>>;

    /// Rebuilds the feature from its tensors; `None` if their number is wrong.
    fn from_tensors(tensors: Vec<Tensor<4>>) -> Option<Self>;
}

/// Queries of the content, `[1, heads, tokens, head_dim]`.
#[derive(Debug, Clone)]
pub struct Query(pub Tensor<4>);

impl Feature for Query {
    const ROLE: &'static str = "content";
    const ENCODE: Phase = Phase::EncodeContent;
    const INVERT: Phase = Phase::InvertContent;
    const SEED_OFFSET: u32 = 1;
    const PARTS: usize = 1;
    const IS_CONTENT: bool = true;

    fn of(q: &Tensor<4>, _: &KeyValue) -> Self {
        Self(q.clone())
    }

    fn into_tensors(self) -> Vec<Tensor<4>> {
        vec![self.0]
    }

    fn from_tensors(tensors: Vec<Tensor<4>>) -> Option<Self> {
        let [q] = tensors.try_into().ok()?;
        Some(Self(q))
    }
}

/// Keys and values of a style.
impl Feature for KeyValue {
    const ROLE: &'static str = "style";
    const ENCODE: Phase = Phase::EncodeStyle;
    const INVERT: Phase = Phase::InvertStyle;
    const SEED_OFFSET: u32 = 0;
    const PARTS: usize = 2;
    const IS_CONTENT: bool = false;

    fn of(_: &Tensor<4>, keys_values: &KeyValue) -> Self {
        keys_values.clone()
    }

    fn into_tensors(self) -> Vec<Tensor<4>> {
        vec![self.k, self.v]
    }

    fn from_tensors(tensors: Vec<Tensor<4>>) -> Option<Self> {
        let [k, v] = tensors.try_into().ok()?;
        Some(Self { k, v })
    }
}

/// Decoder layer and noise level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Decoder layer.
    pub layer: usize,
    /// Index of the noise level, from the least noisy.
    pub level: usize,
}

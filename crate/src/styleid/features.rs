//! The feature bank: what an inversion keeps of self-attention.

use std::collections::HashMap;

use burn::tensor::Tensor;

use crate::control::Phase;
pub use crate::model::attention::KeyValue;
use crate::model::attention::Qkv;
use crate::{Error, Result};

/// What a picture's role in the run makes worth keeping. Nothing else is kept.
pub trait Feature: Sized {
    /// Name of the role in messages.
    const ROLE: &'static str;
    /// Phase in which such a picture is encoded.
    const ENCODE: Phase;
    /// Phase in which such a picture is inverted.
    const INVERT: Phase;
    /// Added to the seed of the VAE's posterior, so that the two pictures get different noise.
    const SEED_OFFSET: u32;

    /// Takes what is needed from one self-attention.
    fn of(qkv: &Qkv) -> Self;
}

/// Queries of the content, `[1, heads, tokens, head_dim]`.
#[derive(Debug, Clone)]
pub struct Query(pub Tensor<4>);

impl Feature for Query {
    const ROLE: &'static str = "content";
    const ENCODE: Phase = Phase::EncodeContent;
    const INVERT: Phase = Phase::InvertContent;
    const SEED_OFFSET: u32 = 1;

    fn of(qkv: &Qkv) -> Self {
        Self(qkv.q.clone())
    }
}

/// Of the style.
impl Feature for KeyValue {
    const ROLE: &'static str = "style";
    const ENCODE: Phase = Phase::EncodeStyle;
    const INVERT: Phase = Phase::InvertStyle;
    const SEED_OFFSET: u32 = 0;

    fn of(qkv: &Qkv) -> Self {
        Self { k: qkv.k.clone(), v: qkv.v.clone() }
    }
}

/// Decoder layer and the timestep that the UNet was called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Decoder layer.
    pub layer: usize,
    /// Timestep given to the UNet.
    pub timestep: usize,
}

/// One picture's features by layer and timestep.
#[derive(Debug, Clone)]
pub struct Bank<F> {
    features: HashMap<Key, F>,
}

impl<F> Default for Bank<F> {
    fn default() -> Self {
        Self { features: HashMap::new() }
    }
}

impl<F: Feature> Bank<F> {
    /// Keeps the feature of one layer at one timestep.
    pub fn insert(&mut self, key: Key, feature: F) {
        self.features.insert(key, feature);
    }

    /// The feature of one layer at one timestep.
    ///
    /// # Errors
    /// Says which was never captured: the inversion was run with other layers or steps.
    pub fn get(&self, key: Key) -> Result<&F> {
        self.features.get(&key).ok_or_else(|| {
            Error::Settings(format!(
                "The {} was inverted without layer {} at timestep {}; invert it again with the settings of this run.",
                F::ROLE,
                key.layer,
                key.timestep
            ))
        })
    }
}

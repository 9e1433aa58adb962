//! What `StyleID` does at a decoder layer's self-attention: capture while inverting, inject while denoising.

use super::features::{Bank, Feature, Key, KeyValue, Query};
use crate::Result;
use crate::model::attention::{Qkv, SelfAttentionHook};

/// Keeps the features of the chosen layers at one timestep, and changes nothing.
pub struct Capture<'a, F> {
    /// Chosen decoder layers.
    pub layers: &'a [usize],
    /// The timestep given to the UNet.
    pub timestep: usize,
    /// Where the features go.
    pub bank: &'a mut Bank<F>,
}

impl<F: Feature> SelfAttentionHook for Capture<'_, F> {
    fn decoder_layer(&mut self, layer: usize, qkv: Qkv) -> Qkv {
        if self.layers.contains(&layer) {
            self.bank.insert(Key { layer, timestep: self.timestep }, F::of(&qkv));
        }
        qkv
    }
}

/// Style injection at one timestep (paper, equations 3 to 5): q̂ = γ·q_content + (1 − γ)·q, keys and values the style's,
/// scores times T.
pub struct Inject<'a> {
    sources: Vec<(usize, &'a Query, &'a KeyValue)>,
    gamma: f32,
    temperature: f32,
}

impl<'a> Inject<'a> {
    /// Looks up what every layer of `layers` needs at `timestep`, before the network runs.
    ///
    /// # Errors
    /// Says which feature was never captured.
    pub fn new(
        content: &'a Bank<Query>,
        style: &'a Bank<KeyValue>,
        layers: &[usize],
        timestep: usize,
        gamma: f32,
        temperature: f32,
    ) -> Result<Self> {
        let sources = layers
            .iter()
            .map(|&layer| {
                let key = Key { layer, timestep };
                Ok((layer, content.get(key)?, style.get(key)?))
            })
            .collect::<Result<_>>()?;
        Ok(Self { sources, gamma, temperature })
    }
}

impl SelfAttentionHook for Inject<'_> {
    fn decoder_layer(&mut self, layer: usize, qkv: Qkv) -> Qkv {
        let Some((_, query, style)) = self.sources.iter().find(|(at, ..)| *at == layer) else {
            return qkv;
        };
        Qkv {
            q: qkv.q,
            blend: Some((query.0.clone(), self.gamma)),
            k: style.k.clone(),
            v: style.v.clone(),
            temperature: self.temperature,
        }
    }
}

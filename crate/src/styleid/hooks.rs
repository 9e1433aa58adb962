//! What `StyleID` does at a decoder layer's self-attention: capture while inverting, inject while denoising.

use burn::tensor::Tensor;

use super::bank::{Bank, Fetched};
use super::features::{Feature, Key, KeyValue, Query};
use crate::Result;
use crate::model::attention::{Qkv, SelfAttentionHook};

#[cfg(test)]
mod tests;

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

/// [`Capture`] of both pictures in one batch, the content first.
pub struct CaptureBoth<'a> {
    /// The content's.
    pub content: Capture<'a, Query>,
    /// The style's.
    pub style: Capture<'a, KeyValue>,
}

impl SelfAttentionHook for CaptureBoth<'_> {
    fn decoder_layer(&mut self, layer: usize, qkv: Qkv) -> Qkv {
        if self.content.layers.contains(&layer) {
            // A copy, where the bank makes none: a part of the batch would keep all of it alive.
            let of = |x: &Tensor<4>, picture| x.clone().narrow(0, picture, 1).mul_scalar(1.0);
            let key = Key { layer, timestep: self.content.timestep };
            self.content.bank.insert(key, Query(of(&qkv.q, 0)));
            self.style.bank.insert(key, KeyValue { k: of(&qkv.k, 1), v: of(&qkv.v, 1) });
        }
        qkv
    }
}

/// Style injection at one timestep (paper, equations 3 to 5): q̂ = γ·q_content + (1 − γ)·q, keys and values the style's,
/// scores times T.
pub struct Inject<'a> {
    content: &'a Bank<Query>,
    style: &'a Bank<KeyValue>,
    /// Layers to come whose features are not on their way yet, the next last.
    layers: Vec<usize>,
    timestep: usize,
    gamma: f32,
    temperature: f32,
    /// What the next layer needs: on the device, or on its way there while the layers before it compute.
    next: Option<Source>,
    /// What the layer that is being computed needs of the content.
    query: Option<Query>,
}

/// The features of one layer.
struct Source {
    layer: usize,
    content: Fetched<Query>,
    style: Fetched<KeyValue>,
}

impl<'a> Inject<'a> {
    /// Makes sure that there is what every layer of `layers`, ascending, needs at `timestep`, before the network runs.
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
        for &layer in layers {
            content.check(Key { layer, timestep })?;
            style.check(Key { layer, timestep })?;
        }
        let layers = layers.iter().rev().copied().collect();
        let mut inject = Self { content, style, layers, timestep, gamma, temperature, next: None, query: None };
        inject.next = inject.fetch();
        Ok(inject)
    }

    fn fetch(&mut self) -> Option<Source> {
        let layer = self.layers.pop()?;
        let key = Key { layer, timestep: self.timestep };
        Some(Source { layer, content: self.content.fetch(key).ok()?, style: self.style.fetch(key).ok()? })
    }
}

impl SelfAttentionHook for Inject<'_> {
    fn keys_values(&mut self, layer: usize) -> Option<KeyValue> {
        let source = self.next.take_if(|source| source.layer == layer)?;
        self.next = self.fetch();
        self.query = source.content.feature();
        source.style.feature()
    }

    fn decoder_layer(&mut self, _layer: usize, qkv: Qkv) -> Qkv {
        let Some(query) = self.query.take() else {
            return qkv;
        };
        Qkv { blend: Some((query.0.clone(), self.gamma)), temperature: self.temperature, ..qkv }
    }
}

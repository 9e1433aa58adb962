//! `StyleID`'s attention processors: capture while inverting, inject while denoising.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::bank::{Bank, Fetched};
use super::blend::{LayerMix, Replacement};
use super::features::{Feature, Key, KeyValue, Query};
use super::params::Params;
use crate::Result;
use crate::model::attention::{AttentionProcessor, Qkv, SelfAttention, attend};

#[cfg(test)]
mod tests;

/// Captures the features of the chosen layers at one noise level, and leaves attention unchanged.
pub struct Capture<'a, F> {
    /// Chosen decoder layers.
    pub layers: &'a [usize],
    /// Number of the noise level.
    pub level: usize,
    /// Where the features go.
    pub bank: &'a mut Bank<F>,
    /// Where the content's keys and values go, if they are kept.
    pub own: Option<&'a mut Bank<KeyValue>>,
}

impl<F: Feature> AttentionProcessor for Capture<'_, F> {
    fn attend(&mut self, layer: usize, own: SelfAttention<'_>) -> Tensor<4> {
        let keys_values = own.keys_values();
        if self.layers.contains(&layer) {
            let key = Key { layer, level: self.level };
            self.bank.insert(key, F::of(&own.q, &keys_values));
            if let Some(bank) = &mut self.own {
                bank.insert(key, keys_values.clone());
            }
        }
        attend(Qkv::plain(own.q, keys_values))
    }
}

/// [`Capture`] of both pictures in one batch, the content first.
pub struct CaptureBoth<'a> {
    /// The content's.
    pub content: Capture<'a, Query>,
    /// The style's.
    pub style: Capture<'a, KeyValue>,
}

impl AttentionProcessor for CaptureBoth<'_> {
    fn attend(&mut self, layer: usize, own: SelfAttention<'_>) -> Tensor<4> {
        let keys_values = own.keys_values();
        if self.content.layers.contains(&layer) {
            // A copy, since the bank may make none: a slice would keep the buffer of the whole batch alive.
            let of = |x: &Tensor<4>, picture| x.clone().narrow(0, picture, 1).mul_scalar(1.0);
            let key = Key { layer, level: self.content.level };
            let keys_values_of = |picture| KeyValue { k: of(&keys_values.k, picture), v: of(&keys_values.v, picture) };
            self.content.bank.insert(key, Query(of(&own.q, 0)));
            if let Some(bank) = &mut self.content.own {
                bank.insert(key, keys_values_of(0));
            }
            self.style.bank.insert(key, keys_values_of(1));
        }
        attend(Qkv::plain(own.q, keys_values))
    }
}

/// What a reverse pass injects.
#[derive(Debug)]
pub struct Injection<'a> {
    /// The content's features.
    pub content: &'a Bank<Query>,
    /// The styles' features.
    pub styles: Vec<&'a Bank<KeyValue>>,
    /// Other keys and values to attend over: the content's own, then those of a film's frame before.
    pub others: Vec<&'a Bank<KeyValue>>,
    /// How the styles are mixed at each injected layer.
    pub mixes: BTreeMap<usize, LayerMix>,
    /// γ and T.
    pub params: &'a Params,
}

/// Style injection at one noise level (paper, equations 3 to 5): queries are q̂ = γ·q_content + (1 − γ)·q, keys and values
/// are the styles', and scores are multiplied by T. If the content has a share, its own keys and values are appended to the
/// styles' (Z-STAR, Deng et al. 2024). Those of a film's frame before are appended likewise.
pub struct Inject<'a> {
    injection: &'a Injection<'a>,
    level: usize,
    way: f64,
    /// Prefetched features of the next injected layer: they are uploaded while the layers before it compute.
    next: Option<LayerFeatures>,
    /// Where the layers' own keys and values go, if they are kept.
    captured: Option<&'a mut Bank<KeyValue>>,
}

/// The features of one layer.
struct LayerFeatures {
    layer: usize,
    content: Fetched<Query>,
    styles: Vec<Fetched<KeyValue>>,
    others: Vec<Fetched<KeyValue>>,
}

impl<'a> Inject<'a> {
    /// Injection at noise level `level` and progress `way` of the reverse pass. Checks that every layer's features exist
    /// before the network runs.
    ///
    /// # Errors
    /// Says which feature was never captured.
    pub fn new(injection: &'a Injection<'a>, level: usize, way: f64) -> Result<Self> {
        for &layer in injection.mixes.keys() {
            let key = Key { layer, level };
            injection.content.check(key)?;
            injection.styles.iter().chain(&injection.others).try_for_each(|bank| bank.check(key))?;
        }
        let mut inject = Self { injection, level, way, next: None, captured: None };
        inject.next = inject.fetch_from(0);
        Ok(inject)
    }

    /// Also keeps the injected layers' own keys and values in `bank`.
    #[must_use]
    pub fn capturing(self, bank: Option<&'a mut Bank<KeyValue>>) -> Self {
        Self { captured: bank, ..self }
    }

    /// Starts to fetch the features of the first injected layer from `first` on.
    fn fetch_from(&self, first: usize) -> Option<LayerFeatures> {
        let (&layer, _) = self.injection.mixes.range(first..).next()?;
        let key = Key { layer, level: self.level };
        let fetch = |banks: &[&Bank<KeyValue>]| banks.iter().map(|bank| bank.fetch(key)).collect::<Result<_>>();
        let Injection { content, styles, others, .. } = self.injection;
        let content = content.fetch(key).ok()?;
        Some(LayerFeatures { layer, content, styles: fetch(styles).ok()?, others: fetch(others).ok()? })
    }

    /// Queries, keys and values to inject in decoder layer `layer`, and the share of each token that uses them; `None` for
    /// a layer without injection. Also starts to fetch the next layer's features.
    fn injected(&mut self, layer: usize, q: &Tensor<4>) -> Option<(Qkv, Option<Tensor<4>>)> {
        let features = self.next.take_if(|next| next.layer == layer)?;
        self.next = self.fetch_from(layer + 1);
        let params = self.injection.params;
        let mix = self.injection.mixes.get(&layer)?;
        let floats = |fetched: &[Fetched<KeyValue>]| fetched.iter().map(Fetched::feature).collect::<Option<_>>();
        let Replacement { keys_values, share } =
            mix.replacement(floats(&features.styles)?, floats(&features.others)?)?;
        let Query(content) = features.content.feature()?;
        let qkv = Qkv {
            blend: Some((content, params.gamma_at(layer, self.way))),
            temperature: params.temperature_at(self.way),
            groups: mix.groups(),
            ..Qkv::plain(q.clone(), keys_values)
        };
        Some((qkv, share))
    }
}

impl AttentionProcessor for Inject<'_> {
    fn attend(&mut self, layer: usize, own: SelfAttention<'_>) -> Tensor<4> {
        match self.injected(layer, &own.q) {
            Some((qkv, share)) => {
                if let Some(bank) = &mut self.captured {
                    bank.insert(Key { layer, level: self.level }, own.keys_values());
                }
                own.attend(qkv, share)
            }
            None => own.plain(),
        }
    }
}

//! What a model is, for people: `styleid info` and the page.

use std::collections::BTreeMap;

use serde::Serialize;

#[cfg(not(target_arch = "wasm32"))]
use super::needs::requests;
use super::record::ModelRecord;
use crate::Result;
#[cfg(not(target_arch = "wasm32"))]
use crate::device::{Place, Precision, cpu};
use crate::weights::Census;
use crate::weights::checkpoint::{Checkpoint, NULL_EMBEDDING};
use crate::weights::config::{Configs, DecoderLevel, Prediction, UnetConfig};
use crate::weights::format::Dtype;

/// What a model is, for `styleid info` and the page.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ModelInfo {
    /// Name of its file or folder.
    pub name: String,
    /// Its parts that are from elsewhere (`vae`, `text_encoder`), each with the name of the file or folder that it is from.
    pub taken: BTreeMap<String, String>,
    /// How its files are laid out, for people.
    pub layout: String,
    /// `1.x`, `2.x`, or `unconditional` for a model without a text encoder.
    pub version: &'static str,
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Who says so, as the end of a sentence.
    pub prediction_by: String,
    /// Side in pixels of the pictures it was trained on.
    pub native_size: usize,
    /// Pixels a latent along each side.
    pub factor: usize,
    /// Decoder layers with self-attention.
    pub layers: Vec<usize>,
    /// The decoder's levels that have such layers, from the coarsest to the finest.
    pub decoder: Vec<LevelInfo>,
    /// Those layers that are injected where nobody asks for others; those of the method's version for none.
    pub injection_layers: Option<Vec<usize>>,
    /// Number of weights.
    pub parameters: u64,
    /// Bytes of weights in the files.
    pub bytes: u64,
    /// Figures of each part: name, weights, bytes, dtypes.
    pub parts: Vec<PartInfo>,
}

/// A level of the decoder.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LevelInfo {
    /// Pixels along each side that one of its tokens stands for.
    pub stride: usize,
    /// Its layers with self-attention.
    pub layers: Vec<usize>,
}

/// Figures of one part of a model.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PartInfo {
    /// Name of the network.
    pub name: String,
    /// Its tensors.
    #[serde(flatten)]
    pub census: Census,
}

impl ModelInfo {
    /// From a model's configs and record, and the census of its tensors by part.
    pub(super) fn new(configs: &Configs, record: &ModelRecord, parts: BTreeMap<String, Census>) -> Self {
        // A pack keeps the text encoder's config, though not its weights.
        let version = match &configs.text {
            None => "unconditional",
            Some(_) if configs.unet.use_linear_projection => "2.x",
            Some(_) => "1.x",
        };
        let levels = configs.unet.block_out_channels.len();
        let latents = configs.unet.sample_size.unwrap_or(8 << levels.saturating_sub(1));
        Self {
            name: last_of(&record.name),
            taken: record.taken.iter().map(|(part, from)| (part.clone(), last_of(from))).collect(),
            layout: record.layout.clone(),
            version,
            prediction: configs.scheduler.prediction_type,
            prediction_by: record.prediction_by.clone(),
            native_size: latents * configs.vae.factor(),
            factor: configs.vae.factor(),
            layers: configs.unet.decoder_layers(),
            decoder: levels_of(&configs.unet, configs.vae.factor()),
            injection_layers: configs.unet.injection_layers.clone(),
            parameters: parts.values().map(|census| census.parameters).sum(),
            bytes: parts.values().map(|census| census.bytes).sum(),
            parts: parts.into_iter().map(|(name, census)| PartInfo { name, census }).collect(),
        }
    }

    /// Describes a model, and checks that its files have all that its networks need, without reading any weight.
    /// `prediction` overrides the prediction type that the files give.
    ///
    /// # Errors
    /// As [`super::StableDiffusion::load`].
    pub fn of(checkpoint: &Checkpoint, prediction: Option<Prediction>) -> Result<Self> {
        let record = ModelRecord::of(checkpoint).with_prediction(prediction);
        let configs = record.configs(prediction)?;
        let parts = census(checkpoint.tensors.iter().map(|(name, located)| (name, located.dtype, &located.shape[..])));
        #[cfg(not(target_arch = "wasm32"))]
        {
            let place = Place::new(cpu(), Precision::F32, 0)?;
            let shapes = checkpoint.tensors.iter().map(|(name, located)| (name, &located.shape));
            requests(&configs, shapes, !checkpoint.tensors.contains_key(NULL_EMBEDDING), &place)?;
        }
        Ok(Self::new(&configs, &record, parts))
    }
}

/// The last component of a path or address: the rest may reveal a person's folders.
fn last_of(path: &str) -> String {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default().to_string()
}

/// The levels of a decoder whose latents are `factor` pixels along each side.
fn levels_of(unet: &UnetConfig, factor: usize) -> Vec<LevelInfo> {
    let by_level = unet.decoder_layers_by_level().into_iter().filter(|level| !level.layers.is_empty());
    by_level.map(|DecoderLevel { level, layers }| LevelInfo { stride: factor << level, layers }).collect()
}

/// Weights, bytes and types by part of the model, of tensors with full names.
pub(super) fn census<'a>(tensors: impl Iterator<Item = (&'a String, Dtype, &'a [usize])>) -> BTreeMap<String, Census> {
    let mut parts = BTreeMap::<String, Census>::new();
    for (name, dtype, shape) in tensors {
        let part = name.split_once('.').map_or(NULL_EMBEDDING, |(part, _)| part);
        parts.entry(part.to_string()).or_default().add(dtype, shape.iter().map(|&side| side as u64).product());
    }
    parts
}

/// Number of weights of a part.
pub(super) fn parameters(parts: &BTreeMap<String, Census>, part: &str) -> u64 {
    parts.get(part).map_or(0, |census| census.parameters)
}

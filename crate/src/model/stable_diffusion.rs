//! A whole model: networks, schedule and the empty prompt's embedding.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::{Prediction, SchedulerConfig, TextConfig, UnetConfig, VaeConfig};
use super::context::Context;
use super::facts::Facts;
use super::tokenizer::SpecialTokens;
use super::unet::Unet;
use super::vae::Vae;
use crate::device::Place;
use crate::memory::Memory;
use crate::weights::tensors::Census;
use crate::{Error, Result};

/// Everything that a run needs, on one device.
#[derive(Debug, Clone)]
pub struct StableDiffusion {
    /// The denoising network.
    pub unet: Unet,
    /// The autoencoder.
    pub vae: Vae,
    /// Noise schedule and prediction type.
    pub scheduler: SchedulerConfig,
    /// The empty prompt's embedding, `[1, tokens, width]`.
    pub null_embedding: Tensor<3>,
    /// The same as the UNet's cross-attentions see it.
    pub context: Context,
    /// What it is.
    pub info: ModelInfo,
    /// What it may take there.
    pub memory: Memory,
    /// Where it lives.
    pub place: Place,
}

/// What a model is, for `styleid info` and the page.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// Name of its file or folder.
    pub name: String,
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
    /// Those of them that are injected where nobody asks for others; those of the method's version for none.
    pub injection_layers: Option<Vec<usize>>,
    /// Number of weights.
    pub parameters: u64,
    /// Bytes of weights in the files.
    pub bytes: u64,
    /// Figures of each part: name, weights, bytes, dtypes.
    pub parts: Vec<PartInfo>,
}

/// Figures of one part of a model.
#[derive(Debug, Clone, Serialize)]
pub struct PartInfo {
    /// Name of the network.
    pub name: String,
    /// Its tensors.
    #[serde(flatten)]
    pub census: Census,
}

/// The configs of a model's networks.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Configs {
    pub(super) unet: UnetConfig,
    pub(super) vae: VaeConfig,
    pub(super) scheduler: SchedulerConfig,
    #[serde(rename = "text_encoder")]
    text: Option<TextConfig>,
    tokens: Option<SpecialTokens>,
}

impl Configs {
    /// Reads and checks diffusers' configs of the model `name`.
    pub(super) fn parse(name: &str, value: Value) -> Result<Self> {
        let configs: Self = serde_json::from_value(value)
            .map_err(|error| Error::Model(format!("The configs of {name} cannot be understood: {error}.")))?;
        configs.unet.check()?;
        configs.vae.check()?;
        configs.scheduler.check()?;
        let (latents, width) = (configs.vae.latent_channels, configs.unet.cross_attention_dim.at(0));
        if configs.unet.in_channels != latents || configs.unet.out_channels != latents {
            return Err(Error::Model(format!(
                "The UNet of {name} works on {} channels and its VAE on {latents}; inpainting and other variants cannot \
                 be run here.",
                configs.unet.in_channels
            )));
        }
        if let Some(text) = &configs.text {
            text.check()?;
            if text.hidden_size != width {
                return Err(Error::Model(format!(
                    "The UNet of {name} takes a context of width {width}, but its text encoder's is {}.",
                    text.hidden_size
                )));
            }
        }
        Ok(configs)
    }

    /// The text encoder's config, and the empty prompt's token ids.
    pub(super) fn prompt(&self) -> Result<(TextConfig, Vec<usize>)> {
        let missing = || Error::Model("The model has neither a text encoder nor the empty prompt's embedding.".into());
        let text = self.text.clone().ok_or_else(missing)?;
        let ids = self.tokens.ok_or_else(missing)?.empty_prompt(text.max_position_embeddings);
        Ok((text, ids))
    }

    pub(super) fn info(&self, facts: &Facts, parts: BTreeMap<String, Census>) -> ModelInfo {
        // A pack of a model with a text encoder keeps its config, though not its weights.
        let version = match &self.text {
            None => "unconditional",
            Some(_) if self.unet.use_linear_projection => "2.x",
            Some(_) => "1.x",
        };
        let levels = self.unet.block_out_channels.len();
        let latents = self.unet.sample_size.unwrap_or(8 << levels.saturating_sub(1));
        let name = facts.name.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
        ModelInfo {
            name: name.to_string(),
            layout: facts.layout.clone(),
            version,
            prediction: self.scheduler.prediction_type,
            prediction_by: facts.prediction_by.clone(),
            native_size: latents * self.vae.factor(),
            factor: self.vae.factor(),
            layers: self.unet.decoder_layers(),
            injection_layers: self.unet.injection_layers.clone(),
            parameters: parts.values().map(|census| census.parameters).sum(),
            bytes: parts.values().map(|census| census.bytes).sum(),
            parts: parts.into_iter().map(|(name, census)| PartInfo { name, census }).collect(),
        }
    }
}

//! The configs of a whole model.

use serde::Deserialize;
use serde_json::Value;

use super::scheduler::SchedulerConfig;
use super::text::TextConfig;
use super::tokens::SpecialTokens;
use super::unet::UnetConfig;
use super::vae::VaeConfig;
use crate::error::{Error, Result};

/// The configs of a model's networks.
#[derive(Debug, Clone, Deserialize)]
pub struct Configs {
    /// Of the UNet.
    pub unet: UnetConfig,
    /// Of the autoencoder.
    pub vae: VaeConfig,
    /// Noise schedule and prediction type.
    pub scheduler: SchedulerConfig,
    /// Of the text encoder; a pack of a model with one keeps it, though not its weights.
    #[serde(rename = "text_encoder")]
    pub text: Option<TextConfig>,
    /// Ids of the tokenizer's special tokens.
    pub tokens: Option<SpecialTokens>,
}

impl Configs {
    /// Reads and checks diffusers' configs of the model `name`: an object with those of `unet`, `vae`, `scheduler`,
    /// `text_encoder` and the special `tokens`.
    ///
    /// # Errors
    /// Names the config or the key that cannot be run.
    pub fn parse(name: &str, value: Value) -> Result<Self> {
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
    ///
    /// # Errors
    /// The model has no text encoder.
    pub fn prompt(&self) -> Result<(TextConfig, Vec<usize>)> {
        let missing = || Error::Model("The model has neither a text encoder nor the empty prompt's embedding.".into());
        let text = self.text.clone().ok_or_else(missing)?;
        let ids = self.tokens.ok_or_else(missing)?.empty_prompt(text.max_position_embeddings);
        Ok((text, ids))
    }
}

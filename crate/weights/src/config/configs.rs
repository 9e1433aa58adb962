//! The configs of a whole model.

use serde_json::Value;

use super::reading::read;
use super::scheduler::{Prediction, SchedulerConfig};
use super::text::TextConfig;
use super::tokens::SpecialTokens;
use super::unet::{NULLS, UnetConfig};
use super::vae::VaeConfig;
use crate::error::{Error, Result};

/// The configs of a model's networks.
#[derive(Debug, Clone)]
pub struct Configs {
    /// The UNet's config. Its `sample_size` is always set: if no file states it, it is the family's default.
    pub unet: UnetConfig,
    /// The autoencoder's config.
    pub vae: VaeConfig,
    /// Noise schedule and prediction type.
    pub scheduler: SchedulerConfig,
    /// The text encoder's config. A pack keeps it even without the text encoder's weights.
    pub text: Option<TextConfig>,
    /// Ids of the tokenizer's special tokens.
    pub tokens: Option<SpecialTokens>,
}

/// Diffusers' configs with the user's prediction type inserted, as input for [`Configs::parse`]. An invalid scheduler
/// config stays as it is and is rejected there.
pub fn with_prediction(mut configs: Value, prediction: Option<Prediction>) -> Value {
    if let Some(prediction) = prediction
        && let Some(scheduler) = configs.get_mut("scheduler").and_then(Value::as_object_mut)
    {
        scheduler.insert("prediction_type".into(), serde_json::json!(prediction));
    }
    configs
}

impl Configs {
    /// Reads and checks diffusers' configs of the model `name`: an object with `unet`, `vae`, `scheduler`, `text_encoder`
    /// and the special `tokens`. `prediction` overrides the prediction type in them.
    ///
    /// # Errors
    /// The config and the key that are invalid or not supported.
    pub fn parse(name: &str, value: Value, prediction: Option<Prediction>) -> Result<Self> {
        let value = with_prediction(value, prediction);
        let part = |key: &str| {
            let part = value.get(key).filter(|part| !part.is_null());
            part.ok_or_else(|| Error::Model(format!("{name} has no config of its {key}; use a complete model.")))
        };
        let mut unet = Self::unet(name, part("unet")?)?;
        let vae = Self::vae(name, part("vae")?)?;
        let scheduler = Self::scheduler(name, part("scheduler")?)?;
        let text = part("text_encoder").ok().map(|text| Self::text(name, text)).transpose()?;
        let tokens = part("tokens").ok().map(|tokens| Self::tokens(name, tokens)).transpose()?;
        let (latents, width) = (vae.latent_channels, unet.cross_attention_dim.at(0));
        if unet.in_channels != latents || unet.out_channels != latents {
            return Err(Error::Model(format!(
                "The UNet of {name} takes {} channels and gives {}, and its VAE has {latents}; use a plain model of \
                 version 1 or 2.",
                unet.in_channels, unet.out_channels
            )));
        }
        if let Some(text) = &text
            && text.hidden_size != width
        {
            return Err(Error::Model(format!(
                "The UNet of {name} takes a context of width {width}, but its text encoder's is {}.",
                text.hidden_size
            )));
        }
        if let (Some(text), Some(SpecialTokens { bos, eos, pad })) = (&text, tokens)
            && bos.max(eos).max(pad) >= text.vocab_size
        {
            return Err(Error::Model(format!(
                "The tokenizer of {name} is another model's: its text encoder knows only {} tokens.",
                text.vocab_size
            )));
        }
        unet.sample_size = Some(unet.native_side(scheduler.prediction_type == Prediction::VPrediction));
        Ok(Self { unet, vae, scheduler, text, tokens })
    }

    /// Reads and checks the UNet's config of the model `name`.
    ///
    /// # Errors
    /// The key that is invalid or not supported. The other functions do the same.
    pub fn unet(name: &str, value: &Value) -> Result<UnetConfig> {
        let config: UnetConfig = read(name, "unet/config.json", value, &NULLS)?;
        config.check().map(|()| config)
    }

    /// Reads and checks a VAE's config.
    ///
    /// # Errors
    /// As [`Configs::unet`].
    pub fn vae(name: &str, value: &Value) -> Result<VaeConfig> {
        let config: VaeConfig = read(name, "vae/config.json", value, &[])?;
        config.check().map(|()| config)
    }

    /// Reads and checks a scheduler's config.
    ///
    /// # Errors
    /// As [`Configs::unet`].
    pub fn scheduler(name: &str, value: &Value) -> Result<SchedulerConfig> {
        let config: SchedulerConfig = read(name, "scheduler/scheduler_config.json", value, &[])?;
        config.check().map(|()| config)
    }

    /// Reads and checks a text encoder's config.
    ///
    /// # Errors
    /// As [`Configs::unet`].
    pub fn text(name: &str, value: &Value) -> Result<TextConfig> {
        // The config of a whole CLIP contains that of its text encoder.
        let value = value.get("text_config").filter(|part| part.is_object()).unwrap_or(value);
        let config: TextConfig = read(name, "text_encoder/config.json", value, &[])?;
        config.check().map(|()| config)
    }

    fn tokens(name: &str, value: &Value) -> Result<SpecialTokens> {
        serde::Deserialize::deserialize(value)
            .map_err(|error| Error::Model(format!("The special tokens of {name} cannot be understood: {error}.")))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        json!({ "unet": { "cross_attention_dim": 768 }, "vae": {}, "scheduler": {},
            "text_encoder": { "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12 },
            "tokens": { "bos": 49406, "eos": 49407, "pad": 49407 } })
    }

    #[test]
    fn a_whole_model_of_defaults() {
        let configs = Configs::parse("a/model", whole(), None).expect("Stable Diffusion 1.5");
        assert_eq!(configs.unet.sample_size, Some(64));
        assert_eq!(configs.prompt().expect("a text encoder").1.len(), 77);
    }

    #[test]
    fn a_person_overrules_the_prediction_and_the_side_follows() {
        let mut two = whole();
        two["unet"]["use_linear_projection"] = json!(true);
        let side = |prediction| {
            let configs = Configs::parse("a/model", two.clone(), prediction).expect("a model");
            (configs.scheduler.prediction_type, configs.unet.sample_size)
        };
        assert_eq!(side(None), (Prediction::Epsilon, Some(64)));
        assert_eq!(side(Some(Prediction::VPrediction)), (Prediction::VPrediction, Some(96)));
        let mut odd = whole();
        odd["scheduler"]["prediction_type"] = json!("sample");
        assert!(Configs::parse("a/model", odd.clone(), None).is_err());
        assert!(Configs::parse("a/model", odd, Some(Prediction::Epsilon)).is_ok());
    }

    #[test]
    fn any_json_ends_in_a_sentence() {
        let odd = [json!(null), json!([]), json!("text"), json!(7), json!(true), json!([[]]), json!({ "a": [] })];
        for part in ["unet", "vae", "scheduler", "text_encoder", "tokens"] {
            for odd in &odd {
                for prediction in [None, Some(Prediction::VPrediction)] {
                    let mut configs = whole();
                    configs[part] = odd.clone();
                    if let Err(error) = Configs::parse("a/model", configs, prediction) {
                        let message = error.to_string();
                        assert!(message.contains("a/model") && message.ends_with('.'), "{message}");
                    }
                    if let Err(error) = Configs::parse("a/model", odd.clone(), prediction) {
                        assert!(error.to_string().contains("a/model"), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        for (pointer, value, part) in [
            ("/vae/latent_channels", json!(16), "channels"),
            ("/text_encoder/hidden_size", json!(1024), ""),
            ("/text_encoder/max_position_embeddings", json!(4_000_000_000u64), "max_position_embeddings"),
            ("/text_encoder/hidden_act", json!("relu"), "hidden_act"),
            ("/text_encoder/model_type", json!("t5"), "model_type"),
            ("/tokens/pad", json!(49408), "tokenizer"),
            ("/vae/scaling_factor", json!("none"), "scaling_factor"),
            ("/vae/shift_factor", json!(0.1159), "shift_factor"),
            ("/vae/latents_mean", json!([1, 2]), "latents_mean"),
            ("/vae/layers_per_block", json!(1_000_000), "layers_per_block"),
            ("/vae/block_out_channels", json!([]), "block_out_channels"),
            ("/vae/down_block_types", json!(["AttnDownEncoderBlock2D"]), "down_block_types"),
            ("/vae/_class_name", json!("AutoencoderTiny"), "AutoencoderTiny"),
        ] {
            let mut configs = whole();
            let (at, key) = pointer.rsplit_once('/').expect("a pointer");
            configs.pointer_mut(at).expect("a part")[key] = value;
            let message = Configs::parse("a/model", configs, None).expect_err(pointer).to_string();
            assert!(message.contains(part), "{pointer}: {message}");
        }
    }
}

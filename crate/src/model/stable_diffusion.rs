//! A whole model: networks, schedule and the empty prompt's embedding, loaded from a folder in the diffusers layout.

use burn::tensor::{Device, Tensor};
use serde::Serialize;

use super::clip::TextEncoder;
use super::config::{Prediction, SchedulerConfig, TextConfig, UnetConfig, VaeConfig};
use super::tokenizer::SpecialTokens;
use super::unet::Unet;
use super::vae::Vae;
use crate::control::{Control, Phase};
use crate::device::{Place, Precision, settle};
use crate::weights::source::{Source, json, optional_json};
use crate::weights::tensors::{Census, Tensors};
use crate::{Error, Result};

const UNET: &str = "unet/diffusion_pytorch_model";
const VAE: &str = "vae/diffusion_pytorch_model";
const TEXT_ENCODER: &str = "text_encoder/model";
/// The empty prompt's embedding by itself, for models that come without a text encoder.
const NULL_EMBEDDING: &str = "null_embedding";

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
    /// What it is.
    pub info: ModelInfo,
    /// Where it lives.
    pub place: Place,
}

/// What a model is, for `styleid info` and the page.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// Name of its folder.
    pub name: String,
    /// `1.x`, `2.x`, or `unconditional` for a model without a text encoder.
    pub version: &'static str,
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Side in pixels of the pictures it was trained on.
    pub native_size: usize,
    /// Pixels a latent along each side.
    pub factor: usize,
    /// Decoder layers with self-attention.
    pub layers: Vec<usize>,
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
    /// Name of the part's folder.
    pub name: &'static str,
    /// What is in its file.
    #[serde(flatten)]
    pub census: Census,
}

/// Opens `stem.safetensors`, or `stem.fp16.safetensors` where only that is there.
async fn open(source: &impl Source, stem: &str) -> Result<Tensors> {
    for file in [format!("{stem}.safetensors"), format!("{stem}.fp16.safetensors")] {
        if let Some(bytes) = source.read(&file).await? {
            return Tensors::from_safetensors(&format!("{file} of {}", source.name()), bytes);
        }
    }
    if source.read(&format!("{stem}.safetensors.index.json")).await?.is_some() {
        return Err(Error::Model(format!(
            "{stem} of {} is split into several files, which cannot be read yet; use the variant in one file.",
            source.name()
        )));
    }
    Err(Error::Model(format!(
        "{} has no {stem}.safetensors; weights as safetensors in the diffusers layout are needed.",
        source.name()
    )))
}

/// The parts that are read before any network is built.
struct Configs {
    unet: UnetConfig,
    vae: VaeConfig,
    scheduler: SchedulerConfig,
    text: Option<TextConfig>,
}

impl Configs {
    async fn load(source: &impl Source) -> Result<Self> {
        let configs = Self {
            unet: json(source, "unet/config.json").await?,
            vae: json(source, "vae/config.json").await?,
            scheduler: json(source, "scheduler/scheduler_config.json").await?,
            text: optional_json(source, "text_encoder/config.json").await?,
        };
        configs.unet.check()?;
        configs.vae.check()?;
        configs.scheduler.check()?;
        if let Some(text) = &configs.text {
            text.check()?;
        }
        if configs.unet.in_channels != configs.vae.latent_channels
            || configs.unet.out_channels != configs.vae.latent_channels
        {
            return Err(Error::Model(format!(
                "The UNet of {} works on {} channels and its VAE on {}; inpainting and other variants cannot be run here.",
                source.name(),
                configs.unet.in_channels,
                configs.vae.latent_channels
            )));
        }
        Ok(configs)
    }

    fn info(&self, name: String, parts: Vec<PartInfo>) -> ModelInfo {
        let version = match &self.text {
            None => "unconditional",
            Some(_) if self.unet.use_linear_projection => "2.x",
            Some(_) => "1.x",
        };
        let levels = self.unet.block_out_channels.len();
        let latents = self.unet.sample_size.unwrap_or(8 << levels.saturating_sub(1));
        ModelInfo {
            name: name.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_string(),
            version,
            prediction: self.scheduler.prediction_type,
            native_size: latents * self.vae.factor(),
            factor: self.vae.factor(),
            layers: self.unet.decoder_layers(),
            parameters: parts.iter().map(|part| part.census.parameters).sum(),
            bytes: parts.iter().map(|part| part.census.bytes).sum(),
            parts,
        }
    }
}

fn part(name: &'static str, tensors: &Tensors) -> PartInfo {
    PartInfo { name, census: tensors.census().clone() }
}

impl ModelInfo {
    /// Reads what a model is without building it.
    ///
    /// # Errors
    /// As [`StableDiffusion::load`], less what only building shows.
    pub async fn load(source: &impl Source) -> Result<Self> {
        let configs = Configs::load(source).await?;
        let mut parts = vec![part("unet", &open(source, UNET).await?), part("vae", &open(source, VAE).await?)];
        if configs.text.is_some() {
            parts.push(part("text_encoder", &open(source, TEXT_ENCODER).await?));
        }
        Ok(configs.info(source.name(), parts))
    }
}

impl StableDiffusion {
    /// Loads a model in the diffusers layout on `device`, to compute in `precision`.
    ///
    /// # Errors
    /// One sentence naming the missing file, config key or tensor.
    pub async fn load(
        source: &impl Source,
        device: Device,
        precision: Precision,
        control: &Control<'_>,
    ) -> Result<Self> {
        let configs = Configs::load(source).await?;
        let steps = 3;
        control.report(Phase::Load, 0, steps);

        let unet_tensors = open(source, UNET).await?;
        let unet_part = part("unet", &unet_tensors);
        let place = Place::new(device, precision, unet_part.census.parameters)?;
        let (null_embedding, text) = null_embedding(source, &configs, &place).await?;
        control.report(Phase::Load, 1, steps);
        control.breathe().await?;

        let tensors = open(source, VAE).await?;
        let vae_part = part("vae", &tensors);
        let vae = Vae::build(configs.vae.clone(), tensors, &place)?;
        control.report(Phase::Load, 2, steps);
        control.breathe().await?;

        let unet = Unet::build(configs.unet.clone(), unet_tensors, &place)?;
        control.report(Phase::Load, 3, steps);

        let parts = [Some(unet_part), Some(vae_part), text].into_iter().flatten().collect();
        let info = configs.info(source.name(), parts);
        Ok(Self { unet, vae, scheduler: configs.scheduler, null_embedding, info, place })
    }
}

/// The empty prompt's embedding: from its own file if the model has one, else through the text encoder, which is
/// dropped as soon as the embedding is known.
async fn null_embedding(
    source: &impl Source,
    configs: &Configs,
    place: &Place,
) -> Result<(Tensor<3>, Option<PartInfo>)> {
    let width = configs.unet.cross_attention_dim.at(0);
    let file = format!("{NULL_EMBEDDING}.safetensors");
    let Some(config) = &configs.text else {
        let bytes = source.read(&file).await?.ok_or_else(|| {
            Error::Model(format!(
                "{} has neither text_encoder/config.json nor {file}; one of them is needed for the empty prompt.",
                source.name()
            ))
        })?;
        let mut tensors = Tensors::from_safetensors(&file, bytes)?;
        let tokens = tensors.shape(NULL_EMBEDDING).and_then(|shape| shape.get(1)).copied().unwrap_or(1);
        return Ok((tensors.take(NULL_EMBEDDING, [1, tokens, width], place)?, None));
    };
    if config.hidden_size != width {
        return Err(Error::Model(format!(
            "The UNet of {} takes a context of width {width}, but its text encoder's is {}.",
            source.name(),
            config.hidden_size
        )));
    }
    let tokens = SpecialTokens::load(source, config).await?;
    let tensors = open(source, TEXT_ENCODER).await?;
    let text_part = part("text_encoder", &tensors);
    let encoder = TextEncoder::build(config.clone(), tensors, place)?;
    let embedding = encoder.forward(&tokens.empty_prompt(config.max_position_embeddings))?;
    // The encoder's memory can go to the next network only when it is really done.
    settle(&embedding).await?;
    Ok((embedding, Some(text_part)))
}

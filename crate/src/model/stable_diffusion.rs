//! A whole model: networks, schedule and the empty prompt's embedding.

use burn::tensor::Tensor;

use super::info::ModelInfo;
use super::unet::{PromptContext, Unet};
use super::vae::Vae;
use crate::device::Place;
use crate::memory::Memory;
use crate::weights::config::SchedulerConfig;

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
    /// Its keys and values in the UNet's cross-attentions.
    pub context: PromptContext,
    /// Description of the model.
    pub info: ModelInfo,
    /// What the model may take on the device.
    pub memory: Memory,
    /// Its device and float types.
    pub place: Place,
    /// SHA-256 of its networks' weights and configs, as lowercase hexadecimal, if it was requested on loading.
    pub fingerprint: Option<String>,
}

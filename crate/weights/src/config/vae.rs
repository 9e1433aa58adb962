//! The autoencoder's `config.json`.

use serde::Deserialize;
use serde_json::Value;

use super::reading::short;
use crate::error::{Error, Result};

/// `vae/config.json` of a diffusers `AutoencoderKL`. Missing keys have the values of Stable Diffusion's own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Image channels in.
    pub in_channels: usize,
    /// Image channels out.
    pub out_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels of each level, outermost first.
    pub block_out_channels: Vec<usize>,
    /// Resnets per level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Factor from the posterior's samples to the UNet's latents.
    pub scaling_factor: f32,
    /// Whether a 1×1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1×1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether both mid blocks have self-attention.
    pub mid_block_add_attention: bool,
    /// Set in families with shifted latents, which this crate does not support.
    pub shift_factor: Option<f32>,
    /// All other keys, unchanged. [`VaeConfig::check`] looks for those of other families.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            latent_channels: 4,
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            shift_factor: None,
            rest: Default::default(),
        }
    }
}

impl VaeConfig {
    /// Pixels per latent along each side: 8 for Stable Diffusion.
    pub fn factor(&self) -> usize {
        1 << self.block_out_channels.len().saturating_sub(1).min(8)
    }

    /// Checks that the crate can build this autoencoder.
    ///
    /// # Errors
    /// One sentence naming the key that is outside the family.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Model(format!("This VAE cannot be run here: {what}.")));
        if let Some(class) = self.rest.get("_class_name").filter(|class| *class != "AutoencoderKL") {
            return fail(format!("it is of kind {}, and AutoencoderKL is needed", short(&class.to_string())));
        }
        if self.in_channels != 3 || self.out_channels != 3 {
            return fail("it is not for RGB pictures (in_channels, out_channels)".into());
        }
        if self.shift_factor.is_some_and(|shift| shift != 0.0) {
            return fail("its latents are shifted (shift_factor), which Stable Diffusion 1.x and 2.x do not do".into());
        }
        for key in ["latents_mean", "latents_std"] {
            if self.rest.contains_key(key) {
                return fail(format!("{key} is set, which Stable Diffusion 1.x and 2.x do not have"));
            }
        }
        if !(1..=65_536).contains(&self.latent_channels) {
            return fail(format!("latent_channels is {}, and 1 to 65536 are possible", self.latent_channels));
        }
        if self.block_out_channels.is_empty() || self.block_out_channels.len() > 8 {
            return fail("block_out_channels must have 1 to 8 levels".into());
        }
        if !(1..=16).contains(&self.layers_per_block) {
            return fail(format!("layers_per_block is {}, and 1 to 16 are possible", self.layers_per_block));
        }
        for (key, kind) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            let Some(kinds) = self.rest.get(key) else { continue };
            let right = kinds.as_array().is_some_and(|kinds| {
                kinds.len() == self.block_out_channels.len() && kinds.iter().all(|found| found == kind)
            });
            if !right {
                return fail(format!("{key} must have {kind} for every level"));
            }
        }
        let act = self.rest.get("act_fn").unwrap_or(&Value::Null);
        if !(act.is_null() || act == "silu" || act == "swish") {
            return fail("act_fn is not \"silu\"".into());
        }
        for &channels in &self.block_out_channels {
            if !(1..=65_536).contains(&channels) {
                return fail(format!("block_out_channels has {channels}, and 1 to 65536 are possible"));
            }
            if self.norm_num_groups == 0 || !channels.is_multiple_of(self.norm_num_groups) {
                return fail(format!(
                    "{channels} channels do not divide into {} norm groups (norm_num_groups)",
                    self.norm_num_groups
                ));
            }
        }
        if !(self.scaling_factor > 0.0 && self.scaling_factor.is_finite()) {
            return fail(format!("scaling_factor is {}, and must be above 0", self.scaling_factor));
        }
        Ok(())
    }
}

//! The autoencoder between pictures and latents (diffusers `AutoencoderKL`; Rombach et al. 2022, section 3.1).

use burn::module::Module;
use burn::tensor::Tensor;

use super::attention::{Attention, to_picture, to_tokens};
use super::bands::Bands;
use super::layers::{Builder, Conv};
use super::norms::GroupNorm;
use super::resnet::{Downsample, ResnetBlock, ResnetShape, Upsample};
use crate::Result;
use crate::control::Control;
use crate::device::Place;
use crate::model::tensors::Tensors;
use crate::weights::config::VaeConfig;

const EPSILON: f64 = 1e-6;

fn resnets(
    at: &mut Builder,
    config: &VaeConfig,
    count: usize,
    input: usize,
    output: usize,
) -> Result<Vec<ResnetBlock>> {
    (0..count)
        .map(|i| {
            let shape = ResnetShape {
                input: if i == 0 { input } else { output },
                output,
                time_width: None,
                groups: config.norm_num_groups,
                epsilon: EPSILON,
                scale: 1.0,
            };
            ResnetBlock::build(at.at(format_args!("resnets.{i}")), shape)
        })
        .collect()
}

/// Single-head self-attention over all pixels, added to them.
#[derive(Module, Debug)]
pub struct PixelAttention {
    group_norm: GroupNorm,
    attention: Attention,
}

impl PixelAttention {
    fn build(mut at: Builder, config: &VaeConfig, channels: usize) -> Result<Self> {
        Ok(Self {
            group_norm: at.group_norm("group_norm", config.norm_num_groups, channels, EPSILON)?,
            attention: Attention::build(at, channels, channels, 1, true)?,
        })
    }

    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let tokens = to_tokens(self.group_norm.forward(x.clone()));
        x + to_picture(self.attention.forward(tokens, None, None), height, width)
    }
}

/// The lowest resolution of the encoder and of the decoder.
#[derive(Module, Debug)]
pub struct VaeMidBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    pub(crate) attention: Option<PixelAttention>,
}

impl VaeMidBlock {
    fn build(mut at: Builder, config: &VaeConfig, channels: usize) -> Result<Self> {
        let attention = config.mid_block_add_attention;
        Ok(Self {
            resnets: resnets(&mut at, config, 2, channels, channels)?,
            attention: attention.then(|| PixelAttention::build(at.at("attentions.0"), config, channels)).transpose()?,
        })
    }

    /// Band by band, except for attention, which needs every pixel at once, at the lowest resolution.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub(super) async fn forward_bands(&self, x: Bands, control: &Control<'_>) -> Result<Bands> {
        let mut x = self.resnets[0].forward_bands(x, control).await?;
        if let Some(attention) = &self.attention {
            let limit = x.limit();
            x = Bands::whole(attention.forward(x.join()), limit);
        }
        let x = self.resnets[1].forward_bands(x, control).await?;
        control.yield_and_check().await?;
        Ok(x)
    }
}

/// A level of the encoder.
#[derive(Module, Debug)]
pub struct EncoderBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    pub(crate) downsample: Option<Downsample>,
}

/// A level of the decoder.
#[derive(Module, Debug)]
pub struct DecoderBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    pub(crate) upsample: Option<Upsample>,
}

/// Picture to moments of the posterior.
#[derive(Module, Debug)]
pub struct Encoder {
    pub(crate) conv_in: Conv,
    pub(crate) down_blocks: Vec<EncoderBlock>,
    pub(crate) mid_block: VaeMidBlock,
    pub(crate) conv_norm_out: GroupNorm,
    pub(crate) conv_out: Conv,
    pub(crate) quant_conv: Option<Conv>,
}

/// Latents to picture.
#[derive(Module, Debug)]
pub struct Decoder {
    pub(crate) post_quant_conv: Option<Conv>,
    pub(crate) conv_in: Conv,
    pub(crate) mid_block: VaeMidBlock,
    pub(crate) up_blocks: Vec<DecoderBlock>,
    pub(crate) conv_norm_out: GroupNorm,
    pub(crate) conv_out: Conv,
}

/// The autoencoder with the config that shaped it.
#[derive(Debug, Clone)]
pub struct Vae {
    /// Its `config.json`.
    pub config: VaeConfig,
    /// Most bytes of a tensor: larger pictures are computed in bands of rows.
    pub band_bytes: usize,
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
}

/// Mean and logarithm of the variance of q(z|x), both `[batch, latent_channels, h, w]`, unscaled.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// Mean, which is also the mode.
    pub mean: Tensor<4>,
    /// log σ², clamped to −30…20 as in the reference.
    pub log_variance: Tensor<4>,
}

impl Vae {
    /// Builds the autoencoder of `config` from all its tensors.
    ///
    /// # Errors
    /// Names an unsupported config key, or a missing, extra or wrongly shaped tensor.
    pub fn build(config: VaeConfig, mut tensors: Tensors, place: &Place) -> Result<Self> {
        config.check()?;
        let latents = config.latent_channels;
        let mut at = Builder::new(&mut tensors, place);
        let quant = config.use_quant_conv;
        let post_quant = config.use_post_quant_conv;
        let quant_conv = quant.then(|| at.conv("quant_conv", [2 * latents; 2], 1, 1, 0)).transpose()?;
        let post_quant_conv = post_quant.then(|| at.conv("post_quant_conv", [latents; 2], 1, 1, 0)).transpose()?;
        let encoder = Self::build_encoder(at.at("encoder"), &config, quant_conv)?;
        let decoder = Self::build_decoder(at.at("decoder"), &config, post_quant_conv)?;
        tensors.finish()?;
        Ok(Self { config, band_bytes: usize::MAX, encoder, decoder })
    }

    fn build_encoder(mut at: Builder, config: &VaeConfig, quant_conv: Option<Conv>) -> Result<Encoder> {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let down_blocks = (0..channels.len())
            .map(|level| {
                let mut at = at.at(format_args!("down_blocks.{level}"));
                let (input, output) = (channels[level.saturating_sub(1)], channels[level]);
                Ok(EncoderBlock {
                    resnets: resnets(&mut at, config, config.layers_per_block, input, output)?,
                    downsample: (level + 1 < channels.len())
                        .then(|| Downsample::build_asymmetric(at.at("downsamplers.0"), output))
                        .transpose()?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Encoder {
            conv_in: at.conv("conv_in", [config.in_channels, first], 3, 1, 1)?,
            down_blocks,
            mid_block: VaeMidBlock::build(at.at("mid_block"), config, last)?,
            conv_norm_out: at.group_norm("conv_norm_out", config.norm_num_groups, last, EPSILON)?,
            conv_out: at.conv("conv_out", [last, 2 * config.latent_channels], 3, 1, 1)?,
            quant_conv,
        })
    }

    fn build_decoder(mut at: Builder, config: &VaeConfig, post_quant_conv: Option<Conv>) -> Result<Decoder> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let up_blocks = (0..channels.len())
            .map(|level| {
                let mut at = at.at(format_args!("up_blocks.{level}"));
                let (input, output) = (channels[level.saturating_sub(1)], channels[level]);
                Ok(DecoderBlock {
                    resnets: resnets(&mut at, config, config.layers_per_block + 1, input, output)?,
                    upsample: (level + 1 < channels.len())
                        .then(|| Upsample::build(at.at("upsamplers.0"), output))
                        .transpose()?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Decoder {
            post_quant_conv,
            conv_in: at.conv("conv_in", [config.latent_channels, first], 3, 1, 1)?,
            mid_block: VaeMidBlock::build(at.at("mid_block"), config, first)?,
            up_blocks,
            conv_norm_out: at.group_norm("conv_norm_out", config.norm_num_groups, last, EPSILON)?,
            conv_out: at.conv("conv_out", [last, config.out_channels], 3, 1, 1)?,
        })
    }

    /// Pixels `[batch, 3, height, width]` in −1…1 to the posterior at ⌊height/factor⌋ × ⌊width/factor⌋: the stride-2
    /// convolutions drop what does not fill a latent.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub async fn encode(&self, pixels: Tensor<4>, control: &Control<'_>) -> Result<Posterior> {
        let encoder = &self.encoder;
        let mut x = Bands::whole(pixels, self.band_bytes).convolve(None, &encoder.conv_in, control).await?;
        for block in &encoder.down_blocks {
            for resnet in &block.resnets {
                x = resnet.forward_bands(x, control).await?;
                control.yield_and_check().await?;
            }
            if let Some(downsample) = &block.downsample {
                x = downsample.forward_bands(x, control).await?;
            }
        }
        x = encoder.mid_block.forward_bands(x, control).await?;
        let x = x.convolve(Some(&encoder.conv_norm_out), &encoder.conv_out, control).await?.join();
        let x = match &encoder.quant_conv {
            Some(conv) => conv.forward(x),
            None => x,
        };
        let channels = self.config.latent_channels;
        Ok(Posterior {
            mean: x.clone().narrow(1, 0, channels),
            log_variance: x.narrow(1, channels, channels).clamp(-30.0, 20.0),
        })
    }

    /// Unscaled latents `[batch, latent_channels, h, w]` to pixels `[batch, 3, h·factor, w·factor]`, about −1…1.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub async fn decode(&self, latents: Tensor<4>, control: &Control<'_>) -> Result<Tensor<4>> {
        let decoder = &self.decoder;
        let latents = match &decoder.post_quant_conv {
            Some(conv) => conv.forward(latents),
            None => latents,
        };
        let mut x = Bands::whole(latents, self.band_bytes).convolve(None, &decoder.conv_in, control).await?;
        x = decoder.mid_block.forward_bands(x, control).await?;
        for block in &decoder.up_blocks {
            for resnet in &block.resnets {
                x = resnet.forward_bands(x, control).await?;
                control.yield_and_check().await?;
            }
            if let Some(upsample) = &block.upsample {
                x = upsample.forward_bands(x, control).await?;
            }
        }
        Ok(x.convolve(Some(&decoder.conv_norm_out), &decoder.conv_out, control).await?.join())
    }
}

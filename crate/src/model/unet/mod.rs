//! The denoising UNet (diffusers `UNet2DConditionModel`; Rombach et al. 2022, section 3).

mod blocks;
mod context;
mod deep;
mod embeddings;

use burn::module::Module;
use burn::tensor::{FloatDType, Tensor};

use self::blocks::{DownBlock, MidBlock, UpBlock, time_width};
use self::embeddings::TimestepEmbedding;
use super::attention::AttentionProcessor;
use super::layers::{Builder, Conv};
use super::norms::GroupNorm;
use super::tensors::Tensors;
use crate::Result;
use crate::control::Control;
use crate::device::Place;
use crate::weights::config::UnetConfig;

pub use context::PromptContext;
pub use deep::Deep;
pub use embeddings::sinusoids;

/// The network's layers.
#[derive(Module, Debug)]
pub struct UnetLayers {
    pub(crate) conv_in: Conv,
    pub(crate) time_embedding: TimestepEmbedding,
    pub(crate) down_blocks: Vec<DownBlock>,
    /// `None` in distilled networks, which go straight from the down blocks to the up blocks.
    pub(crate) mid_block: Option<MidBlock>,
    pub(crate) up_blocks: Vec<UpBlock>,
    pub(crate) conv_norm_out: GroupNorm,
    pub(crate) conv_out: Conv,
}

/// The UNet with the config that shaped it.
#[derive(Debug, Clone)]
pub struct Unet {
    /// Its `config.json`.
    pub config: UnetConfig,
    pub(crate) layers: UnetLayers,
    place: Place,
}

impl Unet {
    /// Builds the network of `config` from all its tensors.
    ///
    /// # Errors
    /// Names an unsupported config key, or a missing, extra or wrongly shaped tensor.
    pub fn build(config: UnetConfig, mut tensors: Tensors, place: &Place) -> Result<Self> {
        config.check()?;
        let channels = &config.block_out_channels;
        let first = channels[0];
        let mut at = Builder::with_activations(&mut tensors, place);
        let layers = UnetLayers {
            conv_in: at.conv("conv_in", [config.in_channels, first], 3, 1, 1)?,
            time_embedding: TimestepEmbedding::build(at.at("time_embedding"), first, time_width(&config))?,
            down_blocks: (0..channels.len())
                .map(|i| DownBlock::build(at.at(format_args!("down_blocks.{i}")), &config, i))
                .collect::<Result<_>>()?,
            mid_block: config.has_mid_block().then(|| MidBlock::build(at.at("mid_block"), &config)).transpose()?,
            up_blocks: (0..channels.len())
                .map(|i| UpBlock::build(at.at(format_args!("up_blocks.{i}")), &config, i))
                .collect::<Result<_>>()?,
            conv_norm_out: at.group_norm("conv_norm_out", config.norm_num_groups, first, config.norm_eps)?,
            conv_out: at.conv("conv_out", [first, config.out_channels], 3, 1, 1)?,
        };
        tensors.finish()?;
        Ok(Self { config, layers, place: place.clone() })
    }

    /// The context of a prompt's `embedding` `[batch, n, width]` for [`Unet::forward`].
    pub fn context(&self, embedding: &Tensor<3>) -> PromptContext {
        let embedding = &embedding.clone().cast(self.place.activations());
        let UnetLayers { down_blocks, mid_block, up_blocks, .. } = &self.layers;
        PromptContext {
            down: down_blocks.iter().map(|block| block.project(embedding)).collect(),
            mid: mid_block.as_ref().map(|block| block.project(embedding)).unwrap_or_default(),
            up: up_blocks.iter().map(|block| block.project(embedding)).collect(),
        }
    }

    /// The prediction for `latents` `[batch, 4, h, w]` at `timestep` with `context` of the same batch: the same shape as the
    /// latents. Yields to the event loop between blocks; `processor` computes every self-attention of the decoder. A second
    /// call on the same latents and timestep with the same `deep` computes the finer levels alone.
    ///
    /// # Errors
    /// Only what `control` returns: a cancel.
    pub async fn forward(
        &self,
        latents: Tensor<4>,
        timestep: f64,
        context: &PromptContext,
        processor: &mut dyn AttentionProcessor,
        mut deep: Option<&mut Deep>,
        control: &Control<'_>,
    ) -> Result<Tensor<4>> {
        let layers = &self.layers;
        let time = layers.time_embedding.forward(sinusoids(timestep, &self.config, &self.place));
        let live = deep.as_ref().map(|deep| deep.first(layers.up_blocks.len()));
        let kept = deep.as_mut().and_then(|deep| deep.take());
        let is_first = kept.is_none();
        let (mut x, mut skips, first) = match (kept, live) {
            (Some(kept), Some(live)) => (kept.x, kept.skips, live),
            _ => {
                let (x, skips) = self.descend(latents, &time, context, control).await?;
                (x, skips, 0)
            }
        };
        for (i, (block, context)) in layers.up_blocks.iter().zip(&context.up).enumerate().skip(first) {
            if let Some(deep) = deep.as_mut().filter(|_| is_first && live == Some(i)) {
                deep.keep(&x, &skips);
            }
            x = block.forward(x, &time, context, &mut skips, processor);
            control.yield_and_check().await?;
        }
        let dtype: FloatDType = self.place.dtype().into();
        Ok(layers.conv_out.forward(layers.conv_norm_out.forward_silu(x)).cast(dtype))
    }
    /// The way down and through the middle: the input of the first up block, and the skip connections.
    async fn descend(
        &self,
        latents: Tensor<4>,
        time: &Tensor<2>,
        context: &PromptContext,
        control: &Control<'_>,
    ) -> Result<(Tensor<4>, Vec<Tensor<4>>)> {
        let layers = &self.layers;
        let latents = if self.config.center_input_sample { latents.mul_scalar(2.0).sub_scalar(1.0) } else { latents };
        let mut x = layers.conv_in.forward(latents);
        let mut skips = vec![x.clone()];
        for (block, context) in layers.down_blocks.iter().zip(&context.down) {
            x = block.forward(x, time, context, &mut skips);
            control.yield_and_check().await?;
        }
        if let Some(block) = &layers.mid_block {
            x = block.forward(x, time, &context.mid);
            control.yield_and_check().await?;
        }
        Ok((x, skips))
    }
}

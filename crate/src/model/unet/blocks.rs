//! The UNet's levels: down, middle and up, with or without attention.

use burn::module::Module;
use burn::tensor::Tensor;

use super::context::LevelContext;
use crate::Result;
use crate::model::attention::{AttentionProcessor, Processing, SpatialTransformer, TransformerShape};
use crate::model::layers::Builder;
use crate::model::resnet::{Downsample, ResnetBlock, ResnetShape, Upsample};
use crate::weights::config::UnetConfig;

/// Width of the timestep's embedding.
pub(super) fn time_width(config: &UnetConfig) -> usize {
    4 * config.block_out_channels[0]
}

fn resnet(config: &UnetConfig, input: usize, output: usize) -> ResnetShape {
    ResnetShape {
        input,
        output,
        time_width: Some(time_width(config)),
        groups: config.norm_num_groups,
        epsilon: config.norm_eps,
        scale: 1.0,
    }
}

fn transformer(config: &UnetConfig, level: usize) -> TransformerShape {
    TransformerShape {
        channels: config.block_out_channels[level],
        context_width: config.cross_attention_dim.at(level),
        heads: config.heads(level),
        depth: config.transformer_layers_per_block.at(level),
        groups: config.norm_num_groups,
        linear: config.use_linear_projection,
    }
}

/// Cross-attention keys and values of a level for a prompt's `embedding` `[batch, tokens, width]`.
fn project(attentions: &[SpatialTransformer], embedding: &Tensor<3>) -> LevelContext {
    attentions.iter().map(|attention| attention.project(embedding)).collect()
}

/// A level on the way down (diffusers `CrossAttnDownBlock2D`, `DownBlock2D`).
#[derive(Module, Debug)]
pub struct DownBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    pub(crate) attentions: Vec<SpatialTransformer>,
    pub(crate) downsample: Option<Downsample>,
}

impl DownBlock {
    pub(super) fn build(mut at: Builder, config: &UnetConfig, level: usize) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (input, output) = (channels[level.saturating_sub(1)], channels[level]);
        let layers = config.layers_per_block.at(level);
        let resnets = (0..layers)
            .map(|i| {
                let shape = resnet(config, if i == 0 { input } else { output }, output);
                ResnetBlock::build(at.at(format_args!("resnets.{i}")), shape)
            })
            .collect::<Result<_>>()?;
        let attended = if config.attends_down(level) { layers } else { 0 };
        let attentions = (0..attended)
            .map(|i| SpatialTransformer::build(at.at(format_args!("attentions.{i}")), transformer(config, level)))
            .collect::<Result<_>>()?;
        let downsample = (level + 1 < channels.len())
            .then(|| Downsample::build(at.at("downsamplers.0"), output, config.downsample_padding))
            .transpose()?;
        Ok(Self { resnets, attentions, downsample })
    }

    /// The prompt's keys and values in this block's cross-attentions.
    pub(super) fn project(&self, embedding: &Tensor<3>) -> LevelContext {
        project(&self.attentions, embedding)
    }

    /// Pushes every intermediate feature map on `skips` and returns the last.
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        context: &LevelContext,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(time));
            if let Some((attention, context)) = self.attentions.get(i).zip(context.get(i)) {
                x = attention.forward(x, context, None);
            }
            skips.push(x.clone());
        }
        if let Some(downsample) = &self.downsample {
            x = downsample.forward(x);
            skips.push(x.clone());
        }
        x
    }
}

/// The lowest resolution (diffusers `UNetMidBlock2DCrossAttn`).
#[derive(Module, Debug)]
pub struct MidBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    pub(crate) attentions: Vec<SpatialTransformer>,
}

impl MidBlock {
    pub(super) fn build(mut at: Builder, config: &UnetConfig) -> Result<Self> {
        let level = config.block_out_channels.len() - 1;
        let channels = config.block_out_channels[level];
        let shape = ResnetShape { scale: config.mid_block_scale_factor, ..resnet(config, channels, channels) };
        Ok(Self {
            resnets: (0..2)
                .map(|i| ResnetBlock::build(at.at(format_args!("resnets.{i}")), shape))
                .collect::<Result<_>>()?,
            attentions: vec![SpatialTransformer::build(at.at("attentions.0"), transformer(config, level))?],
        })
    }

    /// The prompt's keys and values in this block's cross-attentions.
    pub(super) fn project(&self, embedding: &Tensor<3>) -> LevelContext {
        project(&self.attentions, embedding)
    }

    pub(super) fn forward(&self, x: Tensor<4>, time: &Tensor<2>, context: &LevelContext) -> Tensor<4> {
        let mut x = self.resnets[0].forward(x, Some(time));
        for ((attention, resnet), context) in self.attentions.iter().zip(&self.resnets[1..]).zip(context) {
            x = resnet.forward(attention.forward(x, context, None), Some(time));
        }
        x
    }
}

/// A level on the way up (diffusers `CrossAttnUpBlock2D`, `UpBlock2D`).
#[derive(Module, Debug)]
pub struct UpBlock {
    pub(crate) resnets: Vec<ResnetBlock>,
    pub(crate) attentions: Vec<SpatialTransformer>,
    pub(crate) upsample: Option<Upsample>,
    /// Number of this block's first decoder layer.
    pub(crate) first_layer: usize,
}

impl UpBlock {
    pub(super) fn build(mut at: Builder, config: &UnetConfig, block: usize) -> Result<Self> {
        let channels = &config.block_out_channels;
        let level = channels.len() - 1 - block;
        let output = channels[level];
        // Channels of the input from the coarser level, and of the last resnet's skip, which comes from the next finer
        // level.
        let below = channels[(level + 1).min(channels.len() - 1)];
        let finer = channels[level.saturating_sub(1)];
        let layers = config.up_layers(block);
        let resnets = (0..layers)
            .map(|i| {
                let input = if i == 0 { below } else { output };
                let skip = if i + 1 == layers { finer } else { output };
                ResnetBlock::build(at.at(format_args!("resnets.{i}")), resnet(config, input + skip, output))
            })
            .collect::<Result<_>>()?;
        let attended = if config.attends_up(block) { layers } else { 0 };
        let attentions = (0..attended)
            .map(|i| SpatialTransformer::build(at.at(format_args!("attentions.{i}")), transformer(config, level)))
            .collect::<Result<_>>()?;
        let upsample = (level > 0).then(|| Upsample::build(at.at("upsamplers.0"), output)).transpose()?;
        let first_layer = (0..block).map(|block| config.up_layers(block)).sum();
        Ok(Self { resnets, attentions, upsample, first_layer })
    }

    /// The prompt's keys and values in this block's cross-attentions.
    pub(super) fn project(&self, embedding: &Tensor<3>) -> LevelContext {
        project(&self.attentions, embedding)
    }

    /// Takes skip connections from the end of `skips`, and upsamples to the size of the next one there.
    pub(super) fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        context: &LevelContext,
        skips: &mut Vec<Tensor<4>>,
        processor: &mut dyn AttentionProcessor,
    ) -> Tensor<4> {
        for (i, resnet) in self.resnets.iter().enumerate() {
            if let Some(skip) = skips.pop() {
                x = Tensor::cat(vec![x, skip], 1);
            }
            x = resnet.forward(x, Some(time));
            if let Some((attention, context)) = self.attentions.get(i).zip(context.get(i)) {
                let processing: Processing = Some((self.first_layer + i, &mut *processor));
                x = attention.forward(x, context, processing);
            }
        }
        if let Some(upsample) = &self.upsample {
            let size = skips.last().map(|skip| {
                let [_, _, height, width] = skip.dims();
                [height, width]
            });
            x = upsample.forward(x, size);
        }
        x
    }
}

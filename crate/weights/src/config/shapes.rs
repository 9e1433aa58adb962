//! Names and shapes of all tensors in a model's networks. A name is that of the part, followed by the diffusers name.

use std::collections::BTreeMap;

use super::{Configs, TextConfig, UnetConfig, VaeConfig};

/// Shapes by full name (`unet.conv_in.weight`).
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// The shapes of all networks. A checkpoint may differ in dimensions of 1.
pub fn of(configs: &Configs) -> Shapes {
    let mut shapes = Shapes::new();
    unet(&mut At { shapes: &mut shapes, name: "unet".into() }, &configs.unet);
    vae(&mut At { shapes: &mut shapes, name: "vae".into() }, &configs.vae);
    if let Some(config) = &configs.text {
        text(&mut At { shapes: &mut shapes, name: "text_encoder.text_model".into() }, config);
    }
    shapes
}

/// A position in the tree of names.
struct At<'a> {
    shapes: &'a mut Shapes,
    name: String,
}

impl At<'_> {
    fn at(&mut self, name: impl std::fmt::Display) -> At<'_> {
        At { name: format!("{}.{name}", self.name), shapes: self.shapes }
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) {
        self.shapes.insert(format!("{}.{name}", self.name), shape.to_vec());
    }

    /// A weight, and a bias with the length of its first dimension.
    fn both(&mut self, name: &str, shape: &[usize]) {
        self.tensor(&format!("{name}.weight"), shape);
        self.tensor(&format!("{name}.bias"), &shape[..1]);
    }

    fn conv(&mut self, name: &str, input: usize, output: usize) {
        self.both(name, &[output, input, 3, 3]);
    }

    fn resnet(&mut self, input: usize, output: usize, time: Option<usize>) {
        self.both("norm1", &[input]);
        self.conv("conv1", input, output);
        if let Some(time) = time {
            self.both("time_emb_proj", &[output, time]);
        }
        self.both("norm2", &[output]);
        self.conv("conv2", output, output);
        if input != output {
            self.both("conv_shortcut", &[output, input, 1, 1]);
        }
    }

    fn transformer(&mut self, config: &UnetConfig, level: usize) {
        let channels = config.block_out_channels[level];
        self.both("norm", &[channels]);
        let ones: &[usize] = if config.use_linear_projection { &[] } else { &[1, 1] };
        for proj in ["proj_in", "proj_out"] {
            self.both(proj, &[&[channels, channels], ones].concat());
        }
        for block in 0..config.transformer_layers_per_block.at(level) {
            let mut at = self.at(format_args!("transformer_blocks.{block}"));
            for norm in ["norm1", "norm2", "norm3"] {
                at.both(norm, &[channels]);
            }
            for (attention, width) in [("attn1", channels), ("attn2", config.cross_attention_dim.at(level))] {
                let mut at = at.at(attention);
                at.tensor("to_q.weight", &[channels, channels]);
                at.tensor("to_k.weight", &[channels, width]);
                at.tensor("to_v.weight", &[channels, width]);
                at.both("to_out.0", &[channels, channels]);
            }
            at.both("ff.net.0.proj", &[8 * channels, channels]);
            at.both("ff.net.2", &[channels, 4 * channels]);
        }
    }
}

fn unet(at: &mut At<'_>, config: &UnetConfig) {
    let channels = &config.block_out_channels;
    let (Some(&first), Some(&last)) = (channels.first(), channels.last()) else { return };
    let (levels, time) = (channels.len(), 4 * first);
    at.conv("conv_in", config.in_channels, first);
    at.both("time_embedding.linear_1", &[time, first]);
    at.both("time_embedding.linear_2", &[time, time]);
    for (level, &output) in channels.iter().enumerate() {
        let mut at = at.at(format_args!("down_blocks.{level}"));
        for i in 0..config.layers_per_block.at(level) {
            let input = if i == 0 { channels[level.saturating_sub(1)] } else { output };
            at.at(format_args!("resnets.{i}")).resnet(input, output, Some(time));
            if config.attends_down(level) {
                at.at(format_args!("attentions.{i}")).transformer(config, level);
            }
        }
        if level + 1 < levels {
            at.conv("downsamplers.0.conv", output, output);
        }
    }
    if config.has_mid_block() {
        let mut at = at.at("mid_block");
        at.at("resnets.0").resnet(last, last, Some(time));
        at.at("attentions.0").transformer(config, levels - 1);
        at.at("resnets.1").resnet(last, last, Some(time));
    }
    for block in 0..levels {
        let level = levels - 1 - block;
        let mut at = at.at(format_args!("up_blocks.{block}"));
        let output = channels[level];
        let (below, finer) = (channels[(level + 1).min(levels - 1)], channels[level.saturating_sub(1)]);
        let layers = config.up_layers(block);
        for i in 0..layers {
            let input = if i == 0 { below } else { output };
            let skip = if i + 1 == layers { finer } else { output };
            at.at(format_args!("resnets.{i}")).resnet(input + skip, output, Some(time));
            if config.attends_up(block) {
                at.at(format_args!("attentions.{i}")).transformer(config, level);
            }
        }
        if level > 0 {
            at.conv("upsamplers.0.conv", output, output);
        }
    }
    at.both("conv_norm_out", &[first]);
    at.conv("conv_out", first, config.out_channels);
}

fn vae(at: &mut At<'_>, config: &VaeConfig) {
    let latents = config.latent_channels;
    if config.use_quant_conv {
        at.both("quant_conv", &[2 * latents, 2 * latents, 1, 1]);
    }
    if config.use_post_quant_conv {
        at.both("post_quant_conv", &[latents, latents, 1, 1]);
    }
    let outermost: Vec<_> = config.block_out_channels.clone();
    let innermost: Vec<_> = outermost.iter().rev().copied().collect();
    coder(&mut at.at("encoder"), config, &outermost, true);
    coder(&mut at.at("decoder"), config, &innermost, false);
}

/// The encoder or the decoder. `channels` lists its levels in the order of execution.
fn coder(at: &mut At<'_>, config: &VaeConfig, channels: &[usize], encodes: bool) {
    let (Some(&first), Some(&last)) = (channels.first(), channels.last()) else { return };
    let (input, output) = match encodes {
        true => (config.in_channels, 2 * config.latent_channels),
        false => (config.latent_channels, config.out_channels),
    };
    at.conv("conv_in", input, first);
    let (way, layers) = if encodes { ("down", config.layers_per_block) } else { ("up", config.layers_per_block + 1) };
    for (level, &output) in channels.iter().enumerate() {
        let mut at = at.at(format_args!("{way}_blocks.{level}"));
        for i in 0..layers {
            let input = if i == 0 { channels[level.saturating_sub(1)] } else { output };
            at.at(format_args!("resnets.{i}")).resnet(input, output, None);
        }
        if level + 1 < channels.len() {
            at.conv(&format!("{way}samplers.0.conv"), output, output);
        }
    }
    let middle = if encodes { last } else { first };
    {
        let mut at = at.at("mid_block");
        for i in 0..2 {
            at.at(format_args!("resnets.{i}")).resnet(middle, middle, None);
        }
        if config.mid_block_add_attention {
            let mut at = at.at("attentions.0");
            at.both("group_norm", &[middle]);
            for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
                at.both(projection, &[middle, middle]);
            }
        }
    }
    at.both("conv_norm_out", &[last]);
    at.conv("conv_out", last, output);
}

fn text(at: &mut At<'_>, config: &TextConfig) {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    at.tensor("embeddings.token_embedding.weight", &[config.vocab_size, width]);
    at.tensor("embeddings.position_embedding.weight", &[config.max_position_embeddings, width]);
    for layer in 0..config.num_hidden_layers {
        let mut at = at.at(format_args!("encoder.layers.{layer}"));
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            at.both(&format!("self_attn.{projection}"), &[width, width]);
        }
        at.both("layer_norm1", &[width]);
        at.both("layer_norm2", &[width]);
        at.both("mlp.fc1", &[inner, width]);
        at.both("mlp.fc2", &[width, inner]);
    }
    at.both("final_layer_norm", &[width]);
}

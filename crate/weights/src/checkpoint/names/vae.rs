//! The VAE's names.

use super::{current, number, swap};

/// Names in its attention: LDM's, and those that a conversion of 2023 left as in diffusers.
const ATTENTION: [(&str, &str); 14] = [
    ("norm.", "group_norm."),
    ("q.", "to_q."),
    ("k.", "to_k."),
    ("v.", "to_v."),
    ("proj_out.", "to_out.0."),
    ("group_norm.", "group_norm."),
    ("to_q.", "to_q."),
    ("to_k.", "to_k."),
    ("to_v.", "to_v."),
    ("to_out.0.", "to_out.0."),
    ("query.", "to_q."),
    ("key.", "to_k."),
    ("value.", "to_v."),
    ("proj_attn.", "to_out.0."),
];

/// Whether a name without a prefix belongs to a VAE.
pub(super) fn is_own(name: &str) -> bool {
    ["encoder.", "decoder.", "quant_conv.", "post_quant_conv."].iter().any(|start| name.starts_with(start))
}

/// The least number of levels that a name implies.
pub(super) fn levels(name: &str) -> usize {
    name.strip_prefix("decoder.up.").and_then(number).map_or(0, |(level, _)| level + 1)
}

/// The diffusers name in a VAE with `levels` levels. `None` for tensors that are only used in training. Unknown names stay
/// unchanged.
pub(super) fn rename(name: &str, levels: usize) -> Option<String> {
    let is_training = ["loss.", "model_ema.", "discriminator."].iter().any(|start| name.starts_with(start));
    (!is_training).then(|| ldm(name, levels).unwrap_or_else(|| current(name)))
}

fn ldm(name: &str, levels: usize) -> Option<String> {
    let (coder, rest) = name.split_once('.')?;
    let resnet = |rest: &str| rest.replace("nin_shortcut.", "conv_shortcut.");
    let inner = if let Some(rest) = rest.strip_prefix("norm_out.") {
        format!("conv_norm_out.{rest}")
    } else if let Some(rest) = rest.strip_prefix("mid.attn_1.") {
        format!("mid_block.attentions.0.{}", swap(rest, &ATTENTION)?)
    } else if let Some(rest) = rest.strip_prefix("mid.block_") {
        let (which, rest) = number(rest)?;
        format!("mid_block.resnets.{}.{}", which.checked_sub(1)?, resnet(rest))
    } else {
        let (level, rest) = number(rest.strip_prefix(if coder == "encoder" { "down." } else { "up." })?)?;
        // LDM numbers the decoder's levels from the finest, diffusers from the coarsest.
        let (level, word) = match coder {
            "encoder" => (level, "down"),
            _ => (levels.checked_sub(1 + level)?, "up"),
        };
        match rest.strip_prefix("block.") {
            Some(rest) => format!("{word}_blocks.{level}.resnets.{}", resnet(rest)),
            None => format!(
                "{word}_blocks.{level}.{word}samplers.0.{}",
                rest.strip_prefix(if word == "down" { "downsample." } else { "upsample." })?
            ),
        }
    };
    Some(format!("{coder}.{inner}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_of_every_kind() {
        for (given, diffusers) in [
            ("decoder.up.3.block.2.norm1.weight", "decoder.up_blocks.0.resnets.2.norm1.weight"),
            ("decoder.up.1.upsample.conv.bias", "decoder.up_blocks.2.upsamplers.0.conv.bias"),
            ("encoder.down.2.downsample.conv.bias", "encoder.down_blocks.2.downsamplers.0.conv.bias"),
            ("encoder.down.1.block.0.nin_shortcut.bias", "encoder.down_blocks.1.resnets.0.conv_shortcut.bias"),
            ("encoder.mid.attn_1.proj_out.weight", "encoder.mid_block.attentions.0.to_out.0.weight"),
            ("encoder.mid.attn_1.norm.weight", "encoder.mid_block.attentions.0.group_norm.weight"),
            ("decoder.mid.attn_1.to_q.weight", "decoder.mid_block.attentions.0.to_q.weight"),
            ("decoder.mid.attn_1.to_out.0.bias", "decoder.mid_block.attentions.0.to_out.0.bias"),
            ("decoder.mid_block.attentions.0.query.bias", "decoder.mid_block.attentions.0.to_q.bias"),
            ("decoder.up_blocks.0.resnets.0.norm1.bias", "decoder.up_blocks.0.resnets.0.norm1.bias"),
            ("decoder.norm_out.bias", "decoder.conv_norm_out.bias"),
            ("decoder.conv_in.bias", "decoder.conv_in.bias"),
            ("post_quant_conv.bias", "post_quant_conv.bias"),
            ("decoder.up.9.block.2.norm1.weight", "decoder.up.9.block.2.norm1.weight"),
        ] {
            assert_eq!(rename(given, 4), Some(diffusers.into()), "{given}");
        }
        assert_eq!(rename("loss.discriminator.main.0.weight", 4), None);
        assert_eq!(levels("decoder.up.3.block.2.norm1.weight"), 4);
    }
}

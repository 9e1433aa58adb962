//! The UNet's names.

use super::{current, number, swap};

/// Parts of a resnet, LDM to diffusers.
const RESNET: [(&str, &str); 6] = [
    ("in_layers.0.", "norm1."),
    ("in_layers.2.", "conv1."),
    ("emb_layers.1.", "time_emb_proj."),
    ("out_layers.0.", "norm2."),
    ("out_layers.3.", "conv2."),
    ("skip_connection.", "conv_shortcut."),
];

/// Modules outside the numbered blocks.
const ALONE: [(&str, &str); 8] = [
    ("time_embed.0.", "time_embedding.linear_1."),
    ("time_embed.2.", "time_embedding.linear_2."),
    ("input_blocks.0.0.", "conv_in."),
    ("out.0.", "conv_norm_out."),
    ("out.2.", "conv_out."),
    ("middle_block.0.", "mid_block.resnets.0."),
    ("middle_block.1.", "mid_block.attentions.0."),
    ("middle_block.2.", "mid_block.resnets.1."),
];

/// Name prefixes that only a UNet has.
const OWN: [&str; 16] = [
    "time_embed.",
    "input_blocks.",
    "middle_block.",
    "output_blocks.",
    "out.0.",
    "out.2.",
    "label_emb.",
    "time_embedding.",
    "conv_in.",
    "conv_norm_out.",
    "conv_out.",
    "down_blocks.",
    "mid_block.",
    "up_blocks.",
    "class_embedding.",
    "add_embedding.",
];

/// Whether a name without a prefix belongs to a UNet.
pub(super) fn is_own(name: &str) -> bool {
    OWN.iter().any(|start| name.starts_with(start))
}

/// The last block of each level in a file with LDM names. Blocks are numbered across levels, and the last block of a level
/// resamples. In CompVis files, a level has as many blocks as it needs. Files converted by diffusers' script number three
/// blocks per level, whatever the number of resnets, and leave gaps.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbering {
    downs: Vec<usize>,
    ups: Vec<usize>,
}

impl Numbering {
    /// Records a block that ends a level, if the name shows one.
    pub(super) fn see(&mut self, name: &str) {
        let block = |way: &str, ends: &[&str]| {
            let (block, rest) = number(name.strip_prefix(way)?)?;
            ends.contains(&rest).then_some(block)
        };
        self.downs.extend(block("input_blocks.", &["0.op.weight"]));
        self.ups.extend(block("output_blocks.", &["1.conv.weight", "2.conv.weight"]));
    }

    /// Sorts and deduplicates the recorded blocks.
    pub(super) fn sort(&mut self) {
        for blocks in [&mut self.downs, &mut self.ups] {
            blocks.sort_unstable();
            blocks.dedup();
        }
    }

    /// The diffusers name. Unknown names stay unchanged.
    pub(super) fn rename(&self, name: &str) -> Option<String> {
        // A marker that ComfyUI writes, not a weight.
        (name != "scaled_fp8").then(|| self.ldm(name).unwrap_or_else(|| current(name)))
    }

    fn ldm(&self, name: &str) -> Option<String> {
        if let Some(name) = swap(name, &ALONE) {
            return match name.strip_prefix("mid_block.resnets.").and_then(number) {
                Some((which, rest)) => Some(format!("mid_block.resnets.{which}.{}", swap(rest, &RESNET)?)),
                None => Some(name),
            };
        }
        let (ends, start, way, rest) = match name.strip_prefix("input_blocks.") {
            Some(rest) => (&self.downs, 1, "down", rest),
            None => (&self.ups, 0, "up", name.strip_prefix("output_blocks.")?),
        };
        let (block, rest) = number(rest)?;
        // Within a block, 0 is the resnet (or the downsampling), 1 the attention, and the last one the upsampling.
        let (part, rest) = number(rest)?;
        let level = ends.partition_point(|end| *end < block);
        let start = level.checked_sub(1).and_then(|before| ends.get(before)).map_or(start, |end| end + 1);
        let which = block.checked_sub(start)?;
        let at = format!("{way}_blocks.{level}");
        match part {
            0 if way == "down" && rest.starts_with("op.") => {
                Some(format!("{at}.downsamplers.0.conv.{}", rest.strip_prefix("op.")?))
            }
            0 => Some(format!("{at}.resnets.{which}.{}", swap(rest, &RESNET)?)),
            1 | 2 if way == "up" && rest.starts_with("conv.") => Some(format!("{at}.upsamplers.0.{rest}")),
            1 => Some(format!("{at}.attentions.{which}.{rest}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::renamed;

    fn check(pairs: &[(&str, &str)]) {
        let names: Vec<_> = pairs.iter().map(|(name, _)| *name).collect();
        let prefixed: Vec<_> = names.iter().map(|name| format!("model.diffusion_model.{name}")).collect();
        let prefixed: Vec<_> = prefixed.iter().map(String::as_str).collect();
        for ((given, expected), found) in pairs.iter().zip(renamed(&prefixed)) {
            assert_eq!(found, Some(format!("unet.{expected}")), "{given}");
        }
    }

    #[test]
    fn stable_diffusion_has_three_blocks_a_level() {
        check(&[
            ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
            ("input_blocks.6.0.op.weight", "down_blocks.1.downsamplers.0.conv.weight"),
            ("input_blocks.9.0.op.weight", "down_blocks.2.downsamplers.0.conv.weight"),
            ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
            ("output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
            ("output_blocks.8.2.conv.weight", "up_blocks.2.upsamplers.0.conv.weight"),
            ("output_blocks.8.2.conv.bias", "up_blocks.2.upsamplers.0.conv.bias"),
            ("input_blocks.5.0.skip_connection.bias", "down_blocks.1.resnets.1.conv_shortcut.bias"),
            ("input_blocks.11.0.in_layers.0.bias", "down_blocks.3.resnets.1.norm1.bias"),
            ("middle_block.2.out_layers.3.weight", "mid_block.resnets.1.conv2.weight"),
            (
                "output_blocks.11.1.transformer_blocks.0.attn1.to_out.0.bias",
                "up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_out.0.bias",
            ),
        ]);
    }

    #[test]
    fn distilled_files_of_the_script_leave_numbers_out() {
        check(&[
            ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
            ("input_blocks.6.0.op.weight", "down_blocks.1.downsamplers.0.conv.weight"),
            ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
            ("output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
            ("input_blocks.4.0.in_layers.0.bias", "down_blocks.1.resnets.0.norm1.bias"),
            ("input_blocks.7.1.norm.bias", "down_blocks.2.attentions.0.norm.bias"),
            ("output_blocks.1.0.in_layers.0.bias", "up_blocks.0.resnets.1.norm1.bias"),
            ("output_blocks.7.1.norm.bias", "up_blocks.2.attentions.1.norm.bias"),
            ("up_blocks.0.attentions.1.norm.bias", "up_blocks.0.attentions.1.norm.bias"),
        ]);
    }

    #[test]
    fn distilled_files_with_numbers_of_their_own() {
        check(&[
            ("input_blocks.2.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
            ("input_blocks.4.0.op.weight", "down_blocks.1.downsamplers.0.conv.weight"),
            ("output_blocks.1.2.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
            ("output_blocks.3.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
            ("input_blocks.5.1.norm.bias", "down_blocks.2.attentions.0.norm.bias"),
            ("output_blocks.1.1.norm.bias", "up_blocks.0.attentions.1.norm.bias"),
            ("output_blocks.5.0.out_layers.3.bias", "up_blocks.2.resnets.1.conv2.bias"),
        ]);
    }
}

//! One table between the names of LDM checkpoints (CompVis and Stability AI; stable-diffusion.cpp keeps them) and those of
//! diffusers, which the networks here are built with. Sources: the key layout of `ldm/modules/diffusionmodules` and
//! diffusers' `convert_from_ckpt.py`.

/// Name of the network's part, then the tensor's name in diffusers: `unet.conv_in.weight`.
pub type FullName = String;

/// What a tensor of a checkpoint is in diffusers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// The same tensor by another name.
    One(FullName),
    /// Queries, keys and values in one matrix: thirds of its rows, in this order.
    Fused([FullName; 3]),
}

/// Parts of a resnet, LDM to diffusers.
const UNET_RESNET: [(&str, &str); 6] = [
    ("in_layers.0.", "norm1."),
    ("in_layers.2.", "conv1."),
    ("emb_layers.1.", "time_emb_proj."),
    ("out_layers.0.", "norm2."),
    ("out_layers.3.", "conv2."),
    ("skip_connection.", "conv_shortcut."),
];

/// Places of the UNet that stand alone.
const UNET_ALONE: [(&str, &str); 8] = [
    ("time_embed.0.", "time_embedding.linear_1."),
    ("time_embed.2.", "time_embedding.linear_2."),
    ("input_blocks.0.0.", "conv_in."),
    ("out.0.", "conv_norm_out."),
    ("out.2.", "conv_out."),
    ("middle_block.0.", "mid_block.resnets.0."),
    ("middle_block.1.", "mid_block.attentions.0."),
    ("middle_block.2.", "mid_block.resnets.1."),
];

/// The VAE's attention.
const VAE_ATTENTION: [(&str, &str); 5] =
    [("norm.", "group_norm."), ("q.", "to_q."), ("k.", "to_k."), ("v.", "to_v."), ("proj_out.", "to_out.0.")];

/// Parts of an `OpenCLIP` layer.
const OPENCLIP_LAYER: [(&str, &str); 5] = [
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
    ("attn.out_proj.", "self_attn.out_proj."),
];

/// Suffixes of the VAE's attention before diffusers 0.18, as the files of SD 1.x on the Hub still have them.
const OLD_ATTENTION: [(&str, &str); 4] =
    [(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")];

fn swap(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(from, to)| name.strip_prefix(from).map(|rest| format!("{to}{rest}")))
}

/// Splits a number off the front: `12.rest` to 12 and `rest`.
fn number(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// The diffusers name of a tensor of an LDM checkpoint, or `None` for what `StyleID` does not need (EMA copies, schedules,
/// the text projection). `vae_levels` is the number of resolutions of its VAE.
pub fn from_ldm(name: &str, vae_levels: usize) -> Option<Renamed> {
    let one = |part: &str, name: String| Some(Renamed::One(format!("{part}.{name}")));
    if let Some(name) = name.strip_prefix("model.diffusion_model.") {
        return one("unet", unet(name)?);
    }
    if let Some(name) = name.strip_prefix("first_stage_model.") {
        return one("vae", vae(name, vae_levels)?);
    }
    if let Some(name) = name.strip_prefix("cond_stage_model.model.") {
        return openclip(name);
    }
    let name = name.strip_prefix("cond_stage_model.transformer.")?;
    let name = if name.starts_with("text_model.") { name.to_string() } else { format!("text_model.{name}") };
    if is_buffer(&name) || name.starts_with("text_model.text_projection") {
        return None;
    }
    // stable-diffusion.cpp gives OpenCLIP's tensors CLIP's names, but leaves queries, keys and values together.
    for fused in [".self_attn.in_proj.", ".self_attn.in_proj_"] {
        if let Some((layer, kind)) = name.split_once(fused) {
            return Some(fuse(layer, kind));
        }
    }
    one("text_encoder", name)
}

fn fuse(layer: &str, kind: &str) -> Renamed {
    Renamed::Fused(["q", "k", "v"].map(|which| format!("text_encoder.{layer}.self_attn.{which}_proj.{kind}")))
}

fn unet(name: &str) -> Option<String> {
    if let Some(name) = swap(name, &UNET_ALONE) {
        return match name.strip_prefix("mid_block.resnets.").and_then(number) {
            Some((which, rest)) => Some(format!("mid_block.resnets.{which}.{}", swap(rest, &UNET_RESNET)?)),
            None => Some(name),
        };
    }
    // Blocks count on over the levels, three a level; within one, 0 is the resnet and 1 the attention.
    if let Some(rest) = name.strip_prefix("input_blocks.") {
        let (block, rest) = number(rest)?;
        let (part, rest) = number(rest)?;
        let (level, which) = (block.checked_sub(1)? / 3, block.checked_sub(1)? % 3);
        let down = format!("down_blocks.{level}");
        return match (which, part) {
            (2, 0) => Some(format!("{down}.downsamplers.0.conv.{}", rest.strip_prefix("op.")?)),
            (_, 0) => Some(format!("{down}.resnets.{which}.{}", swap(rest, &UNET_RESNET)?)),
            (_, 1) => Some(format!("{down}.attentions.{which}.{rest}")),
            _ => None,
        };
    }
    let (block, rest) = number(name.strip_prefix("output_blocks.")?)?;
    let (part, rest) = number(rest)?;
    let up = format!("up_blocks.{}", block / 3);
    match part {
        0 => Some(format!("{up}.resnets.{}.{}", block % 3, swap(rest, &UNET_RESNET)?)),
        1 | 2 if rest.starts_with("conv.") => Some(format!("{up}.upsamplers.0.{rest}")),
        1 => Some(format!("{up}.attentions.{}.{rest}", block % 3)),
        _ => None,
    }
}

fn vae(name: &str, levels: usize) -> Option<String> {
    if name.starts_with("quant_conv.") || name.starts_with("post_quant_conv.") {
        return Some(name.to_string());
    }
    let (coder, rest) = name.split_once('.')?;
    let resnet = |rest: &str| rest.replace("nin_shortcut.", "conv_shortcut.");
    let inner = if rest.starts_with("conv_in.") || rest.starts_with("conv_out.") {
        rest.to_string()
    } else if let Some(rest) = rest.strip_prefix("norm_out.") {
        format!("conv_norm_out.{rest}")
    } else if let Some(rest) = rest.strip_prefix("mid.attn_1.") {
        format!("mid_block.attentions.0.{}", swap(rest, &VAE_ATTENTION)?)
    } else if let Some(rest) = rest.strip_prefix("mid.block_") {
        let (which, rest) = number(rest)?;
        format!("mid_block.resnets.{}.{}", which.checked_sub(1)?, resnet(rest))
    } else {
        let (level, rest) = number(rest.strip_prefix(if coder == "encoder" { "down." } else { "up." })?)?;
        // LDM counts the decoder's levels from the finest, diffusers from the coarsest.
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

fn openclip(name: &str) -> Option<Renamed> {
    let one = |name: String| Some(Renamed::One(format!("text_encoder.text_model.{name}")));
    match name {
        "token_embedding.weight" => return one("embeddings.token_embedding.weight".into()),
        "positional_embedding" => return one("embeddings.position_embedding.weight".into()),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("ln_final.") {
        return one(format!("final_layer_norm.{rest}"));
    }
    let (layer, rest) = number(name.strip_prefix("transformer.resblocks.")?)?;
    match rest.strip_prefix("attn.in_proj_") {
        Some(kind) => Some(fuse(&format!("text_model.encoder.layers.{layer}"), kind)),
        None => one(format!("encoder.layers.{layer}.{}", swap(rest, &OPENCLIP_LAYER)?)),
    }
}

/// The current diffusers name of a tensor of a diffusers file.
pub fn current(name: &str) -> String {
    OLD_ATTENTION
        .iter()
        .find_map(|(old, new)| {
            let (stem, kind) = name.split_once(old)?;
            matches!(kind, "weight" | "bias").then(|| format!("{stem}{new}{kind}"))
        })
        .unwrap_or_else(|| name.to_string())
}

/// Whether a tensor is a constant buffer that old exports saved along with the weights.
pub fn is_buffer(name: &str) -> bool {
    name.ends_with("embeddings.position_ids")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_attention_names_become_current_ones() {
        let stem = "encoder.mid_block.attentions.0";
        assert_eq!(current(&format!("{stem}.query.weight")), format!("{stem}.to_q.weight"));
        assert_eq!(current(&format!("{stem}.proj_attn.bias")), format!("{stem}.to_out.0.bias"));
        assert_eq!(current(&format!("{stem}.to_k.weight")), format!("{stem}.to_k.weight"));
        assert_eq!(current("conv_in.weight"), "conv_in.weight");
    }

    #[test]
    fn one_name_of_every_kind() {
        for (ldm, diffusers) in [
            ("model.diffusion_model.input_blocks.0.0.bias", "unet.conv_in.bias"),
            ("model.diffusion_model.input_blocks.3.0.op.weight", "unet.down_blocks.0.downsamplers.0.conv.weight"),
            (
                "model.diffusion_model.input_blocks.5.0.skip_connection.bias",
                "unet.down_blocks.1.resnets.1.conv_shortcut.bias",
            ),
            ("model.diffusion_model.middle_block.2.out_layers.3.weight", "unet.mid_block.resnets.1.conv2.weight"),
            ("model.diffusion_model.output_blocks.2.1.conv.weight", "unet.up_blocks.0.upsamplers.0.conv.weight"),
            ("model.diffusion_model.output_blocks.8.2.conv.bias", "unet.up_blocks.2.upsamplers.0.conv.bias"),
            (
                "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.attn1.to_out.0.bias",
                "unet.up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_out.0.bias",
            ),
            ("first_stage_model.decoder.up.3.block.2.norm1.weight", "vae.decoder.up_blocks.0.resnets.2.norm1.weight"),
            ("first_stage_model.decoder.up.1.upsample.conv.bias", "vae.decoder.up_blocks.2.upsamplers.0.conv.bias"),
            (
                "first_stage_model.encoder.down.2.downsample.conv.bias",
                "vae.encoder.down_blocks.2.downsamplers.0.conv.bias",
            ),
            (
                "first_stage_model.encoder.mid.attn_1.proj_out.weight",
                "vae.encoder.mid_block.attentions.0.to_out.0.weight",
            ),
            ("cond_stage_model.model.ln_final.bias", "text_encoder.text_model.final_layer_norm.bias"),
            (
                "cond_stage_model.model.transformer.resblocks.7.mlp.c_proj.bias",
                "text_encoder.text_model.encoder.layers.7.mlp.fc2.bias",
            ),
        ] {
            assert_eq!(from_ldm(ldm, 4), Some(Renamed::One(diffusers.into())), "{ldm}");
        }
    }

    #[test]
    fn fused_projections_come_apart_and_the_rest_is_left() {
        let layer = "text_encoder.text_model.encoder.layers.3.self_attn";
        let thirds = |kind: &str| Renamed::Fused(["q", "k", "v"].map(|which| format!("{layer}.{which}_proj.{kind}")));
        assert_eq!(
            from_ldm("cond_stage_model.model.transformer.resblocks.3.attn.in_proj_bias", 4),
            Some(thirds("bias"))
        );
        assert_eq!(
            from_ldm("cond_stage_model.transformer.text_model.encoder.layers.3.self_attn.in_proj.weight", 4),
            Some(thirds("weight"))
        );
        for other in
            ["model_ema.decay", "cond_stage_model.model.text_projection", "alphas_cumprod", "model.diffusion_model.x"]
        {
            assert_eq!(from_ldm(other, 4), None, "{other}");
        }
    }
}

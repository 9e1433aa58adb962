//! The text encoder's names.

use super::{Renamed, number, swap};

/// Parts of an `OpenCLIP` layer.
const OPENCLIP_LAYER: [(&str, &str); 5] = [
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
    ("attn.out_proj.", "self_attn.out_proj."),
];

/// Name prefixes that only a text encoder has.
const OWN: [&str; 14] = [
    "text_model.",
    "transformer.text_model.",
    "model.transformer.resblocks.",
    "model.token_embedding.",
    "model.positional_embedding",
    "model.ln_final.",
    "model.text_model.",
    "embeddings.",
    "encoder.layers.",
    "final_layer_norm.",
    "transformer.resblocks.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
];

/// Tensors that come with CLIP but are not part of its text encoder, or only serve to compare texts with images.
const UNNEEDED: [&str; 8] = [
    "text_projection",
    "visual_projection",
    "vision_model.",
    "visual.",
    "logit_scale",
    "logit_bias",
    "attn_mask",
    "embeddings.position_ids",
];

/// Whether a name without a prefix belongs to a text encoder.
pub(super) fn is_own(name: &str) -> bool {
    OWN.iter().any(|start| name.starts_with(start))
}

/// The diffusers name. `None` for tensors that a prompt's embedding does not need. Unknown names stay unchanged.
pub(super) fn rename(name: &str) -> Option<Renamed> {
    // Wrappers of the text encoder, nested in this order.
    let mut name = name;
    for wrapper in ["transformer.", "model.", "open_clip.", "transformer.", "text_model."] {
        name = name.strip_prefix(wrapper).filter(|rest| !rest.starts_with("resblocks.")).unwrap_or(name);
    }
    if UNNEEDED.iter().any(|start| name.starts_with(start)) {
        return None;
    }
    // stable-diffusion.cpp gives OpenCLIP's tensors CLIP's names, but keeps queries, keys and values fused.
    for fused in [".self_attn.in_proj.", ".self_attn.in_proj_"] {
        if let Some((layer, kind)) = name.split_once(fused) {
            return Some(fuse(layer, kind));
        }
    }
    openclip(name).or_else(|| Some(one(name)))
}

fn one(name: &str) -> Renamed {
    Renamed::One(format!("text_encoder.text_model.{name}"))
}

fn fuse(layer: &str, kind: &str) -> Renamed {
    Renamed::Fused(
        ["q", "k", "v"].map(|which| format!("text_encoder.text_model.{layer}.self_attn.{which}_proj.{kind}")),
    )
}

fn openclip(name: &str) -> Option<Renamed> {
    match name {
        "token_embedding.weight" => return Some(one("embeddings.token_embedding.weight")),
        "positional_embedding" => return Some(one("embeddings.position_embedding.weight")),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("ln_final.") {
        return Some(one(&format!("final_layer_norm.{rest}")));
    }
    let (layer, rest) = number(name.strip_prefix("transformer.resblocks.")?)?;
    match rest.strip_prefix("attn.in_proj_") {
        Some(kind) => Some(fuse(&format!("encoder.layers.{layer}"), kind)),
        None => Some(one(&format!("encoder.layers.{layer}.{}", swap(rest, &OPENCLIP_LAYER)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrapper_and_dialect() {
        for (given, name) in [
            ("transformer.text_model.final_layer_norm.bias", "final_layer_norm.bias"),
            ("transformer.final_layer_norm.bias", "final_layer_norm.bias"),
            ("transformer.model.text_model.final_layer_norm.bias", "final_layer_norm.bias"),
            ("final_layer_norm.bias", "final_layer_norm.bias"),
            ("model.ln_final.bias", "final_layer_norm.bias"),
            ("model.token_embedding.weight", "embeddings.token_embedding.weight"),
            ("model.positional_embedding", "embeddings.position_embedding.weight"),
            ("model.transformer.resblocks.7.mlp.c_proj.bias", "encoder.layers.7.mlp.fc2.bias"),
            ("transformer.resblocks.7.ln_1.bias", "encoder.layers.7.layer_norm1.bias"),
            ("text_model.encoder.layers.0.self_attn.q_proj.bias", "encoder.layers.0.self_attn.q_proj.bias"),
            ("text_model.odd", "odd"),
        ] {
            assert_eq!(rename(given), Some(one(name)), "{given}");
        }
        for unneeded in [
            "model.text_projection",
            "text_projection.weight",
            "logit_scale",
            "transformer.logit_scale",
            "vision_model.post_layernorm.bias",
            "model.visual.proj",
            "transformer.text_model.embeddings.position_ids",
            "transformer.text_model.text_projection.weight",
            "embeddings.position_ids",
        ] {
            assert_eq!(rename(unneeded), None, "{unneeded}");
        }
    }

    #[test]
    fn fused_projections_come_apart() {
        let layer = "text_encoder.text_model.encoder.layers.3.self_attn";
        let thirds = |kind: &str| Renamed::Fused(["q", "k", "v"].map(|which| format!("{layer}.{which}_proj.{kind}")));
        assert_eq!(rename("model.transformer.resblocks.3.attn.in_proj_bias"), Some(thirds("bias")));
        assert_eq!(rename("transformer.text_model.encoder.layers.3.self_attn.in_proj.weight"), Some(thirds("weight")));
    }
}

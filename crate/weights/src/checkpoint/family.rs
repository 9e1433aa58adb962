//! The diffusers configs of a checkpoint that has none, derived from the names and shapes of its tensors.
//!
//! Two values leave no trace in the shapes: the number of attention heads and the number of norm groups. They are set as in
//! Stable Diffusion: 8 heads (1.x) or 64 channels per head (2.x), and 32 groups. Narrower networks get 8 channels per head.
//! Their norm groups have 4 channels at the UNet's outermost level and 2 at the VAE's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Shapes by full diffusers name (`unet.conv_in.weight`).
pub type TensorShapes = BTreeMap<String, Vec<usize>>;

fn dimension(shapes: &TensorShapes, name: &str, index: usize) -> Result<usize> {
    shapes.get(name).and_then(|shape| shape.get(index)).copied().ok_or_else(|| {
        Error::Model(format!(
            "There is no tensor {name}, or it is of a wrong shape: this is no complete model of Stable Diffusion 1 or 2."
        ))
    })
}

/// The number of consecutive names `pattern(0)`, `pattern(1)`, … that exist.
fn count(shapes: &TensorShapes, pattern: impl Fn(usize) -> String) -> usize {
    (0..64).take_while(|&i| shapes.contains_key(&pattern(i))).count()
}

/// All attentions of the UNet, as the common prefix of their tensor names. Not every UNet has one in its mid block or at a
/// given level.
fn attentions(shapes: &TensorShapes) -> impl Iterator<Item = &str> {
    let inside = shapes.range("unet.".to_string()..).take_while(|(name, _)| name.starts_with("unet."));
    inside.filter_map(|(name, _)| name.strip_suffix(".proj_in.weight"))
}

/// Whether the model is a 2.x: these have linear projections around the transformer blocks.
pub fn is_2x(shapes: &TensorShapes) -> bool {
    let mut attentions = attentions(shapes);
    attentions.any(|at| shapes.get(&format!("{at}.proj_in.weight")).is_some_and(|shape| shape.len() == 2))
}

/// A single value if all levels have the same, else one per level.
fn per_level(values: Vec<usize>) -> Value {
    match values.first() {
        Some(first) if values.iter().all(|value| value == first) => json!(first),
        _ => json!(values),
    }
}

/// The UNet's config.
///
/// # Errors
/// One sentence that names the first missing tensor. The other functions do the same.
pub fn unet(shapes: &TensorShapes) -> Result<Value> {
    let levels = count(shapes, |i| format!("unet.down_blocks.{i}.resnets.0.conv1.weight"));
    let channels = (0..levels)
        .map(|i| dimension(shapes, &format!("unet.down_blocks.{i}.resnets.0.conv1.weight"), 0))
        .collect::<Result<Vec<_>>>()?;
    let first = dimension(shapes, "unet.conv_in.weight", 0)?;
    let attends = |way: &str, i: usize| shapes.contains_key(&format!("unet.{way}_blocks.{i}.attentions.0.norm.weight"));
    let kind = |way: &str, with: &str, without: &str| -> Vec<String> {
        (0..levels).map(|i| if attends(way, i) { with.into() } else { without.into() }).collect()
    };
    let linear = is_2x(shapes);
    let heads: Value = if linear {
        let width = if first.is_multiple_of(64) { 64 } else { 8 };
        channels.iter().map(|channels| (channels / width).max(1)).collect()
    } else {
        (first / 8).clamp(1, 8).into()
    };
    let Some(attention) = attentions(shapes).next() else {
        return Err(Error::Model(
            "The UNet of this file has no attention; use a model of Stable Diffusion 1 or 2.".into(),
        ));
    };
    let depth = |at: &str| count(shapes, |i| format!("{at}.transformer_blocks.{i}.norm1.weight"));
    // A level without attention has no known depth and needs none.
    let some = depth(attention).max(1);
    let depths = (0..levels).map(|level| {
        let ways = [format!("unet.down_blocks.{level}"), format!("unet.up_blocks.{}", levels - 1 - level)];
        ways.iter().map(|way| depth(&format!("{way}.attentions.0"))).find(|depth| *depth > 0).unwrap_or(some)
    });
    let layers = |level: usize| count(shapes, |i| format!("unet.down_blocks.{level}.resnets.{i}.conv1.weight"));
    let has_mid_block = shapes.contains_key("unet.mid_block.resnets.0.conv1.weight");
    Ok(json!({
        "in_channels": dimension(shapes, "unet.conv_in.weight", 1)?,
        "out_channels": dimension(shapes, "unet.conv_out.weight", 0)?,
        "block_out_channels": channels,
        "down_block_types": kind("down", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": kind("up", "CrossAttnUpBlock2D", "UpBlock2D"),
        "mid_block_type": has_mid_block.then_some("UNetMidBlock2DCrossAttn"),
        "layers_per_block": per_level((0..levels).map(layers).collect()),
        "transformer_layers_per_block": per_level(depths.collect()),
        "attention_head_dim": heads,
        "cross_attention_dim": dimension(shapes, &format!("{attention}.transformer_blocks.0.attn2.to_k.weight"), 1)?,
        "norm_num_groups": if first >= 128 { 32 } else { (first / 4).max(1) },
        "use_linear_projection": linear,
    }))
}

/// The VAE's config.
///
/// # Errors
/// As [`unet`].
pub fn vae(shapes: &TensorShapes) -> Result<Value> {
    let conv = |i: usize| format!("vae.encoder.down_blocks.{i}.resnets.0.conv1.weight");
    let levels = count(shapes, conv);
    let channels = (0..levels).map(|i| dimension(shapes, &conv(i), 0)).collect::<Result<Vec<_>>>()?;
    let first = dimension(shapes, "vae.encoder.conv_in.weight", 0)?;
    Ok(json!({
        "in_channels": dimension(shapes, "vae.encoder.conv_in.weight", 1)?,
        "out_channels": dimension(shapes, "vae.decoder.conv_out.weight", 0)?,
        "latent_channels": dimension(shapes, "vae.decoder.conv_in.weight", 1)?,
        "block_out_channels": channels,
        "layers_per_block": count(shapes, |i| format!("vae.encoder.down_blocks.0.resnets.{i}.conv1.weight")),
        "norm_num_groups": if first >= 64 { 32 } else { (first / 2).max(1) },
        "use_quant_conv": shapes.contains_key("vae.quant_conv.weight"),
        "use_post_quant_conv": shapes.contains_key("vae.post_quant_conv.weight"),
        "mid_block_add_attention": shapes.contains_key("vae.encoder.mid_block.attentions.0.to_q.weight"),
        "scaling_factor": 0.18215,
    }))
}

/// The config of a text encoder that comes on its own or as part of a whole CLIP, adapted to its use in a model.
pub fn text_encoder_alone(mut config: Value) -> Value {
    let inner = config.get_mut("text_config").filter(|inner| inner.is_object()).map(Value::take);
    let mut config = inner.unwrap_or(config);
    let is = |key: &str, value: Value| config.get(key) == Some(&value);
    if is("hidden_act", json!("gelu")) && is("hidden_size", json!(1024)) && is("num_hidden_layers", json!(24)) {
        config["num_hidden_layers"] = json!(OPENCLIP_LAYERS);
    }
    config
}

/// 2.x was trained on the output of the second-to-last of `OpenCLIP`'s 24 layers.
const OPENCLIP_LAYERS: usize = 23;

/// The text encoder's config.
///
/// # Errors
/// As [`unet`].
pub fn text_encoder(shapes: &TensorShapes) -> Result<Value> {
    let table = "text_encoder.text_model.embeddings.token_embedding.weight";
    let width = dimension(shapes, table, 1)?;
    let layer = |i: usize| format!("text_encoder.text_model.encoder.layers.{i}");
    let layers = count(shapes, |i| format!("{}.mlp.fc1.weight", layer(i)));
    // Without a UNet, OpenCLIP is recognised by its width.
    let has_unet = shapes.contains_key("unet.conv_in.weight");
    let linear = if has_unet { is_2x(shapes) } else { width >= 1024 };
    // For narrower networks, the only clue is what divides the width.
    let heads = match width {
        _ if width.is_multiple_of(64) => width / 64,
        _ if linear && width.is_multiple_of(5) => 5,
        _ if width.is_multiple_of(4) => 4,
        _ => 1,
    };
    Ok(json!({
        "hidden_size": width,
        "intermediate_size": dimension(shapes, &format!("{}.mlp.fc1.weight", layer(0)), 0)?,
        "num_attention_heads": heads,
        "num_hidden_layers": if linear && layers == OPENCLIP_LAYERS + 1 { OPENCLIP_LAYERS } else { layers },
        "vocab_size": dimension(shapes, table, 0)?,
        "max_position_embeddings":
            dimension(shapes, "text_encoder.text_model.embeddings.position_embedding.weight", 0)?,
        "hidden_act": if linear { "gelu" } else { "quick_gelu" },
    }))
}

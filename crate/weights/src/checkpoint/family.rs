//! What a checkpoint without configs is, read off its tensors' names and shapes: the answer is diffusers' own configs.
//!
//! Two things leave no trace in the shapes: the number of attention heads and the number of norm groups. They follow
//! Stable Diffusion's: 8 heads (1.x) or 64 channels a head (2.x), 32 groups. In networks too narrow for that, heads have 8
//! channels each, a group has 4 channels of the UNet's outermost level and 2 of the VAE's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::Prediction;
use crate::error::{Error, Result};

/// Shapes by full diffusers name (`unet.conv_in.weight`).
pub type TensorShapes = BTreeMap<String, Vec<usize>>;

fn dimension(shapes: &TensorShapes, name: &str, index: usize) -> Result<usize> {
    shapes.get(name).and_then(|shape| shape.get(index)).copied().ok_or_else(|| {
        Error::Model(format!(
            "This file has no {name}: it is no whole Stable Diffusion 1.x or 2.x checkpoint with UNet, VAE and text encoder."
        ))
    })
}

/// How many of `pattern(0)`, `pattern(1)`, … there are before the first that is missing.
fn count(shapes: &TensorShapes, pattern: impl Fn(usize) -> String) -> usize {
    (0..64).take_while(|&i| shapes.contains_key(&pattern(i))).count()
}

/// Whether this is of the 2.x family: linear projections around the transformer blocks.
pub fn is_2x(shapes: &TensorShapes) -> bool {
    shapes.get("unet.mid_block.attentions.0.proj_in.weight").is_some_and(|shape| shape.len() == 2)
}

/// Where the prediction type came from, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionSource {
    /// What the UNet predicts.
    pub prediction: Prediction,
    /// Who says so, as the end of a sentence.
    pub by: &'static str,
}

/// ε or v where neither a config nor a person says it. 1.x is ε. Of 2.x the 512-pixel checkpoints are called "base" and
/// predict ε, and the 768-pixel ones predict v (Stability AI's model cards); names keep "base", "512", "768", or a v after
/// the version. A nameless 2.x of true size is taken for the 768-pixel one, which is the one published as GGUF.
pub fn prediction_of(shapes: &TensorShapes, name: &str) -> PredictionSource {
    if !is_2x(shapes) {
        return PredictionSource { prediction: Prediction::Epsilon, by: "every 1.x model does" };
    }
    let name = name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["768", "v-pred", "v_pred", "vpred", "21v", "20v"]) {
        return PredictionSource { prediction: Prediction::VPrediction, by: "its name says so" };
    }
    if has(&["base", "512", "eps", "21b", "20b"]) {
        return PredictionSource { prediction: Prediction::Epsilon, by: "its name says so" };
    }
    let full_size = shapes.get("unet.conv_in.weight").is_some_and(|shape| shape.first() == Some(&320));
    if full_size {
        let by = "2.x files that are not called base mostly are the 768-pixel model; say --prediction epsilon if not";
        return PredictionSource { prediction: Prediction::VPrediction, by };
    }
    PredictionSource { prediction: Prediction::Epsilon, by: "nothing says otherwise" }
}

/// Configs of a checkpoint of which only the shapes are known: an object of `unet`, `vae`, `scheduler` and, where the file
/// has one, `text_encoder`.
///
/// # Errors
/// One sentence naming the first tensor that a whole checkpoint would have.
pub fn configs(shapes: &TensorShapes, prediction: Prediction) -> Result<Value> {
    let mut configs = json!({
        "unet": unet(shapes, prediction)?,
        "vae": vae(shapes)?,
        "scheduler": { "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "num_train_timesteps": 1000, "prediction_type": prediction },
    });
    let has_text = shapes.keys().any(|name| name.starts_with("text_encoder."));
    if has_text && let Some(configs) = configs.as_object_mut() {
        configs.insert("text_encoder".into(), text_encoder(shapes)?);
    }
    Ok(configs)
}

fn unet(shapes: &TensorShapes, prediction: Prediction) -> Result<Value> {
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
    // The outermost level's attention; levels without any say nothing.
    let transformer = "unet.mid_block.attentions.0.transformer_blocks";
    let side = match (first >= 320, linear && prediction == Prediction::VPrediction) {
        (false, _) => None,
        (true, true) => Some(96),
        (true, false) => Some(64),
    };
    Ok(json!({
        "in_channels": dimension(shapes, "unet.conv_in.weight", 1)?,
        "out_channels": dimension(shapes, "unet.conv_out.weight", 0)?,
        "sample_size": side,
        "block_out_channels": channels,
        "down_block_types": kind("down", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": kind("up", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": count(shapes, |i| format!("unet.down_blocks.0.resnets.{i}.conv1.weight")),
        "transformer_layers_per_block": count(shapes, |i| format!("{transformer}.{i}.norm1.weight")),
        "attention_head_dim": heads,
        "cross_attention_dim": dimension(shapes, &format!("{transformer}.0.attn2.to_k.weight"), 1)?,
        "norm_num_groups": if first >= 128 { 32 } else { (first / 4).max(1) },
        "use_linear_projection": linear,
    }))
}

fn vae(shapes: &TensorShapes) -> Result<Value> {
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

fn text_encoder(shapes: &TensorShapes) -> Result<Value> {
    let table = "text_encoder.text_model.embeddings.token_embedding.weight";
    let width = dimension(shapes, table, 1)?;
    let layer = |i: usize| format!("text_encoder.text_model.encoder.layers.{i}");
    let layers = count(shapes, |i| format!("{}.mlp.fc1.weight", layer(i)));
    let linear = is_2x(shapes);
    Ok(json!({
        "hidden_size": width,
        "intermediate_size": dimension(shapes, &format!("{}.mlp.fc1.weight", layer(0)), 0)?,
        "num_attention_heads": if width.is_multiple_of(64) { width / 64 } else if linear { 5 } else { 4 },
        // 2.x was trained on the output of the last layer but one of OpenCLIP's 24.
        "num_hidden_layers": if linear && layers == 24 { 23 } else { layers },
        "vocab_size": dimension(shapes, table, 0)?,
        "max_position_embeddings":
            dimension(shapes, "text_encoder.text_model.embeddings.position_embedding.weight", 0)?,
        "hidden_act": if linear { "gelu" } else { "quick_gelu" },
    }))
}

//! The text encoder's `config.json`.

use serde::Deserialize;

use crate::error::{Error, Result};

/// Activation of the text encoder's feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextActivation {
    /// x·σ(1.702x), of CLIP ViT-L (1.x).
    QuickGelu,
    /// The exact error-function GELU, of `OpenCLIP` ViT-H (2.x).
    Gelu,
}

/// `text_encoder/config.json` of a transformers `CLIPTextModel`, with the same defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Width.
    pub hidden_size: usize,
    /// Width inside the feed-forward.
    pub intermediate_size: usize,
    /// Heads of the causal self-attention.
    pub num_attention_heads: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Rows of the position table, which is also the length of every prompt.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward.
    pub hidden_act: TextActivation,
    /// Epsilon of the layer norms.
    pub layer_norm_eps: f64,
    /// Model type that the config declares.
    pub model_type: Option<String>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            hidden_size: 512,
            intermediate_size: 2048,
            num_attention_heads: 8,
            num_hidden_layers: 12,
            vocab_size: 49408,
            max_position_embeddings: 77,
            hidden_act: TextActivation::QuickGelu,
            layer_norm_eps: 1e-5,
            model_type: None,
        }
    }
}

impl TextConfig {
    /// Checks that the crate can build this text encoder.
    ///
    /// # Errors
    /// One sentence naming the key.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Model(format!("This text encoder cannot be run here: {what}.")));
        if self.model_type.as_deref().is_some_and(|kind| !kind.starts_with("clip")) {
            return fail("model_type is not of CLIP, and Stable Diffusion 1.x and 2.x have no other".into());
        }
        for (key, value, most) in [
            ("hidden_size", self.hidden_size, 65_536),
            ("intermediate_size", self.intermediate_size, 262_144),
            ("num_hidden_layers", self.num_hidden_layers, 64),
            ("vocab_size", self.vocab_size, 1 << 20),
            ("max_position_embeddings", self.max_position_embeddings, 4096),
        ] {
            if !(1..=most).contains(&value) {
                return fail(format!("{key} is {value}, and 1 to {most} are possible"));
            }
        }
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return fail(format!(
                "width {} does not divide into {} heads (num_attention_heads)",
                self.hidden_size, self.num_attention_heads
            ));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return fail(format!("layer_norm_eps is {}, and must be between 0 and 1", self.layer_norm_eps));
        }
        Ok(())
    }
}

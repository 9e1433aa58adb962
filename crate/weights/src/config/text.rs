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

/// `text_encoder/config.json` of a transformers `CLIPTextModel`.
#[derive(Debug, Clone, Deserialize)]
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
    /// Rows of the position table, and the length of every prompt.
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward.
    pub hidden_act: TextActivation,
    /// Epsilon of the layer norms.
    #[serde(default = "default_layer_norm_eps")]
    pub layer_norm_eps: f64,
}

fn default_positions() -> usize {
    77
}

fn default_layer_norm_eps() -> f64 {
    1e-5
}

impl TextConfig {
    /// Checks that the heads divide the width.
    ///
    /// # Errors
    /// One sentence with the two numbers.
    pub fn check(&self) -> Result<()> {
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::Model(format!(
                "This text encoder cannot be run here: width {} does not divide into {} heads.",
                self.hidden_size, self.num_attention_heads
            )));
        }
        Ok(())
    }
}

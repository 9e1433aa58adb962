//! CLIP's text encoder (transformers `CLIPTextModel`), up to the last hidden state after the final layer norm.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData, activation};

use super::attention::join_heads;
use super::layers::{Builder, Linear};
use super::norms::LayerNorm;
use crate::device::Place;
use crate::model::tensors::Tensors;
use crate::weights::config::{TextActivation, TextConfig};
use crate::{Error, Result};

#[derive(Module, Debug)]
struct TextLayer {
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl TextLayer {
    fn build(mut at: Builder, config: &TextConfig) -> Result<Self> {
        let (width, inner, epsilon) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let mut attention = at.at("self_attn");
        let mut proj = |name| attention.linear(name, [width, width], true);
        Ok(Self {
            q_proj: proj("q_proj")?,
            k_proj: proj("k_proj")?,
            v_proj: proj("v_proj")?,
            out_proj: proj("out_proj")?,
            layer_norm1: at.layer_norm("layer_norm1", width, epsilon)?,
            layer_norm2: at.layer_norm("layer_norm2", width, epsilon)?,
            fc1: at.at("mlp").linear("fc1", [width, inner], true)?,
            fc2: at.at("mlp").linear("fc2", [inner, width], true)?,
        })
    }

    /// `mask` `[1, 1, tokens, tokens]` is 0 where a token may attend and very negative where it may not (causal).
    fn forward(&self, x: Tensor<3>, mask: &Tensor<4>, config: &TextConfig) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let heads = config.num_attention_heads;
        let split = |x: Tensor<3>| x.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2);
        let normed = self.layer_norm1.forward(x.clone());
        let scale = 1.0 / ((width / heads) as f32).sqrt();
        let q = split(self.q_proj.forward(normed.clone()).mul_scalar(scale));
        let k = split(self.k_proj.forward(normed.clone()));
        let v = split(self.v_proj.forward(normed));
        // Broadcast products and sums are enough for these few tokens; burn's matmul would add much to the page's download.
        let scores = (q.unsqueeze_dim::<5>(3) * k.unsqueeze_dim(2)).sum_dim(4).squeeze_dim(4) + mask.clone();
        let shares = activation::softmax(scores, 3);
        let attended = (shares.unsqueeze_dim::<5>(4) * v.unsqueeze_dim(2)).sum_dim(3).squeeze_dim(3);
        let attended = join_heads(attended);
        let x = x + self.out_proj.forward(attended);
        let hidden = self.fc1.forward(self.layer_norm2.forward(x.clone()));
        let hidden = match config.hidden_act {
            TextActivation::QuickGelu => hidden.clone() * activation::sigmoid(hidden.mul_scalar(1.702)),
            TextActivation::Gelu => activation::gelu(hidden),
        };
        x + self.fc2.forward(hidden)
    }
}

#[derive(Module, Debug)]
struct TextLayers {
    token_embedding: Param<Tensor<2>>,
    position_embedding: Param<Tensor<2>>,
    layers: Vec<TextLayer>,
    final_layer_norm: LayerNorm,
}

/// The text encoder with the config that shaped it.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    /// Its `config.json`.
    pub config: TextConfig,
    layers: TextLayers,
    /// Token ids whose embeddings are loaded, ascending.
    tokens: Vec<usize>,
    place: Place,
}

impl TextEncoder {
    /// Builds the encoder of `config` from all its tensors; of the token embedding it takes only the rows of `tokens`.
    ///
    /// # Errors
    /// Names a missing, extra or wrongly shaped tensor.
    pub fn build(config: TextConfig, tokens: &[usize], mut tensors: Tensors, place: &Place) -> Result<Self> {
        config.check()?;
        let mut tokens = tokens.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        let mut root = Builder::new(&mut tensors, place);
        let mut at = root.at("text_model");
        let width = config.hidden_size;
        let layers = TextLayers {
            token_embedding: at.rows("embeddings.token_embedding.weight", [config.vocab_size, width], &tokens)?,
            position_embedding: at
                .parameter("embeddings.position_embedding.weight", [config.max_position_embeddings, width])?,
            layers: (0..config.num_hidden_layers)
                .map(|i| TextLayer::build(at.at(format_args!("encoder.layers.{i}")), &config))
                .collect::<Result<_>>()?,
            final_layer_norm: at.layer_norm("final_layer_norm", width, config.layer_norm_eps)?,
        };
        tensors.finish()?;
        Ok(Self { config, layers, tokens, place: place.clone() })
    }

    /// Token ids, at most `max_position_embeddings` of them, to `[1, tokens, hidden_size]`.
    ///
    /// # Errors
    /// Names an id outside the vocabulary, or the number of ids if there are too many.
    pub fn forward(&self, ids: &[usize]) -> Result<Tensor<3>> {
        let indices = self.rows(ids)?;
        let layers = &self.layers;
        let tokens = ids.len();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [tokens]), &self.place.device);
        let embedded =
            layers.token_embedding.val().select(0, indices) + layers.position_embedding.val().narrow(0, 0, tokens);
        let mask: Vec<f32> = (0..tokens * tokens).map(|i| if i % tokens > i / tokens { -1e9 } else { 0.0 }).collect();
        let mask = self.place.tensor(mask, [1, 1, tokens, tokens]);
        let mut x = embedded.unsqueeze::<3>();
        for layer in &layers.layers {
            x = layer.forward(x, &mask, &self.config);
        }
        Ok(layers.final_layer_norm.forward(x))
    }

    /// The rows of the loaded token embedding that hold `ids`.
    fn rows(&self, ids: &[usize]) -> Result<Vec<i32>> {
        let (vocabulary, positions) = (self.config.vocab_size, self.config.max_position_embeddings);
        if ids.is_empty() || ids.len() > positions {
            return Err(Error::Model(format!("The text encoder takes 1 to {positions} tokens, not {}.", ids.len())));
        }
        let row = |id: &usize| {
            let row = self.tokens.binary_search(id).ok().filter(|_| *id < vocabulary);
            row.and_then(|row| i32::try_from(row).ok()).ok_or_else(|| {
                Error::Model(format!(
                    "The text encoder was built without token {id} of its vocabulary of {vocabulary}."
                ))
            })
        };
        ids.iter().map(row).collect()
    }
}

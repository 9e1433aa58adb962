//! The diffusers `config.json`s as data. Defaults are diffusers' own, so that an older file without a key means the same.

use serde::{Deserialize, Deserializer};

use crate::{Error, Result};

/// A value given once for all levels, or once a level.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PerLevel {
    /// The same for every level.
    One(usize),
    /// One value a level, outermost first.
    Each(Vec<usize>),
}

impl PerLevel {
    /// The value of `level`; the last one given if there are fewer.
    pub fn at(&self, level: usize) -> usize {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values.get(level).or(values.last()).copied().unwrap_or(0),
        }
    }
}

/// `unet/config.json` of a diffusers `UNet2DConditionModel`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct UnetConfig {
    /// Latent channels in.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Latent side the model was trained at; null in some files.
    pub sample_size: Option<usize>,
    /// Channels of each level, outermost first.
    pub block_out_channels: Vec<usize>,
    /// Kind of each level on the way down.
    pub down_block_types: Vec<String>,
    /// Kind of each level on the way up, innermost first.
    pub up_block_types: Vec<String>,
    /// Resnets a level on the way down; the way up has one more.
    pub layers_per_block: PerLevel,
    /// Transformer blocks in each attention.
    pub transformer_layers_per_block: PerLevel,
    /// Number of attention heads: the name is diffusers' long-standing misnomer.
    pub attention_head_dim: PerLevel,
    /// Number of attention heads under its right name; overrides `attention_head_dim`.
    pub num_attention_heads: Option<PerLevel>,
    /// Width of the text context.
    pub cross_attention_dim: PerLevel,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Epsilon of the resnets' group norms.
    pub norm_eps: f64,
    /// Linear (2.x) or 1×1 convolution (1.x) around the transformer blocks.
    pub use_linear_projection: bool,
    /// Cosines before sines in the timestep's embedding.
    pub flip_sin_to_cos: bool,
    /// Shift of the frequency grid of the timestep's embedding.
    pub freq_shift: f32,
    /// Padding of the stride-2 convolutions.
    pub downsample_padding: usize,
    /// Divides the mid block's residual sums.
    pub mid_block_scale_factor: f64,
    /// Whether the latents are mapped to 2x − 1 first.
    pub center_input_sample: bool,
    /// Attention scores in f32 whatever the activations are (2.1 at 768 px). Activations here are f32 already.
    pub upcast_attention: bool,
    /// Kind of the mid block.
    pub mid_block_type: Option<String>,
    /// Decoder layers at which injection serves this model best, where its makers say so. Not diffusers' own: it passes over
    /// keys that begin with an underscore.
    #[serde(rename = "_injection_layers")]
    pub injection_layers: Option<Vec<usize>>,
    #[serde(flatten)]
    pub(crate) rest: serde_json::Map<String, serde_json::Value>,
}

impl Default for UnetConfig {
    fn default() -> Self {
        let cross = "CrossAttnDownBlock2D".to_string();
        let up = "CrossAttnUpBlock2D".to_string();
        Self {
            in_channels: 4,
            out_channels: 4,
            sample_size: None,
            block_out_channels: vec![320, 640, 1280, 1280],
            down_block_types: vec![cross.clone(), cross.clone(), cross, "DownBlock2D".into()],
            up_block_types: vec!["UpBlock2D".into(), up.clone(), up.clone(), up],
            layers_per_block: PerLevel::One(2),
            transformer_layers_per_block: PerLevel::One(1),
            attention_head_dim: PerLevel::One(8),
            num_attention_heads: None,
            cross_attention_dim: PerLevel::One(1280),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            use_linear_projection: false,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            downsample_padding: 1,
            mid_block_scale_factor: 1.0,
            center_input_sample: false,
            upcast_attention: false,
            mid_block_type: Some("UNetMidBlock2DCrossAttn".into()),
            injection_layers: None,
            rest: Default::default(),
        }
    }
}

impl UnetConfig {
    /// Attention heads at `level`, outermost first.
    pub fn heads(&self, level: usize) -> usize {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).at(level)
    }

    /// Whether `level` (outermost first) has attention on the way down.
    pub fn attends_down(&self, level: usize) -> bool {
        self.down_block_types[level] == "CrossAttnDownBlock2D"
    }

    /// Whether up block `block` (innermost first) has attention.
    pub fn attends_up(&self, block: usize) -> bool {
        self.up_block_types[block] == "CrossAttnUpBlock2D"
    }

    /// Number of resnets in an up block.
    pub fn up_layers(&self, block: usize) -> usize {
        let level = self.block_out_channels.len() - 1 - block;
        self.layers_per_block.at(level) + 1
    }

    /// The decoder layers that have self-attention, ascending. Layer i of Stable Diffusion is
    /// `up_blocks[i/3].attentions[i%3]` (`StyleID`, section 4.1: layers 6–11 of 0–11).
    pub fn decoder_layers(&self) -> Vec<usize> {
        let mut layers = Vec::new();
        let mut first = 0;
        for block in 0..self.up_block_types.len() {
            let count = self.up_layers(block);
            if self.attends_up(block) {
                layers.extend(first..first + count);
            }
            first += count;
        }
        layers
    }

    /// The level at which a decoder layer is: its tokens are latents halved so many times along each side, rounding up; none
    /// for a layer that there is not.
    pub fn level(&self, layer: usize) -> Option<usize> {
        let levels = self.block_out_channels.len();
        let mut first = 0;
        (0..levels)
            .find(|&block| {
                first += self.up_layers(block);
                layer < first
            })
            .map(|block| levels - 1 - block)
    }

    /// Checks that this is a network the crate can build.
    ///
    /// # Errors
    /// Names the first key whose value belongs to another family (SDXL, unCLIP, class-conditional, …).
    pub fn check(&self) -> Result<()> {
        let levels = self.block_out_channels.len();
        let fail = |what: String| Err(Error::Model(format!("This UNet cannot be run here: {what}.")));
        if levels == 0 || self.down_block_types.len() != levels || self.up_block_types.len() != levels {
            return fail("block_out_channels, down_block_types and up_block_types differ in length".into());
        }
        for (kinds, known) in [
            (&self.down_block_types, ["CrossAttnDownBlock2D", "DownBlock2D"]),
            (&self.up_block_types, ["CrossAttnUpBlock2D", "UpBlock2D"]),
        ] {
            if let Some(kind) = kinds.iter().find(|kind| !known.contains(&kind.as_str())) {
                return fail(format!("block type {kind} is not one of Stable Diffusion 1.x or 2.x"));
            }
        }
        if self.mid_block_type.as_deref().is_some_and(|kind| kind != "UNetMidBlock2DCrossAttn") {
            return fail("its mid block is not UNetMidBlock2DCrossAttn".into());
        }
        for key in [
            "addition_embed_type",
            "class_embed_type",
            "encoder_hid_dim_type",
            "time_cond_proj_dim",
            "num_class_embeds",
            "timestep_post_act",
            "time_embedding_act_fn",
            "cross_attention_norm",
        ] {
            if self.rest.get(key).is_some_and(|value| !value.is_null()) {
                return fail(format!("{key} is set, which Stable Diffusion 1.x and 2.x do not have"));
            }
        }
        for key in ["only_cross_attention", "dual_cross_attention", "resnet_skip_time_act"] {
            if self.rest.get(key).and_then(|value| value.as_bool()) == Some(true) {
                return fail(format!("{key} is true, which Stable Diffusion 1.x and 2.x do not have"));
            }
        }
        for (key, expected) in
            [("act_fn", "silu"), ("resnet_time_scale_shift", "default"), ("time_embedding_type", "positional")]
        {
            if self.rest.get(key).and_then(|value| value.as_str()).is_some_and(|value| value != expected) {
                return fail(format!("{key} is not \"{expected}\""));
            }
        }
        for level in 0..levels {
            let (channels, heads) = (self.block_out_channels[level], self.heads(level));
            if self.norm_num_groups == 0 || !channels.is_multiple_of(self.norm_num_groups) {
                return fail(format!("{channels} channels do not divide into {} norm groups", self.norm_num_groups));
            }
            if heads == 0 || !channels.is_multiple_of(heads) {
                return fail(format!("{channels} channels do not divide into {heads} attention heads"));
            }
        }
        let layers = self.decoder_layers();
        if let Some(missing) = self.injection_layers.iter().flatten().find(|layer| !layers.contains(layer)) {
            return fail(format!(
                "its _injection_layers name layer {missing}, and those with self-attention are {layers:?}"
            ));
        }
        Ok(())
    }
}

/// `vae/config.json` of a diffusers `AutoencoderKL`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Picture channels in.
    pub in_channels: usize,
    /// Picture channels out.
    pub out_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels of each level, outermost first.
    pub block_out_channels: Vec<usize>,
    /// Resnets a level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Factor from the posterior's samples to the UNet's latents.
    pub scaling_factor: f32,
    /// 1×1 convolution after the encoder.
    pub use_quant_conv: bool,
    /// 1×1 convolution before the decoder.
    pub use_post_quant_conv: bool,
    /// Self-attention in both mid blocks.
    pub mid_block_add_attention: bool,
    /// Set in families whose latents are shifted, which this crate does not run.
    pub shift_factor: Option<f32>,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            latent_channels: 4,
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
            shift_factor: None,
        }
    }
}

impl VaeConfig {
    /// Pixels a latent along each side: 8 for Stable Diffusion.
    pub fn factor(&self) -> usize {
        1 << self.block_out_channels.len().saturating_sub(1)
    }

    /// Checks that this is an autoencoder the crate can build.
    ///
    /// # Errors
    /// One sentence naming the key that is out of the family.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Model(format!("This VAE cannot be run here: {what}.")));
        if self.in_channels != 3 || self.out_channels != 3 {
            return fail("it is not for RGB pictures".into());
        }
        if self.shift_factor.is_some_and(|shift| shift != 0.0) {
            return fail("its latents are shifted (shift_factor), which Stable Diffusion 1.x and 2.x do not do".into());
        }
        if self.block_out_channels.is_empty() || self.block_out_channels.len() > 8 {
            return fail("block_out_channels must have 1 to 8 levels".into());
        }
        for channels in &self.block_out_channels {
            if self.norm_num_groups == 0 || !channels.is_multiple_of(self.norm_num_groups) {
                return fail(format!("{channels} channels do not divide into {} norm groups", self.norm_num_groups));
            }
        }
        Ok(())
    }
}

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

/// What the UNet's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise: Stable Diffusion 1.x, 2.0-base, 2.1-base.
    #[default]
    Epsilon,
    /// The velocity √ᾱ·ε − √(1−ᾱ)·x₀: Stable Diffusion 2.x at 768 px.
    VPrediction,
}

/// `scheduler/scheduler_config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// First β.
    pub beta_start: f64,
    /// Last β.
    pub beta_end: f64,
    /// Only `scaled_linear` (linear in √β) is in the family.
    pub beta_schedule: String,
    /// Timesteps the model was trained on.
    pub num_train_timesteps: usize,
    /// What the UNet predicts. Null in a few old files, where it means ε.
    #[serde(deserialize_with = "null_as_default")]
    pub prediction_type: Prediction,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: "scaled_linear".into(),
            num_train_timesteps: 1000,
            prediction_type: Prediction::Epsilon,
        }
    }
}

impl SchedulerConfig {
    /// Checks that the schedule is one the sampler implements.
    ///
    /// # Errors
    /// One sentence naming the key.
    pub fn check(&self) -> Result<()> {
        if self.beta_schedule != "scaled_linear" {
            return Err(Error::Model(format!(
                "This model's scheduler cannot be run here: beta_schedule is \"{}\", only \"scaled_linear\" is known.",
                self.beta_schedule
            )));
        }
        if self.num_train_timesteps < 2 {
            return Err(Error::Model("This model's scheduler has fewer than 2 training timesteps.".into()));
        }
        Ok(())
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

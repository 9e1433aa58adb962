//! The UNet's `config.json`.

use serde::Deserialize;

use crate::error::{Error, Result};

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
    /// All other keys, as they are in the file; [`UnetConfig::check`] looks for those of other families.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
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

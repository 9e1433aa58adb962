//! The UNet's `config.json`.

mod check;
mod layers;

use serde::{Deserialize, Deserializer};

pub(crate) use check::other_channels;
pub use layers::DecoderLevel;

/// A value for all levels, or one per level.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a whole number, or one for each level")]
pub enum PerLevel {
    /// The same for every level.
    One(usize),
    /// One value per level, outermost first.
    Each(Vec<usize>),
}

impl PerLevel {
    /// The value at `level`, or the last one if there are fewer.
    pub fn at(&self, level: usize) -> usize {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values.get(level).or(values.last()).copied().unwrap_or(0),
        }
    }
}

/// `unet/config.json` of a diffusers `UNet2DConditionModel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct UnetConfig {
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Side of the latents that the model was trained on; null in some files. If a file has two sides, the first one.
    #[serde(deserialize_with = "side")]
    pub sample_size: Option<usize>,
    /// Channels of each level, outermost first.
    pub block_out_channels: Vec<usize>,
    /// Block type of each level on the way down.
    pub down_block_types: Vec<String>,
    /// Block type of each level on the way up, innermost first.
    pub up_block_types: Vec<String>,
    /// Resnets per level on the way down; the way up has one more.
    pub layers_per_block: PerLevel,
    /// Transformer blocks in each attention.
    pub transformer_layers_per_block: PerLevel,
    /// Number of attention heads. The misleading name is diffusers' own.
    pub attention_head_dim: PerLevel,
    /// Number of attention heads under its proper name; overrides `attention_head_dim`.
    pub num_attention_heads: Option<PerLevel>,
    /// Width of the prompt context.
    pub cross_attention_dim: PerLevel,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Epsilon of the resnets' group norms.
    pub norm_eps: f64,
    /// Linear (2.x) or 1×1 convolution (1.x) around the transformer blocks.
    pub use_linear_projection: bool,
    /// Whether cosines come before sines in the timestep embedding.
    pub flip_sin_to_cos: bool,
    /// Shift of the frequency grid of the timestep embedding.
    pub freq_shift: f32,
    /// Padding of the stride-2 convolutions.
    pub downsample_padding: usize,
    /// Divisor of the mid block's residual sums.
    pub mid_block_scale_factor: f64,
    /// Whether the latents are mapped to 2x − 1 first.
    pub center_input_sample: bool,
    /// Whether attention scores are computed in f32 regardless of the activation type (2.1 at 768 px). Activations here are
    /// f32 already.
    pub upcast_attention: bool,
    /// Block type of the mid block. `None` for a UNet without one, in which the way up directly follows the way down.
    pub mid_block_type: Option<String>,
    /// Decoder layers at which injection works best for this model, if its makers say so. This key is not from diffusers,
    /// which ignores keys with a leading underscore.
    #[serde(rename = "_injection_layers")]
    pub injection_layers: Option<Vec<usize>>,
    /// All other keys, unchanged. [`UnetConfig::check`] looks for those of other families.
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

/// Keys at which null does not mean the default.
pub(super) const NULLS: [&str; 1] = ["mid_block_type"];

fn side<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    Ok(Some(PerLevel::deserialize(from)?.at(0)))
}

impl UnetConfig {
    /// Attention heads at `level`, outermost first.
    pub fn heads(&self, level: usize) -> usize {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).at(level)
    }

    /// Whether `level` (outermost first) has attention on the way down.
    pub fn attends_down(&self, level: usize) -> bool {
        self.down_block_types.get(level).is_some_and(|kind| kind == "CrossAttnDownBlock2D")
    }

    /// Whether up block `block` (innermost first) has attention.
    pub fn attends_up(&self, block: usize) -> bool {
        self.up_block_types.get(block).is_some_and(|kind| kind == "CrossAttnUpBlock2D")
    }

    /// Whether there is a mid block; most distilled UNets have none.
    pub fn has_mid_block(&self) -> bool {
        self.mid_block_type.is_some()
    }

    /// Number of resnets in an up block.
    pub fn up_layers(&self, block: usize) -> usize {
        let level = self.block_out_channels.len().saturating_sub(1 + block);
        self.layers_per_block.at(level).saturating_add(1)
    }

    /// Side of the latents that the model was trained on. If the config does not state it: 64, or 96 for a 2.x that
    /// predicts v. For networks narrower than any Stable Diffusion, it is such that the innermost level has 8.
    pub fn native_side(&self, is_velocity: bool) -> usize {
        let outermost = self.block_out_channels.first().copied().unwrap_or_default();
        self.sample_size.unwrap_or(match (outermost >= 320, self.use_linear_projection && is_velocity) {
            (true, true) => 96,
            (true, false) => 64,
            (false, _) => 8 << self.block_out_channels.len().saturating_sub(1).min(8),
        })
    }
}

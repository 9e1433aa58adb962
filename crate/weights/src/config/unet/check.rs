//! Checks a UNet's config for what belongs to another family or cannot be built.

use serde_json::{Value, json};

use super::super::reading::short;
use super::{PerLevel, UnetConfig};
use crate::error::{Error, Result};

/// Largest supported numbers of levels, resnets per level, transformer blocks per attention, and channels.
const MOST_LEVELS: usize = 8;
const MOST_LAYERS: usize = 16;
const MOST_CHANNELS: usize = 65_536;

/// Keys that must not be set: no model of the family has them.
const UNSET: [&str; 12] = [
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim_type",
    "encoder_hid_dim",
    "time_cond_proj_dim",
    "num_class_embeds",
    "timestep_post_act",
    "time_embedding_act_fn",
    "cross_attention_norm",
    "mid_block_only_cross_attention",
    "reverse_transformer_layers_per_block",
    "projection_class_embeddings_input_dim",
];

/// Keys that must not be true.
const UNTRUE: [&str; 4] =
    ["only_cross_attention", "dual_cross_attention", "resnet_skip_time_act", "class_embeddings_concat"];

impl UnetConfig {
    /// Checks that the crate can build this network.
    ///
    /// # Errors
    /// The first key whose value belongs to another family (SDXL, unCLIP, class-conditional, …).
    pub fn check(&self) -> Result<()> {
        self.family()
            .and_then(|()| self.sizes())
            .map_err(|what| Error::Model(format!("This UNet cannot be run here: {what}.")))
    }

    fn family(&self) -> Result<(), String> {
        let rest = |key: &str| self.rest.get(key).filter(|value| !value.is_null());
        if let Some(class) = rest("_class_name").filter(|class| *class != "UNet2DConditionModel") {
            return Err(format!("it is of kind {}, and UNet2DConditionModel is needed", short(&class.to_string())));
        }
        if rest("addition_embed_type").is_some() {
            return Err("it is Stable Diffusion XL's (addition_embed_type); use a model of version 1 or 2".into());
        }
        if rest("class_embed_type").is_some_and(|kind| kind == "projection") {
            return Err(
                "it is an unCLIP model (class_embed_type), which is steered by pictures; use a plain one".into()
            );
        }
        if let Some(what) = other_channels(self.in_channels) {
            return Err(format!("{what} (in_channels is {}); use a plain model", self.in_channels));
        }
        for key in UNSET {
            if rest(key).is_some_and(|value| *value != false) {
                return Err(format!("{key} is set, which Stable Diffusion 1.x and 2.x do not have"));
            }
        }
        for key in UNTRUE {
            let is_untrue = |value: &Value| match value {
                Value::Array(levels) => levels.iter().all(|level| *level == false),
                value => *value == false,
            };
            if rest(key).is_some_and(|value| !is_untrue(value)) {
                return Err(format!("{key} is not false, which Stable Diffusion 1.x and 2.x do not have"));
            }
        }
        let time = 4 * self.block_out_channels.first().copied().unwrap_or_default().min(MOST_CHANNELS);
        for (key, expected) in [
            ("act_fn", [json!("silu"), json!("swish")]),
            ("resnet_time_scale_shift", [json!("default"), json!("default")]),
            ("time_embedding_type", [json!("positional"), json!("positional")]),
            ("attention_type", [json!("default"), json!("default")]),
            ("resnet_out_scale_factor", [json!(1.0), json!(1)]),
            ("conv_in_kernel", [json!(3), json!(3)]),
            ("conv_out_kernel", [json!(3), json!(3)]),
            ("time_embedding_dim", [json!(time), json!(time)]),
        ] {
            if let Some(value) = rest(key).filter(|value| !expected.contains(value)) {
                return Err(format!("{key} is {}, and only {} is known", short(&value.to_string()), expected[0]));
            }
        }
        let levels = self.block_out_channels.len();
        if levels == 0 || self.down_block_types.len() != levels || self.up_block_types.len() != levels {
            return Err("block_out_channels, down_block_types and up_block_types differ in length".into());
        }
        if levels > MOST_LEVELS {
            return Err(format!("block_out_channels has {levels} levels, and {MOST_LEVELS} are possible"));
        }
        for (key, kinds, known) in [
            ("down_block_types", &self.down_block_types, ["CrossAttnDownBlock2D", "DownBlock2D"]),
            ("up_block_types", &self.up_block_types, ["CrossAttnUpBlock2D", "UpBlock2D"]),
        ] {
            if let Some(kind) = kinds.iter().find(|kind| !known.contains(&kind.as_str())) {
                let kind = short(kind);
                return Err(format!("block type {kind} ({key}) is not one of Stable Diffusion 1.x or 2.x"));
            }
        }
        match self.mid_block_type.as_deref() {
            None | Some("UNetMidBlock2DCrossAttn") => Ok(()),
            Some(_) => Err("its mid block is not UNetMidBlock2DCrossAttn (mid_block_type)".into()),
        }
    }

    fn sizes(&self) -> Result<(), String> {
        let levels = self.block_out_channels.len();
        let within = |key: &str, value: usize, least: usize, most: usize| {
            let is = (least..=most).contains(&value);
            is.then_some(()).ok_or_else(|| format!("{key} is {value}, and {least} to {most} are possible"))
        };
        within("in_channels", self.in_channels, 1, MOST_CHANNELS)?;
        within("out_channels", self.out_channels, 1, MOST_CHANNELS)?;
        within("norm_num_groups", self.norm_num_groups, 1, MOST_CHANNELS)?;
        within("downsample_padding", self.downsample_padding, 0, 1)?;
        if let Some(side) = self.sample_size {
            within("sample_size", side, 1, 8192)?;
        }
        let by_level = [
            ("layers_per_block", &self.layers_per_block, MOST_LAYERS),
            ("transformer_layers_per_block", &self.transformer_layers_per_block, MOST_LAYERS),
            ("attention_head_dim", &self.attention_head_dim, MOST_CHANNELS),
            ("cross_attention_dim", &self.cross_attention_dim, MOST_CHANNELS),
        ];
        let heads = self.num_attention_heads.iter().map(|heads| ("num_attention_heads", heads, MOST_CHANNELS));
        for (key, value, most) in by_level.into_iter().chain(heads) {
            if let PerLevel::Each(values) = value
                && values.len() != levels
            {
                return Err(format!("{key} has {} values for {levels} levels", values.len()));
            }
            (0..levels).try_for_each(|level| within(key, value.at(level), 1, most))?;
        }
        for level in 0..levels {
            let (channels, heads) = (self.block_out_channels[level], self.heads(level));
            within("block_out_channels", channels, 1, MOST_CHANNELS)?;
            if !channels.is_multiple_of(self.norm_num_groups) {
                return Err(format!(
                    "{channels} channels do not divide into {} norm groups (norm_num_groups)",
                    self.norm_num_groups
                ));
            }
            if !channels.is_multiple_of(heads) {
                return Err(format!("{channels} channels do not divide into {heads} attention heads"));
            }
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return Err(format!("norm_eps is {}, and must be between 0 and 1", self.norm_eps));
        }
        if !self.mid_block_scale_factor.is_finite() || self.mid_block_scale_factor == 0.0 {
            return Err(format!("mid_block_scale_factor is {}, by which nothing divides", self.mid_block_scale_factor));
        }
        let half = self.block_out_channels[0] / 2;
        let has_frequencies = self.freq_shift >= 0.0 && self.freq_shift < half as f32;
        if !self.block_out_channels[0].is_multiple_of(2) || !has_frequencies {
            return Err("block_out_channels and freq_shift leave no frequencies for the timestep".into());
        }
        let layers = self.decoder_layers();
        if let Some(missing) = self.injection_layers.iter().flatten().find(|layer| !layers.contains(layer)) {
            return Err(format!(
                "its _injection_layers name layer {missing}, and those with self-attention are {layers:?}"
            ));
        }
        Ok(())
    }
}

/// The kind of UNet that has this many input channels, if it is not a plain one.
pub(crate) fn other_channels(channels: usize) -> Option<&'static str> {
    Some(match channels {
        9 => "it is an inpainting model",
        8 => "it is an InstructPix2Pix model, or another that is steered by a second picture",
        7 => "it is an upscaler",
        5 => "it is a model that is steered by depth",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::reading::read;
    use super::super::NULLS;
    use super::*;

    fn config(value: Value) -> Result<UnetConfig> {
        let config: UnetConfig = read("a/model", "unet/config.json", &value, &NULLS)?;
        config.check().map(|()| config)
    }

    #[test]
    fn null_is_the_default_at_every_key_but_the_mid_blocks() {
        let mut keys = vec![
            "in_channels",
            "out_channels",
            "sample_size",
            "block_out_channels",
            "down_block_types",
            "up_block_types",
            "layers_per_block",
            "transformer_layers_per_block",
            "attention_head_dim",
            "num_attention_heads",
            "cross_attention_dim",
            "norm_num_groups",
            "norm_eps",
            "use_linear_projection",
            "flip_sin_to_cos",
            "freq_shift",
            "downsample_padding",
            "mid_block_scale_factor",
            "center_input_sample",
            "upcast_attention",
            "_injection_layers",
            "_class_name",
            "act_fn",
            "dropout",
        ];
        keys.extend(UNSET);
        keys.extend(UNTRUE);
        let mut nulls: serde_json::Map<_, _> = keys.iter().map(|key| (key.to_string(), Value::Null)).collect();
        assert_eq!(config(nulls.clone().into()).expect("defaults"), UnetConfig::default());
        nulls.insert("mid_block_type".into(), Value::Null);
        assert!(!config(nulls.into()).expect("defaults").has_mid_block());
    }

    #[test]
    fn distilled_shapes_are_of_the_family() {
        let tiny = json!({ "mid_block_type": null, "layers_per_block": 1, "block_out_channels": [320, 640, 1280],
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
            "sample_size": [64, 64], "only_cross_attention": [false, false, false], "act_fn": "swish" });
        let tiny = config(tiny).expect("tiny-sd");
        assert_eq!((tiny.has_mid_block(), tiny.sample_size), (false, Some(64)));
        assert_eq!(tiny.decoder_layers(), [0, 1, 2, 3, 4, 5]);
        assert!(config(json!({ "layers_per_block": [1, 2, 1, 1] })).is_ok());
    }

    #[test]
    fn what_is_of_another_family_or_size_is_named_by_its_key() {
        for (key, value) in [
            ("upcast_attention", json!("yes")),
            ("layers_per_block", json!(4_000_000_000u64)),
            ("layers_per_block", json!(u64::MAX)),
            ("layers_per_block", json!(0)),
            ("layers_per_block", json!([])),
            ("layers_per_block", json!([1, 2])),
            ("layers_per_block", json!([1, null, 1, 1])),
            ("transformer_layers_per_block", json!(1000)),
            ("transformer_layers_per_block", json!([[1], [2], [3], [4]])),
            ("block_out_channels", json!(vec![32; 9])),
            ("block_out_channels", json!([320, 640, 1280, 1_000_000])),
            ("block_out_channels", json!([0, 640, 1280, 1280])),
            ("block_out_channels", json!(320)),
            ("norm_num_groups", json!(0)),
            ("norm_eps", json!(0)),
            ("attention_head_dim", json!("eight")),
            ("attention_head_dim", json!(-8)),
            ("mid_block_type", json!("UNetMidBlock2DSimpleCrossAttn")),
            ("mid_block_scale_factor", json!(0)),
            ("down_block_types", json!(["A", "B", "C", "D"])),
            ("addition_embed_type", json!("text_time")),
            ("class_embed_type", json!("projection")),
            ("class_embed_type", json!("timestep")),
            ("num_class_embeds", json!(1000)),
            ("only_cross_attention", json!([true, false, false, false])),
            ("only_cross_attention", json!("no")),
            ("conv_in_kernel", json!(5)),
            ("resnet_out_scale_factor", json!(1.5)),
            ("attention_type", json!("gated")),
            ("time_embedding_dim", json!(512)),
            ("in_channels", json!(9)),
            ("in_channels", json!(8)),
            ("downsample_padding", json!(3)),
            ("sample_size", json!("large")),
            ("freq_shift", json!(500)),
            ("_injection_layers", json!([1])),
            ("UNetMotionModel", json!(null)),
        ] {
            let value = if value.is_null() { json!({ "_class_name": key }) } else { json!({ key: value }) };
            let message = config(value.clone()).expect_err(key).to_string();
            assert!(message.contains(key) && message.ends_with('.'), "{value}: {message}");
        }
        for fine in [
            json!({ "conv_in_kernel": 3, "resnet_out_scale_factor": 1, "time_embedding_dim": 1280 }),
            json!({ "cross_attention_norm": false, "something_new": [1, 2] }),
        ] {
            assert!(config(fine).is_ok());
        }
    }
}

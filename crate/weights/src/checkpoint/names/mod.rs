//! Maps tensor names in files to diffusers' names, which the networks use.
//!
//! Files use LDM names (CompVis and Stability AI; also stable-diffusion.cpp), sgm names, diffusers names with a prefix per
//! network, or a mixture, because diffusers' own conversion leaves some names unchanged. Sources: the key layout of
//! `ldm/modules/diffusionmodules`, diffusers' `convert_diffusers_to_original_stable_diffusion.py`, stable-diffusion.cpp's
//! `name_conversion.cpp`.

mod text;
mod unet;
mod vae;

/// The name of the network, then the tensor's diffusers name: `unet.conv_in.weight`.
pub type FullName = String;

/// A network of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Predicts the noise.
    Unet,
    /// Maps images to latents and back.
    Vae,
    /// Computes the prompt's embedding. A model without a text encoder contains the empty prompt's embedding instead.
    Text,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unet, Self::Vae, Self::Text];

    /// Its display name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unet => "UNet",
            Self::Vae => "VAE",
            Self::Text => "text encoder",
        }
    }

    /// The prefix of its full names, and its key in a model's configs.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::Vae => "vae",
            Self::Text => "text_encoder",
        }
    }
}

/// The diffusers equivalent of a tensor in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// The same tensor under another name.
    One(FullName),
    /// A fused matrix of queries, keys and values, in this order; each is a third of its rows.
    Fused([FullName; 3]),
}

/// Name prefixes with their network and rank. If a file has a tensor twice, the higher rank wins: a VAE that was added to a
/// whole file replaces the original one.
const PREFIXES: [(&str, Part, u8); 16] = [
    ("model.diffusion_model.", Part::Unet, 0),
    ("diffusion_model.", Part::Unet, 0),
    ("unet.", Part::Unet, 1),
    ("first_stage_model.", Part::Vae, 0),
    ("vae.first_stage_model.", Part::Vae, 1),
    ("vae.", Part::Vae, 1),
    ("cond_stage_model.", Part::Text, 0),
    ("conditioner.embedders.0.", Part::Text, 0),
    ("text_encoders.clip_l.", Part::Text, 1),
    ("text_encoders.clip_h.", Part::Text, 1),
    ("te.", Part::Text, 1),
    ("te1.", Part::Text, 1),
    ("text_encoder.", Part::Text, 1),
    ("clip_l.", Part::Text, 1),
    ("clip_h.", Part::Text, 1),
    ("clip.", Part::Text, 0),
];

/// The network that a prefixed name belongs to, the rest of the name, and its rank.
fn prefixed(name: &str) -> Option<(Part, &str, u8)> {
    PREFIXES.iter().find_map(|&(prefix, part, rank)| Some((part, name.strip_prefix(prefix)?, rank)))
}

/// The network that a name without a prefix belongs to.
fn bare(name: &str) -> Option<Part> {
    if text::is_own(name) {
        Some(Part::Text)
    } else if unet::is_own(name) {
        Some(Part::Unet)
    } else {
        vae::is_own(name).then_some(Part::Vae)
    }
}

/// The naming and numbering scheme of a checkpoint's files.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    unet: unet::Numbering,
    vae_levels: usize,
    /// Networks whose names have a prefix. Names without a prefix can only belong to the others.
    prefixed: Vec<Part>,
    /// Whether there is a complete second VAE, which replaces the original one.
    has_second_vae: bool,
}

impl Layout {
    /// The scheme of files with these tensor names.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut layout = Self::default();
        let mut second_vae = [false; 2];
        for name in names {
            let (part, rest) = match prefixed(name) {
                Some((part, rest, rank)) => {
                    if !layout.prefixed.contains(&part) {
                        layout.prefixed.push(part);
                    }
                    if part == Part::Vae && rank > 0 {
                        second_vae[0] |= rest == "encoder.conv_in.weight";
                        second_vae[1] |= rest == "decoder.conv_in.weight";
                    }
                    (part, rest)
                }
                None => match bare(name) {
                    Some(part) => (part, name),
                    None => continue,
                },
            };
            match part {
                Part::Unet => layout.unet.see(rest),
                Part::Vae => layout.vae_levels = layout.vae_levels.max(vae::levels(rest)),
                Part::Text => {}
            }
        }
        layout.unet.sort();
        layout.has_second_vae = second_vae == [true; 2];
        layout
    }

    /// The diffusers name of a tensor, and its rank: of two tensors with the same name, the higher rank wins. `None` for
    /// tensors that `StyleID` does not need: EMA copies, schedules, projections, image encoders. Unknown names within a
    /// network stay unchanged, so that they are reported when the network is built.
    pub fn rename(&self, name: &str) -> Option<(Renamed, u8)> {
        let (part, rest, rank) = match prefixed(name) {
            Some(found) => found,
            None => (bare(name).filter(|part| !self.prefixed.contains(part))?, name, 0),
        };
        if part == Part::Vae && rank == 0 && self.has_second_vae && prefixed(name).is_some() {
            return None;
        }
        Some((self.within(part, rest)?, rank))
    }

    /// The diffusers name of a tensor in this network, given without a prefix.
    pub fn within(&self, part: Part, name: &str) -> Option<Renamed> {
        let one = |name: String| Renamed::One(format!("{}.{name}", part.key()));
        match part {
            Part::Unet => self.unet.rename(name).map(one),
            Part::Vae => vae::rename(name, self.vae_levels).map(one),
            Part::Text => text::rename(name),
        }
    }
}

fn swap(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(from, to)| name.strip_prefix(from).map(|rest| format!("{to}{rest}")))
}

/// Splits off a leading number: `12.rest` becomes 12 and `rest`.
fn number(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.split_once('.')?;
    Some((number.parse().ok().filter(|number| *number < 1 << 16)?, rest))
}

/// Names in the VAE's attention before diffusers 0.18, still used by the SD 1.x files on the Hub.
const OLD_ATTENTION: [(&str, &str); 4] =
    [(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")];

/// The current diffusers name for an old one.
fn current(name: &str) -> String {
    OLD_ATTENTION
        .iter()
        .find_map(|(old, new)| {
            let (stem, kind) = name.split_once(old)?;
            matches!(kind, "weight" | "bias").then(|| format!("{stem}{new}{kind}"))
        })
        .unwrap_or_else(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The diffusers names of tensors that are in the same file.
    pub(super) fn renamed(names: &[&str]) -> Vec<Option<String>> {
        let layout = Layout::of(names.iter().copied());
        let one = |name: &&str| match layout.rename(name)?.0 {
            Renamed::One(name) => Some(name),
            Renamed::Fused(names) => Some(names.join(" ")),
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn names_of_each_kind_of_file() {
        for (given, diffusers) in [
            ("model.diffusion_model.input_blocks.0.0.bias", "unet.conv_in.bias"),
            ("unet.conv_in.bias", "unet.conv_in.bias"),
            ("conv_in.bias", "unet.conv_in.bias"),
            ("input_blocks.0.0.weight", "unet.conv_in.weight"),
            ("vae.decoder.conv_in.bias", "vae.decoder.conv_in.bias"),
            (
                "first_stage_model.decoder.up_blocks.0.resnets.0.norm1.bias",
                "vae.decoder.up_blocks.0.resnets.0.norm1.bias",
            ),
            ("encoder.mid.block_1.norm1.weight", "vae.encoder.mid_block.resnets.0.norm1.weight"),
            ("te.text_model.final_layer_norm.bias", "text_encoder.text_model.final_layer_norm.bias"),
            ("final_layer_norm.bias", "text_encoder.text_model.final_layer_norm.bias"),
            ("conditioner.embedders.0.model.ln_final.bias", "text_encoder.text_model.final_layer_norm.bias"),
        ] {
            assert_eq!(renamed(&[given]), [Some(diffusers.into())], "{given}");
        }
        for other in [
            "model_ema.decay",
            "alphas_cumprod",
            "model_ema.diffusion_modelinput_blocks00weight",
            "v_pred",
            "safety_checker.concept_embeds",
            "denoiser.sigmas",
        ] {
            assert_eq!(renamed(&[other]), [None], "{other}");
        }
    }

    #[test]
    fn what_is_not_understood_stays_to_be_seen() {
        let odd = ["model.diffusion_model.odd.thing", "first_stage_model.odd.thing"];
        assert_eq!(renamed(&odd), [Some("unet.odd.thing".into()), Some("vae.odd.thing".into())]);
    }

    #[test]
    fn a_second_vae_stands_for_the_first() {
        let both =
            ["first_stage_model.decoder.conv_in.bias", "vae.encoder.conv_in.weight", "vae.decoder.conv_in.weight"];
        assert_eq!(renamed(&both)[0], None);
        let layout = Layout::of(both[..2].iter().copied());
        assert_eq!(layout.rename(both[0]).map(|(_, rank)| rank), Some(0), "a part of one does not");
        assert_eq!(layout.rename(both[1]).map(|(_, rank)| rank), Some(1));
    }

    #[test]
    fn names_without_a_prefix_count_only_where_none_has_one() {
        let both = ["model.diffusion_model.input_blocks.0.0.bias", "conv_in.weight", "decoder.conv_in.bias"];
        assert_eq!(renamed(&both)[1..], [None, Some("vae.decoder.conv_in.bias".into())]);
    }

    #[test]
    fn old_attention_names_become_current_ones() {
        let stem = "encoder.mid_block.attentions.0";
        assert_eq!(current(&format!("{stem}.query.weight")), format!("{stem}.to_q.weight"));
        assert_eq!(current(&format!("{stem}.proj_attn.bias")), format!("{stem}.to_out.0.bias"));
        assert_eq!(current(&format!("{stem}.to_k.weight")), format!("{stem}.to_k.weight"));
        assert_eq!(current("conv_in.weight"), "conv_in.weight");
    }
}

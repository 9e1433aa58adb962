//! A quick classification of a file by its tensors' names and shapes: enough to choose among files, not to open one.

use super::Header;

/// Name prefixes of text encoders' tensors in files without network prefixes.
const TEXTS: [&str; 8] = [
    "text_model.",
    "embeddings.token_embedding.",
    "encoder.layers.",
    "transformer.text_model.",
    "transformer.resblocks.",
    "model.transformer.resblocks.",
    "clip_l.",
    "clip_h.",
];

/// What a file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A whole model: a UNet, a VAE, and a text encoder or the empty prompt's embedding.
    Whole,
    /// A UNet and a text encoder, without a VAE.
    WithoutVae,
    /// A UNet alone.
    Unet,
    /// A VAE alone.
    Vae,
    /// A text encoder alone.
    Text,
    /// Something else, with its name.
    Other(&'static str),
}

impl Holds {
    /// Its display name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "a whole model",
            Self::WithoutVae => "a model without its VAE",
            Self::Unet => "a UNet alone",
            Self::Vae => "a VAE alone",
            Self::Text => "a text encoder alone",
            Self::Other(name) => name,
        }
    }

    /// Classifies a file by its header.
    pub fn of(header: &Header) -> Self {
        let starts = |starts: &[&str]| {
            header.tensors.iter().any(|tensor| starts.iter().any(|start| tensor.name.starts_with(start)))
        };
        let has =
            |parts: &[&str]| header.tensors.iter().any(|tensor| parts.iter().any(|part| tensor.name.contains(part)));
        if has(&["lora_down.", "lora_up.", "lora_A.", "lora_B.", ".lora.", "lora_unet_", "hada_w1", "lokr_w"]) {
            return Self::Other("a LoRA");
        }
        if has(&["input_hint_block.", "controlnet_cond_embedding.", "control_model."]) {
            return Self::Other("a ControlNet");
        }
        if has(&["motion_modules."]) {
            return Self::Other("a motion module");
        }
        if starts(&["conditioner.embedders.1."]) || has(&["add_embedding.linear_1."]) {
            return Self::Other("a Stable Diffusion XL model");
        }
        if has(&["joint_blocks.", "double_blocks.", "single_transformer_blocks."]) {
            return Self::Other("a model of a newer family");
        }
        let unet = ["", "model.diffusion_model.", "unet.", "model_ema."].map(|prefix| {
            let ldm = [format!("{prefix}input_blocks.0.0.weight"), format!("{prefix}time_embed.0.weight")];
            let diffusers = [format!("{prefix}conv_in.weight"), format!("{prefix}time_embedding.linear_1.weight")];
            [ldm, diffusers].into_iter().find_map(|[input, time]| {
                let find = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name);
                find(&time).and_then(|_| find(&input))
            })
        });
        let unet = unet.into_iter().flatten().next();
        match unet.map(|input| input.shape.get(1).copied()) {
            Some(Some(9)) => return Self::Other("an inpainting model"),
            Some(Some(8)) => return Self::Other("a pix2pix model"),
            _ => {}
        }
        let vae = starts(&["first_stage_model.", "vae."]);
        let text = starts(&["cond_stage_model.", "conditioner.embedders.0.", "text_encoder.", "te.", "null_embedding"]);
        match (unet.is_some(), vae, text) {
            (true, true, true) => Self::Whole,
            (true, false, true) => Self::WithoutVae,
            (true, ..) => Self::Unet,
            (false, true, _) => Self::Vae,
            _ if starts(&["encoder.down", "decoder.up", "decoder.conv_in.", "encoder.conv_in."]) => Self::Vae,
            _ if text || starts(&TEXTS) => Self::Text,
            _ if Self::is_embedding(header) => Self::Other("an embedding"),
            _ => Self::Other("no model that is known here"),
        }
    }

    /// Whether there are at most four tensors, some of them vectors with a text encoder's width.
    fn is_embedding(header: &Header) -> bool {
        let is_vectors = |shape: &[usize]| match shape {
            [width] | [_, width] => [768, 1024, 1280].contains(width),
            _ => false,
        };
        (1..=4).contains(&header.tensors.len()) && header.tensors.iter().any(|tensor| is_vectors(&tensor.shape))
    }
}

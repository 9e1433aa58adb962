//! What a file contains, judged by the names and shapes in its header: parts of a Stable Diffusion model, or something
//! else.

use crate::config::unet::other_channels;
use crate::error::{Error, Result};
use crate::format::{Header, TensorEntry};

use super::names::{Layout, Part, Renamed};

/// Anything other than Stable Diffusion 1.x or 2.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// A model of another kind, with its name.
    Model(&'static str),
    /// An addition that only modifies or conditions a model, with its name.
    Addition(&'static str),
}

/// The contents of one file, or of several that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Whether there is a UNet.
    pub unet: bool,
    /// Whether there is a VAE.
    pub vae: bool,
    /// Whether there is a text encoder, or else the empty prompt's embedding.
    pub text: bool,
    /// What the files contain instead.
    pub other: Option<Other>,
}

const XL: Other = Other::Model("Stable Diffusion XL");
const REFINER: Other = Other::Model("the refiner of Stable Diffusion XL");
const SD3: Other = Other::Model("Stable Diffusion 3");
const FLUX: Other = Other::Model("FLUX or a model built like it");
const UNCLIP: Other = Other::Model("an unCLIP model, which is steered by pictures");
const LORA: Other = Other::Addition("a LoRA");
const EMBEDDING: Other = Other::Addition("an embedding (textual inversion)");
const CONTROLNET: Other = Other::Addition("a ControlNet");

/// Fragments of tensor names that identify other kinds of models, in order of precedence. They match only at the start of a
/// name's component. A file that matches is not a whole model, whatever else it contains.
const MARKS: [(&str, Other); 24] = [
    ("joint_blocks.", SD3),
    ("double_blocks.", FLUX),
    ("single_transformer_blocks.", FLUX),
    ("effnet_mapper.", Other::Model("Stable Cascade")),
    ("clip_txt_mapper.", Other::Model("Stable Cascade")),
    ("time_stack.", Other::Model("a model for videos")),
    ("temporal_transformer_blocks.", Other::Model("a model for videos")),
    ("motion_modules.", Other::Addition("a motion module")),
    ("conditioner.embedders.1.", XL),
    ("text_encoder_2.", XL),
    ("text_encoders.clip_g.", XL),
    ("te.1.", XL),
    ("add_embedding.", XL),
    ("noise_augmentor.", UNCLIP),
    ("class_embedding.linear_1.", UNCLIP),
    ("control_model.", CONTROLNET),
    ("controlnet_", CONTROLNET),
    ("input_hint_block.", CONTROLNET),
    ("zero_convs.", CONTROLNET),
    ("ip_adapter.", Other::Addition("an IP-Adapter")),
    ("image_proj.", Other::Addition("an IP-Adapter")),
    ("emb_params", EMBEDDING),
    ("string_to_param", EMBEDDING),
    ("decoder.layers.", Other::Addition("a tiny preview VAE (TAESD)")),
];

/// Fragments of tensor names in LoRAs and similar additions. A whole model may still contain some after a merge.
const LORAS: [&str; 11] = [
    "lora_unet_",
    "lora_te",
    ".lora_down.",
    ".lora_up.",
    ".lora_A.",
    ".lora_B.",
    "_lora.down.",
    "_lora.up.",
    ".lora.down.",
    ".hada_w",
    ".lokr_w",
];

impl Contents {
    /// The contents of files with these headers.
    pub fn of(headers: &[Header]) -> Self {
        let entries = || headers.iter().flat_map(|header| &header.tensors);
        let layout = Layout::of(entries().map(|entry| entry.name.as_str()));
        let mut contents = Self::default();
        for entry in entries() {
            let Some((Renamed::One(name), _)) = layout.rename(&entry.name) else {
                contents.text |= entry.name == super::NULL_EMBEDDING;
                continue;
            };
            match name.as_str() {
                "unet.conv_in.weight" => contents.unet = true,
                "vae.encoder.conv_in.weight" | "vae.decoder.conv_in.weight" => contents.vae = true,
                "text_encoder.text_model.embeddings.token_embedding.weight" => contents.text = true,
                _ => {}
            }
        }
        contents.other = other(&contents, headers, &layout);
        contents
    }

    /// Whether all three parts are there and nothing of another kind.
    pub fn is_whole(&self) -> bool {
        self.has(Part::Unet) && self.has(Part::Vae) && self.has(Part::Text) && self.other.is_none()
    }

    /// Whether this part is there.
    pub fn has(&self, part: Part) -> bool {
        match part {
            Part::Unet => self.unet,
            Part::Vae => self.vae,
            Part::Text => self.text,
        }
    }

    /// Checks that there are parts of this model family and none of another.
    ///
    /// # Errors
    /// Says what `name` is and what to use instead.
    pub fn check(&self, name: &str) -> Result<()> {
        Err(Error::Model(match self.other {
            Some(Other::Model(what)) => format!("{name} is {what}; use a plain model of Stable Diffusion 1 or 2."),
            Some(Other::Addition(what)) => {
                format!("{name} is {what}, which only works together with a model; use a whole model instead.")
            }
            None if !(self.unet || self.vae || self.text) => {
                format!("{name} has no part of a Stable Diffusion model of version 1 or 2; use another file.")
            }
            None => return Ok(()),
        }))
    }

    /// Checks for a whole model.
    ///
    /// # Errors
    /// Says what `name` is or contains, and what to do.
    pub fn check_whole(&self, name: &str) -> Result<()> {
        self.check(name)?;
        Err(Error::Model(match (self.unet, self.vae, self.text) {
            (true, true, true) => return Ok(()),
            // The quoted name is that of a field on the page; the command line has an option with the same meaning.
            (true, false, false) => format!(
                "{name} has the UNet only; name the model that VAE and text encoder are to come from (“The rest of a UNet”, \
                 option rest), or use a file with all three."
            ),
            (true, false, true) => {
                format!("{name} has no VAE; name one (“Another VAE”, option vae), or use a file with a VAE in it.")
            }
            (true, true, false) => {
                format!(
                    "{name} has no text encoder; name the model that it is to come from (“The rest of a UNet”, option rest), \
                     or use a file with one in it."
                )
            }
            (false, true, false) => {
                format!(
                    "{name} has a VAE only; use a whole model, and name this as its VAE (“Another VAE”, option vae)."
                )
            }
            (false, false, true) => format!("{name} has a text encoder only; use a whole model."),
            (false, ..) => format!("{name} has no UNet; use a whole model."),
        }))
    }
}

fn other(contents: &Contents, headers: &[Header], layout: &Layout) -> Option<Other> {
    let entries = || headers.iter().flat_map(|header| &header.tensors);
    let has = |part: &str| entries().any(|entry| entry.name.contains(part));
    let marked = |mark: &str| {
        let inner = format!(".{mark}");
        entries().any(|entry| entry.name.starts_with(mark) || entry.name.contains(&inner))
    };
    if let Some((_, other)) = MARKS.iter().find(|(mark, _)| marked(mark)) {
        return Some(*other);
    }
    let unet = |wanted: &str| {
        entries().find(|entry| matches!(layout.rename(&entry.name), Some((Renamed::One(name), _)) if name == wanted))
    };
    let side = |entry: &TensorEntry, index: usize| entry.shape.get(index).copied();
    if let Some(label) = unet("unet.label_emb.0.0.weight") {
        return Some(match side(label, 1) {
            Some(2816) => XL,
            Some(2560) => REFINER,
            _ => UNCLIP,
        });
    }
    if unet("unet.label_emb.weight").is_some() {
        return Some(Other::Model("a model that is steered by classes or noise levels"));
    }
    if contents.unet {
        // Any cross-attention will do: all have the same context width.
        let context = entries().find(|entry| entry.name.ends_with("attn2.to_k.weight"));
        match context.and_then(|entry| side(entry, 1)) {
            Some(2048) => return Some(XL),
            Some(1280) => return Some(REFINER),
            _ => {}
        }
        let input = unet("unet.conv_in.weight").and_then(|entry| side(entry, 1)).unwrap_or_default();
        return other_channels(input).map(|what| Other::Model(what.trim_start_matches("it is ")));
    }
    if LORAS.iter().any(|mark| has(mark)) {
        return Some(LORA);
    }
    // SD 3, FLUX and newer models use this name without a prefix.
    if has("transformer_blocks.0.") && !has("down_blocks.") {
        return Some(Other::Model("a transformer of a newer family"));
    }
    let is_small = entries().count() <= 4 && entries().all(|entry| entry.shape.len() <= 2);
    (is_small && !contents.vae && !contents.text && entries().next().is_some()).then_some(EMBEDDING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Dtype;

    fn header(tensors: &[(&str, &[usize])]) -> Header {
        let entry = |(name, shape): &(&str, &[usize])| {
            let mut entry = super::super::testing::entry(name, Dtype::F16, shape);
            entry.span = 0..0;
            entry
        };
        Header { tensors: tensors.iter().map(entry).collect(), ..Header::default() }
    }

    fn sentence(tensors: &[(&str, &[usize])]) -> String {
        let contents = Contents::of(&[header(tensors)]);
        contents.check_whole("x.safetensors").expect_err("no whole model").to_string()
    }

    const UNET: (&str, &[usize]) = ("model.diffusion_model.input_blocks.0.0.weight", &[320, 4, 3, 3]);
    const VAE: (&str, &[usize]) = ("first_stage_model.decoder.conv_in.weight", &[512, 4, 3, 3]);
    const TEXT: (&str, &[usize]) =
        ("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", &[49408, 768]);

    #[test]
    fn what_is_not_of_the_family_is_called_by_its_name() {
        let attn2 = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight";
        for (tensors, what) in [
            (vec![UNET, VAE, ("conditioner.embedders.1.model.ln_final.bias", &[1280][..])], "Stable Diffusion XL;"),
            (vec![UNET, ("model.diffusion_model.label_emb.0.0.weight", &[1280, 2816])], "Stable Diffusion XL;"),
            (vec![UNET, ("model.diffusion_model.label_emb.0.0.weight", &[1536, 2560])], "refiner"),
            (vec![UNET, (attn2, &[640, 2048])], "Stable Diffusion XL;"),
            (vec![("input_blocks.0.0.weight", &[320, 4, 3, 3]), ("label_emb.0.0.weight", &[1280, 2816])], "XL;"),
            (vec![("conv_in.weight", &[320, 4, 3, 3]), ("add_embedding.linear_1.bias", &[1280])], "XL;"),
            (vec![UNET, VAE, TEXT, ("model.diffusion_model.label_emb.0.0.weight", &[1280, 1536])], "unCLIP"),
            (vec![UNET, ("model.diffusion_model.label_emb.weight", &[1000, 1024])], "classes or noise levels"),
            (vec![("model.diffusion_model.input_blocks.0.0.weight", &[320, 9, 3, 3]), VAE, TEXT], "inpainting"),
            (vec![("model.diffusion_model.input_blocks.0.0.weight", &[320, 8, 3, 3]), VAE, TEXT], "Pix2Pix"),
            (vec![("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", &[3, 3])], "Stable Diffusion 3"),
            (vec![("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", &[3, 3])], "FLUX"),
            (vec![("double_blocks.0.img_attn.qkv.weight", &[3, 3])], "FLUX"),
            (vec![("transformer_blocks.0.attn.to_q.weight", &[3, 3])], "newer family"),
            (vec![("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", &[4, 320, 1, 1])], "LoRA"),
            (vec![("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight", &[4, 320])], "LoRA"),
            (vec![("emb_params", &[8, 768])], "textual inversion"),
            (vec![("clip_l", &[8, 768]), ("clip_g", &[8, 1280])], "textual inversion"),
            (vec![("<cat-toy>", &[768])], "textual inversion"),
            (vec![("control_model.input_hint_block.0.weight", &[16, 3, 3, 3])], "ControlNet"),
            (vec![("conv_in.weight", &[320, 4, 3, 3]), ("controlnet_down_blocks.0.bias", &[320])], "ControlNet"),
            (vec![("first_stage_model.encoder.conv_in.weight", &[128, 3, 3, 3])], "a VAE only"),
            (vec![("decoder.conv_in.weight", &[512, 4, 3, 3])], "a VAE only"),
            (vec![("input_blocks.0.0.weight", &[320, 4, 3, 3])], "the UNet only"),
            (vec![("text_model.embeddings.token_embedding.weight", &[49408, 768])], "a text encoder only"),
            (vec![UNET, TEXT], "no VAE"),
            (vec![UNET, VAE], "no text encoder"),
            (vec![VAE, TEXT], "no UNet"),
            (vec![("blk.0.attn_q.weight", &[4, 4]); 5], "no part of"),
            (vec![], "no part of"),
        ] {
            let sentence = sentence(&tensors);
            assert!(sentence.contains(what) && sentence.starts_with("x.safetensors "), "{what}: {sentence}");
        }
        let merged = header(&[UNET, VAE, TEXT, ("lora_unet_x.lora_down.weight", &[4, 4])]);
        assert!(Contents::of(&[merged]).is_whole());
        let context = "cond_stage_model.model.token_embedding.weight";
        let parts = [header(&[UNET, (attn2, &[640, 1024])]), header(&[VAE, (context, &[49408, 1024])])];
        assert!(Contents::of(&parts).check_whole("x").is_ok());
    }
}

//! Which files of a repository to use, told by their names.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::source::file::Listed;

/// Which files of a repository to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A pack of this program: all its parts, in order.
    Pack(Vec<String>),
    /// One file that holds a whole model.
    Single(String),
    /// The folder as it is, in diffusers' layout.
    Diffusers,
}

/// Types of weights in file names, the most wanted first.
const TYPES: [&[&str]; 13] = [
    &["Q8_0", "Q8"],
    &["Q6_K"],
    &["Q5_1"],
    &["Q5_0"],
    &["Q5_K"],
    &["Q4_K"],
    &["Q4_1"],
    &["Q4_0", "Q4"],
    &["Q3_K"],
    &["Q2_K"],
    &["F16", "FP16"],
    &["BF16"],
    &["F32", "FP32"],
];

/// Words in the names of files that are no Stable Diffusion model of versions 1 and 2, or only a part of one.
const OTHERS: [&str; 24] = [
    "adapter",
    "clip",
    "control",
    "controlnet",
    "embedding",
    "embeddings",
    "encoder",
    "esrgan",
    "flux",
    "inpaint",
    "inpainting",
    "lora",
    "lycoris",
    "mmproj",
    "motion",
    "sd3",
    "sdxl",
    "t5",
    "t5xxl",
    "taesd",
    "taesdxl",
    "upscaler",
    "vae",
    "xl",
];

/// Picks from a listing: a pack before a GGUF file before a diffusers folder before one safetensors file.
///
/// # Errors
/// One sentence where there is nothing that can be used.
pub fn choose(files: &[Listed]) -> Result<Choice> {
    let packs = packs(files);
    if let Some((_, parts)) = packs.iter().filter(|(key, parts)| parts.len() == key.of).min_by_key(|(key, _)| *key) {
        return Ok(Choice::Pack(parts.values().map(|path| (*path).to_owned()).collect()));
    }
    let whole = |ending: &'static str| {
        files.iter().filter(move |file| has_ending(&file.path, ending) && is_whole_model(&file.path))
    };
    let gguf = whole(".gguf").filter_map(|file| Some((quality(&file.path)?, file.path.len(), &file.path))).min();
    if let Some((.., path)) = gguf {
        return Ok(Choice::Single(path.clone()));
    }
    let has_folder = |name: &str| files.iter().any(|file| file.path.starts_with(name));
    let is_newer = has_folder("text_encoder_2/") || has_folder("transformer/");
    let has_weights = |folder: &str| {
        let is_index = |path: &str| has_ending(path, ".safetensors") || has_ending(path, ".safetensors.index.json");
        files.iter().any(|file| file.path.starts_with(folder) && is_index(&file.path))
    };
    if has_weights("unet/") && has_weights("vae/") && !is_newer {
        return Ok(Choice::Diffusers);
    }
    let rank = |path: &str| (quality(path) != quality("f16"), !path.to_ascii_lowercase().contains("emaonly"));
    let single = whole(".safetensors").map(|file| (rank(&file.path), file.bytes, &file.path)).min();
    if let Some((.., path)) = single.filter(|_| !is_newer) {
        return Ok(Choice::Single(path.clone()));
    }
    let is_pickle = |file: &Listed| [".ckpt", ".bin", ".pt", ".pth"].iter().any(|end| has_ending(&file.path, end));
    Err(Error::Model(if let Some((key, parts)) = packs.first_key_value() {
        format!("Only {} of the {} parts of {} are in this repository; use another one.", parts.len(), key.of, key.base)
    } else if is_newer {
        "This is a Stable Diffusion XL or a newer model; use one of version 1 or 2.".into()
    } else if files.iter().any(is_pickle) {
        "This repository has its weights only as .ckpt or .bin files, which may run code when they are read; use one \
         with .gguf or .safetensors files."
            .into()
    } else {
        "There are no weights of a whole Stable Diffusion model here (.gguf or .safetensors); use another model.".into()
    }))
}

fn has_ending(path: &str, ending: &str) -> bool {
    path.to_ascii_lowercase().ends_with(ending)
}

/// What makes one pack, the most wanted first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PackKey<'a> {
    quality: usize,
    base: &'a str,
    of: usize,
}

/// All packs by their parts' numbers.
fn packs(files: &[Listed]) -> BTreeMap<PackKey<'_>, BTreeMap<usize, &str>> {
    let mut packs = BTreeMap::<_, BTreeMap<_, _>>::new();
    for Listed { path, .. } in files {
        let lower = path.to_ascii_lowercase();
        if lower.ends_with(".gguf") && lower.rsplit('/').next().is_some_and(|name| name.contains("styleid")) {
            let (base, part, of) = part_of(path).unwrap_or((path, 1, 1));
            let quality = quality(base).unwrap_or(TYPES.len());
            if (1..=of).contains(&part) {
                packs.entry(PackKey { quality, base, of }).or_default().insert(part, path.as_str());
            }
        }
    }
    packs
}

/// `name-00001-of-00006.gguf` as its name, its number and how many there are.
fn part_of(path: &str) -> Option<(&str, usize, usize)> {
    let stem = path.get(..path.len().checked_sub(".gguf".len())?)?;
    let (rest, of) = stem.rsplit_once("-of-")?;
    let (base, part) = rest.rsplit_once('-')?;
    Some((base, part.parse().ok()?, of.parse().ok()?))
}

/// How wanted the type of weights is that a path names, 0 most; `None` for types that cannot be read.
fn quality(path: &str) -> Option<usize> {
    let is_mark = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let words: Vec<_> = path.to_ascii_uppercase().split(is_mark).map(|word| format!("_{word}_")).collect();
    let has = |kind: &str| words.iter().any(|word| word.contains(&format!("_{kind}_")));
    let known = TYPES.iter().position(|kinds| kinds.iter().any(|kind| has(kind)));
    let foreign = ["_IQ", "_TQ"].iter().any(|kind| words.iter().any(|word| word.contains(kind)));
    known.or((!foreign).then_some(TYPES.len()))
}

/// Whether a name is not that of a part of a model, or of another kind of model.
fn is_whole_model(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let (folder, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let is_component = folder.split('/').any(|folder| {
        ["unet", "vae", "text_encoder", "text_encoder_2", "safety_checker", "transformer", "image_encoder"]
            .contains(&folder)
    });
    let is_other = name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| OTHERS.contains(&word));
    !is_component && !is_other && !name.starts_with("diffusion_pytorch_model") && part_of(&lower).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str]) -> Result<Choice> {
        let files: Vec<_> =
            paths.iter().enumerate().map(|(i, path)| Listed { path: (*path).into(), bytes: 1000 - i as u64 }).collect();
        choose(&files)
    }

    fn single(paths: &[&str]) -> String {
        match chosen(paths) {
            Ok(Choice::Single(path)) => path,
            other => panic!("{other:?} of {paths:?}"),
        }
    }

    const DIFFUSERS: [&str; 16] = [
        ".gitattributes",
        "README.md",
        "feature_extractor/preprocessor_config.json",
        "model_index.json",
        "safety_checker/model.fp16.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.safetensors",
        "v1-5-pruned-emaonly.safetensors",
        "v1-5-pruned.ckpt",
        "vae/diffusion_pytorch_model.safetensors",
    ];

    #[test]
    fn gguf_by_quality() {
        let second_state = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "f16", "f32"]
            .map(|kind| format!("stable-diffusion-v1-5-pruned-emaonly-{kind}.gguf"));
        let mut paths: Vec<&str> = second_state.iter().map(String::as_str).collect();
        paths.extend(["README.md", "stable-diffusion-v1-5-pruned-emaonly.safetensors"]);
        let order = ["Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "f16", "f32"];
        for kind in order {
            let best = format!("stable-diffusion-v1-5-pruned-emaonly-{kind}.gguf");
            assert_eq!(single(&paths), best);
            paths.retain(|path| *path != best);
        }
        assert_eq!(single(&paths), "stable-diffusion-v1-5-pruned-emaonly.safetensors");
        assert_eq!(single(&["sd-BF16.gguf", "sd-FP16.gguf", "sd-F32.gguf"]), "sd-FP16.gguf");
        assert_eq!(single(&["sd-Q5_K_M.gguf", "sd-Q6_K.gguf", "sd-Q3_K_S.gguf"]), "sd-Q6_K.gguf");
        assert_eq!(single(&["sd-Q4_K_S.gguf", "sd-Q4_0.gguf", "sd-IQ4_XS.gguf"]), "sd-Q4_K_S.gguf");
        assert_eq!(single(&["sd_f16.gguf", "sd_q4_0.gguf"]), "sd_q4_0.gguf");
        assert!(chosen(&["sd-IQ4_XS.gguf"]).is_err(), "not a type that can be read");
    }

    #[test]
    fn parts_and_other_models_are_not_chosen() {
        let others = [
            "mmproj-Q8_0.gguf",
            "vae-Q8_0.gguf",
            "clip_l-Q8_0.gguf",
            "t5xxl-Q8_0.gguf",
            "my-lora.safetensors",
            "control_v11p_sd15_canny.safetensors",
            "taesd.safetensors",
            "sd_xl_base_1.0-Q8_0.gguf",
            "text_encoder/model.safetensors",
            "sd-v1-5-inpainting.safetensors",
            "big-Q8_0-00001-of-00002.gguf",
        ];
        let error = chosen(&others).expect_err("none is a model").to_string();
        assert!(error.contains("no weights of a whole"), "{error}");
        let mut paths = others.to_vec();
        paths.push("sd-v1-4-Q4_0.gguf");
        assert_eq!(single(&paths), "sd-v1-4-Q4_0.gguf");
    }

    #[test]
    fn packs_first() {
        let parts: Vec<_> = (1..=12).map(|i| format!("q8/styleid-sd15-q8-{i:05}-of-00012.gguf")).rev().collect();
        let mut paths: Vec<&str> = parts.iter().map(String::as_str).collect();
        paths.extend(DIFFUSERS);
        paths.extend(["sd-Q8_0.gguf", "styleid-sd15-q4.gguf"]);
        let expected: Vec<_> = parts.iter().rev().cloned().collect();
        assert_eq!(chosen(&paths).expect("a pack"), Choice::Pack(expected));
        // A part is missing: the other pack.
        paths.remove(3);
        assert_eq!(chosen(&paths).expect("a pack"), Choice::Pack(vec!["styleid-sd15-q4.gguf".into()]));
        paths.retain(|path| !path.contains("q4"));
        assert_eq!(single(&paths), "sd-Q8_0.gguf");
        let error = chosen(&paths[..5]).expect_err("not whole").to_string();
        assert!(error.starts_with("Only 5 of the 12 parts of q8/styleid-sd15-q8"), "{error}");
    }

    #[test]
    fn diffusers_before_single_files() {
        assert_eq!(chosen(&DIFFUSERS).expect("a folder"), Choice::Diffusers);
        let sharded = ["unet/diffusion_pytorch_model.safetensors.index.json", "vae/a.fp16.safetensors"];
        assert_eq!(chosen(&sharded).expect("a folder"), Choice::Diffusers);
        let without: Vec<_> = DIFFUSERS.into_iter().filter(|path| !path.starts_with("vae/")).collect();
        assert_eq!(single(&without), "v1-5-pruned-emaonly.safetensors");
        let mut newer = DIFFUSERS.to_vec();
        newer.push("text_encoder_2/model.safetensors");
        assert!(chosen(&newer).expect_err("XL").to_string().contains("XL"));
    }

    #[test]
    fn single_files_by_name() {
        let mut paths =
            vec!["v1-5-pruned.safetensors", "v1-5-pruned-emaonly.safetensors", "v1-5-pruned-fp16.safetensors"];
        for best in ["v1-5-pruned-fp16.safetensors", "v1-5-pruned-emaonly.safetensors", "v1-5-pruned.safetensors"] {
            assert_eq!(single(&paths), best);
            paths.retain(|path| *path != best);
        }
        let error = chosen(&["README.md", "v1-5-pruned.ckpt"]).expect_err("a pickle").to_string();
        assert!(error.contains(".ckpt"), "{error}");
        assert!(chosen(&[]).is_err());
    }
}

//! Which files of a repository to use, judged by their names.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::source::file::Listed;

/// Which files of a repository to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A pack of this program: all its parts in order.
    Pack(Vec<String>),
    /// One file that holds a whole model.
    Single(String),
    /// A file with a UNet, then files with the parts that it lacks. Parts that are still missing come from folders in the
    /// diffusers layout.
    Together(Vec<String>),
    /// The folder itself, in the diffusers layout.
    Diffusers,
}

/// Weight types in file names, in order of preference.
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

/// Words in the names of files that are not a Stable Diffusion 1.x or 2.x model, or only a part of one.
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

/// A file this many times smaller than the largest of its kind is unlikely to be a whole model.
const TINY: u64 = 20;

/// Usable files of a listing, in order of preference: a pack, GGUF files, a diffusers folder, safetensors files, `PyTorch`
/// checkpoints. Files with an unlikely name or size come after all others, because only their content decides. Next to a
/// diffusers folder they are left out.
///
/// # Errors
/// One sentence if nothing can be used.
pub fn candidates(files: &[Listed]) -> Result<Vec<Choice>> {
    let packs = packs(files);
    if let Some((_, parts)) = packs.iter().filter(|(key, parts)| parts.len() == key.of).min_by_key(|(key, _)| *key) {
        return Ok(vec![Choice::Pack(parts.values().map(|path| (*path).to_owned()).collect())]);
    }
    let mut likely = Vec::new();
    let mut unlikely = Vec::new();
    let mut add = |endings: &[&str]| {
        let mut ranked: Vec<_> = files
            .iter()
            .filter(|file| endings.iter().any(|ending| has_ending(&file.path, ending)) && is_alone(&file.path))
            .filter_map(|file| Some((rank(file)?, file)))
            .collect();
        ranked.sort();
        let largest = ranked.iter().map(|(_, file)| file.bytes).max().unwrap_or_default();
        for (_, file) in ranked {
            let is_likely = is_named_like_a_model(&file.path) && file.bytes.saturating_mul(TINY) >= largest;
            let group = if is_likely { &mut likely } else { &mut unlikely };
            group.push(Choice::Single(file.path.clone()));
        }
    };
    add(&[".gguf"]);
    let has_folder = |name: &str| files.iter().any(|file| file.path.starts_with(name));
    let is_newer = has_folder("text_encoder_2/") || has_folder("transformer/");
    let has_part = |folder: &str| files.iter().any(|file| is_part_of_layout(&file.path, folder));
    let is_diffusers = has_part("unet/") && has_part("vae/") && !is_newer;
    let is_safe = |file: &Listed| file.path.to_ascii_lowercase().contains(".safetensors");
    let has_safe = |folder: &str| files.iter().any(|file| file.path.starts_with(folder) && is_safe(file));
    if is_diffusers && !(has_safe("unet/") && has_safe("vae/")) {
        // A whole safetensors file takes precedence over a folder of pickles.
        add(&[".safetensors"]);
    }
    if !is_diffusers {
        add(&[".safetensors"]);
        add(&[".ckpt"]);
        add(&[".pt", ".pth"]);
        likely.append(&mut unlikely);
    } else {
        // Next to a diffusers folder, only likely files are considered.
        likely.push(Choice::Diffusers);
    }
    if !likely.is_empty() && !is_newer {
        return Ok(likely);
    }
    Err(Error::Model(if let Some((key, parts)) = packs.first_key_value() {
        format!("Only {} of the {} parts of {} are in this repository; use another one.", parts.len(), key.of, key.base)
    } else if is_newer {
        "This is a Stable Diffusion XL or a newer model; use one of version 1 or 2.".into()
    } else {
        "There are no weights of a whole Stable Diffusion model here (.safetensors, .gguf or .ckpt); use another model."
            .into()
    }))
}

/// Sort key among files of one kind, best first: half precision, EMA weights only, smallest.
fn rank(file: &Listed) -> Option<(usize, usize, u64, &str)> {
    let path = file.path.to_ascii_lowercase();
    let quality = quality(&file.path)?;
    let average = if path.contains("emaonly") { 0 } else { 1 + usize::from(path.contains("nonema")) };
    if has_ending(&file.path, ".gguf") {
        return Some((quality, average, file.path.len() as u64, &file.path));
    }
    let is_half = Some(quality) == self::quality("f16");
    Some((usize::from(!is_half), average, file.bytes, &file.path))
}

/// Whether a file contains or indexes the weights of a part in the diffusers layout. `folder` ends with a slash. Other
/// programs put their own `.bin` files into such folders; these do not count.
pub fn is_part_of_layout(path: &str, folder: &str) -> bool {
    let Some(name) = path.strip_prefix(folder) else { return false };
    let is = |ending: &str| {
        has_ending(name, ending) || (has_ending(name, ".json") && name.contains(&format!("{ending}.index.")))
    };
    let is_own = name.starts_with("diffusion_pytorch_model") || name.starts_with("pytorch_model");
    is(".safetensors") || (is(".bin") && is_own)
}

fn has_ending(path: &str, ending: &str) -> bool {
    path.to_ascii_lowercase().ends_with(ending)
}

/// Identifies a pack; ordered by preference.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PackKey<'a> {
    quality: usize,
    base: &'a str,
    of: usize,
}

/// All packs, with their parts by number.
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

/// Splits `name-00001-of-00006.gguf` into name, number and count.
fn part_of(path: &str) -> Option<(&str, usize, usize)> {
    let stem = path.get(..path.len().checked_sub(".gguf".len())?)?;
    let (rest, of) = stem.rsplit_once("-of-")?;
    let (base, part) = rest.rsplit_once('-')?;
    Some((base, part.parse().ok()?, of.parse().ok()?))
}

/// Preference rank of the weight type in a path, 0 being best. `None` for types that cannot be read.
fn quality(path: &str) -> Option<usize> {
    let is_mark = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let words: Vec<_> = path.to_ascii_uppercase().split(is_mark).map(|word| format!("_{word}_")).collect();
    let has = |kind: &str| words.iter().any(|word| word.contains(&format!("_{kind}_")));
    let known = TYPES.iter().position(|kinds| kinds.iter().any(|kind| has(kind)));
    let foreign = ["_IQ", "_TQ"].iter().any(|kind| words.iter().any(|word| word.contains(kind)));
    known.or((!foreign).then_some(TYPES.len()))
}

/// Whether a file is outside the folders of a model's parts, and not a shard itself.
fn is_alone(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let (folder, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let is_component = folder.split('/').any(|folder| {
        ["unet", "vae", "text_encoder", "text_encoder_2", "safety_checker", "transformer", "image_encoder"]
            .contains(&folder)
    });
    !is_component && !name.starts_with("diffusion_pytorch_model") && part_of(&lower).is_none()
}

/// Whether the file's name has no word of another kind of model.
fn is_named_like_a_model(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    !name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| OTHERS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str]) -> Result<Choice> {
        let files: Vec<_> =
            paths.iter().enumerate().map(|(i, path)| Listed { path: (*path).into(), bytes: 1000 - i as u64 }).collect();
        candidates(&files).map(|candidates| candidates[0].clone())
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
        let mut paths = others.to_vec();
        paths.push("sd-v1-4-Q4_0.gguf");
        assert_eq!(single(&paths), "sd-v1-4-Q4_0.gguf");
        // Names can mislead, so the content of these files decides. They come after the others, and are left out next to a
        // diffusers folder.
        let listed = |paths: &[&str]| {
            let files: Vec<_> = paths.iter().map(|path| Listed { path: (*path).into(), bytes: 1000 }).collect();
            candidates(&files).expect("something to look at")
        };
        let all = listed(&paths);
        assert_eq!(all.len(), others.len() - 1);
        assert!(!all.contains(&Choice::Single("text_encoder/model.safetensors".into())));
        paths.extend(DIFFUSERS);
        assert_eq!(listed(&paths), [Choice::Single("sd-v1-4-Q4_0.gguf".into()), Choice::Diffusers]);
    }

    #[test]
    fn packs_first() {
        let parts: Vec<_> = (1..=12).map(|i| format!("q8/styleid-sd15-q8-{i:05}-of-00012.gguf")).rev().collect();
        let mut paths: Vec<&str> = parts.iter().map(String::as_str).collect();
        paths.extend(DIFFUSERS);
        paths.extend(["sd-Q8_0.gguf", "styleid-sd15-q4.gguf"]);
        let expected: Vec<_> = parts.iter().rev().cloned().collect();
        assert_eq!(chosen(&paths).expect("a pack"), Choice::Pack(expected));
        // One part is missing: the other pack is chosen.
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
        assert_eq!(single(&["README.md", "v1-5-pruned.ckpt"]), "v1-5-pruned.ckpt");
        assert_eq!(single(&["v2-1_768-nonema-pruned.ckpt", "v2-1_768-ema-pruned.ckpt"]), "v2-1_768-ema-pruned.ckpt");
        let error = chosen(&["README.md"]).expect_err("nothing").to_string();
        assert!(error.contains("no weights of a whole"), "{error}");
    }
}

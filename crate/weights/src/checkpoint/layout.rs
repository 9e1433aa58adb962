//! The weight files in a part's folder of the diffusers layout: plain or a variant (`fp16`, `non_ema`), one file or several
//! with an index, safetensors or `PyTorch` pickles.

use super::names::Part;

/// How a part's weights are stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weights {
    /// One file with all of them.
    File(String),
    /// The index of several files.
    Index(String),
}

/// The start and end of the file names of a part's weights.
pub(super) const fn names(part: Part) -> [(&'static str, &'static str); 2] {
    match part {
        Part::Unet | Part::Vae => [("diffusion_pytorch_model", ".safetensors"), ("diffusion_pytorch_model", ".bin")],
        Part::Text => [("model", ".safetensors"), ("pytorch_model", ".bin")],
    }
}

/// Variants with the same weights in another type, in order of preference: half precision has the fewest bytes.
const TYPES: [&[&str]; 4] =
    [&["fp16", "f16", "float16", "half"], &[""], &["bf16", "bfloat16"], &["fp32", "f32", "float32"]];

/// Possible weight files of a part, in order of preference: plain weights before variants with other weights, safetensors
/// before pickles, half precision first. `folder` is empty or ends with a slash. In a folder that cannot be listed, every
/// miss costs a request: the usual names then come first, and rare ones are left out.
pub(super) fn candidates(part: Part, folder: &str, listed: Option<&[String]>) -> Vec<Weights> {
    let Some(listed) = listed else { return guesses(part, folder) };
    let mut found: Vec<_> = listed
        .iter()
        .filter_map(|path| {
            let name = path.strip_prefix(folder).filter(|name| !name.contains('/'))?;
            ranked(part, name).map(|(rank, is_index)| {
                let weights = if is_index { Weights::Index(path.clone()) } else { Weights::File(path.clone()) };
                (rank, weights)
            })
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, weights)| weights).collect()
}

/// Sort key, best first: whether the weights differ from the plain model's, whether the file is a pickle, and its type.
type Rank = (bool, bool, usize);

/// The rank of a name, and whether it is an index. `None` if these are not weights of this part.
fn ranked(part: Part, name: &str) -> Option<(Rank, bool)> {
    names(part).into_iter().enumerate().find_map(|(is_pickle, (begin, end))| {
        let rest = name.strip_prefix(begin)?;
        let (variant, is_index) = match rest.strip_suffix(end) {
            Some(variant) => (variant.to_string(), false),
            None => {
                // In the name of an index, the variant stands before or after `.safetensors.index` (or `.bin.index`).
                let (before, after) = rest.split_once(&format!("{end}.index"))?;
                (format!("{before}{}", after.strip_suffix(".json")?), true)
            }
        };
        let is_shard = variant.contains("-of-");
        if is_shard || !(variant.is_empty() || variant.starts_with(['.', '-', '_'])) {
            return None;
        }
        let variant = variant.trim_start_matches(['.', '-', '_']).to_ascii_lowercase();
        let kind = TYPES.iter().position(|names| names.contains(&variant.as_str()));
        Some(((kind.is_none(), is_pickle > 0, kind.unwrap_or(TYPES.len())), is_index))
    })
}

fn guesses(part: Part, folder: &str) -> Vec<Weights> {
    let mut found = Vec::new();
    for (begin, end) in names(part) {
        for variant in ["", ".fp16"] {
            found.push(Weights::File(format!("{folder}{begin}{variant}{end}")));
        }
        for variant in [".fp16", ""] {
            found.push(Weights::Index(format!("{folder}{begin}{end}.index{variant}.json")));
        }
    }
    let (begin, end) = names(part)[0];
    found.extend(["bf16", "non_ema"].map(|variant| Weights::File(format!("{folder}{begin}.{variant}{end}"))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(weights: &Weights) -> &str {
        match weights {
            Weights::File(path) | Weights::Index(path) => path,
        }
    }

    fn order(part: Part, folder: &str, listed: &[&str]) -> Vec<String> {
        let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
        let found = candidates(part, folder, Some(&listed));
        found.into_iter().map(|weights| path(&weights)[folder.len()..].to_string()).collect()
    }

    #[test]
    fn plain_weights_before_others_and_safetensors_before_pickles() {
        let wanted = [
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model.safetensors.index.fp16.json",
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.bf16.safetensors",
            "diffusion_pytorch_model.fp16.bin",
            "diffusion_pytorch_model.bin",
            "diffusion_pytorch_model.bin.index.json",
            "diffusion_pytorch_model.non_ema.safetensors",
            "diffusion_pytorch_model.non_ema.bin",
        ];
        let mut listed: Vec<String> = wanted.iter().rev().map(|name| format!("unet/{name}")).collect();
        listed.extend(
            [
                "unet/config.json",
                "unet/openvino_model.bin",
                "unet/diffusion_pytorch_model-00001-of-00002.bin",
                "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
                "unet/old/diffusion_pytorch_model.safetensors",
                "unet/diffusion_flax_model.msgpack",
                "vae/diffusion_pytorch_model.safetensors",
            ]
            .map(String::from),
        );
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        assert_eq!(order(Part::Unet, "unet/", &listed), wanted);
    }

    #[test]
    fn text_encoders_are_called_as_transformers_calls_them() {
        let wanted = [
            "model.fp16.safetensors",
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.fp16.bin",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
        ];
        let listed: Vec<&str> =
            wanted.iter().rev().chain(&["modeling.py", "tf_model.h5", "model.onnx"]).copied().collect();
        assert_eq!(order(Part::Text, "", &listed), wanted);
    }

    #[test]
    fn where_nothing_is_listed_the_usual_names_come_first() {
        let guesses = candidates(Part::Text, "text_encoder/", None);
        let paths: Vec<_> = guesses.iter().map(path).collect();
        assert_eq!(paths[..2], ["text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors"]);
        assert!(paths.contains(&"text_encoder/pytorch_model.bin.index.json"));
        assert!(paths.contains(&"text_encoder/model.non_ema.safetensors"));
    }
}

//! The key of a cached model.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::format::compact::WeightType;
use crate::source::http::address::identity;
use crate::source::hub::{ENDPOINT, Reference};

/// Hexadecimal digits of the hash at the end of a folder name.
const DIGITS: usize = 20;

/// Longest readable part of a folder name.
const READABLE: usize = 40;

/// Separator between the sources of a combined model.
const AND: &str = " + ";

/// Which model, of which revision, converted to what. Models of different keys never share a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ModelKey {
    /// The repository, the address, or the name of a picked file or folder; of a model put together from several, all of them.
    pub origin: String,
    /// Commit or other mark of the version; empty where there is none.
    pub revision: String,
    /// The checkpoint's path in its folder; empty for a whole folder in the diffusers layout.
    pub file: String,
    /// What the weights were converted to.
    pub weights: WeightType,
}

impl ModelKey {
    /// The key of the model that `reference` names. `endpoint` is the Hub's address.
    pub fn of_reference(reference: &Reference, endpoint: &str, weights: WeightType) -> Self {
        match reference {
            Reference::Hub { repo, revision, path } => {
                // A mirror may serve something else under the same repository name.
                let origin = if endpoint == ENDPOINT { repo.clone() } else { format!("{endpoint}/{repo}") };
                Self { origin, revision: revision.clone(), file: path.clone().unwrap_or_default(), weights }
            }
            Reference::Folder(url) | Reference::File(url) => {
                Self { origin: identity(url), revision: String::new(), file: String::new(), weights }
            }
        }
    }

    /// The key of picked files. `name` is their display name; `files` gives the path, the bytes and the time of the last
    /// change in milliseconds of each.
    pub fn of_picked(name: &str, files: &[(&str, f64, f64)], weights: WeightType) -> Self {
        let mut marks: Vec<String> =
            files.iter().map(|(path, bytes, changed)| format!("{path}:{bytes}:{changed}")).collect();
        marks.sort();
        Self { origin: name.into(), revision: marks.join("|"), file: String::new(), weights }
    }

    /// The key of this model with the VAE of `other` in place of its own.
    #[must_use]
    pub fn with_vae(self, other: &Self) -> Self {
        self.with("VAE", other)
    }

    /// The key of this model, with missing parts taken from `other`.
    #[must_use]
    pub fn with_rest(self, other: &Self) -> Self {
        self.with("rest", other)
    }

    /// The key says which part was taken, because the VAE of `other` makes a different model than its other parts do. Empty
    /// fields are kept too, so that the fields of one source are never taken for those of another.
    fn with(self, taken: &str, other: &Self) -> Self {
        Self {
            origin: format!("{}{AND}{taken} of {}", self.origin, other.origin),
            revision: format!("{}{AND}{}", self.revision, other.revision),
            file: format!("{}{AND}{}", self.file, other.file),
            weights: self.weights,
        }
    }

    /// The origin of the main model, to which parts of others were added.
    fn own(&self) -> &str {
        self.origin.split(AND).next().unwrap_or_default()
    }

    /// The folder name: readable and safe on every file system. It has lowercase ASCII letters, digits and hyphens, at most
    /// 67 characters, and differs between keys even on case-insensitive systems.
    pub fn folder(&self) -> String {
        let mut name = readable(self.own());
        let mut hash = Sha256::new();
        for part in [&self.origin[..], &self.revision, &self.file, self.weights.name()] {
            // Each part is prefixed with its length, so that no two keys concatenate to the same text.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        name.push('-');
        name.push_str(self.weights.name());
        name.push('-');
        for byte in &hash.finalize()[..DIGITS / 2] {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

/// Whether a folder name has the form that [`ModelKey::folder`] returns. Nothing else is ever listed or removed: natively,
/// the cache may be among a user's own folders.
pub fn is_folder(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(stem, hash)| {
        hash.len() == DIGITS
            && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && stem.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && stem.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-'))
    })
}

/// The last segment of a path or an address, as lowercase letters, digits and single hyphens.
fn readable(origin: &str) -> String {
    let last = origin.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let mut name = String::new();
    for c in last.chars() {
        if name.len() == READABLE {
            break;
        }
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(name.trim_end_matches('-').len());
    if name.is_empty() { "model".into() } else { name }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(reference: &str) -> ModelKey {
        let reference = Reference::parse(reference).expect("a reference");
        ModelKey::of_reference(&reference, ENDPOINT, WeightType::Q8)
    }

    #[test]
    fn what_is_put_together_otherwise_is_kept_otherwise() {
        let picked = ModelKey::of_picked("v", &[("v.safetensors", 5.0, 7.0)], WeightType::Q8);
        let changed = ModelKey::of_picked("v", &[("v.safetensors", 5.0, 8.0)], WeightType::Q8);
        let keys = [
            key("o/a"),
            key("o/a").with_vae(&key("o/b")),
            key("o/a").with_rest(&key("o/b")),
            key("o/b").with_vae(&key("o/a")),
            key("o/a@v1").with_vae(&key("o/b")),
            key("o/a").with_vae(&key("o/b@v1")),
            key("o/a").with_vae(&key("o/b/vae")),
            key("o/a/vae").with_vae(&key("o/b")),
            key("o/a").with_vae(&key("https://h/o/b")),
            key("o/a").with_vae(&picked),
            key("o/a").with_vae(&changed),
            key("o/a").with_rest(&key("o/b")).with_vae(&key("o/b")),
            // The same file name, once for the rest and once for the VAE.
            key("o/a").with_rest(&key("o/b/x.gguf")).with_vae(&key("o/b")),
            key("o/a").with_rest(&key("o/b")).with_vae(&key("o/b/x.gguf")),
        ];
        assert_eq!(keys.iter().map(ModelKey::folder).collect::<BTreeSet<_>>().len(), keys.len());
        for key in &keys {
            assert!(is_folder(&key.folder()), "{}", key.folder());
        }
        assert!(keys[1].folder().starts_with("a-q8-"), "{}", keys[1].folder());
    }

    #[test]
    fn picked_files_are_told_apart_by_what_the_browser_says_of_them() {
        let files = [("m/unet/b.safetensors", 20.0, 1_700_000_000_123.0), ("m/a.json", 3.0, 4.0)];
        let key = ModelKey::of_picked("m", &files, WeightType::F16);
        assert_eq!(key.revision, "m/a.json:3:4|m/unet/b.safetensors:20:1700000000123");
    }
}

//! What a kept model is kept under.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::format::compact::WeightType;

/// Hexadecimal digits of the hash at the end of a folder's name.
const DIGITS: usize = 20;

/// Longest readable part of a folder's name.
const READABLE: usize = 40;

/// Which model, of which revision, converted to what. Models of different keys never share a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ModelKey {
    /// The repository, the address, or the name of a picked file or folder.
    pub origin: String,
    /// Commit or other mark of the version; empty where there is none.
    pub revision: String,
    /// The checkpoint's path in its folder; empty for a whole folder in the diffusers layout.
    pub file: String,
    /// What the weights were converted to.
    pub weights: WeightType,
}

impl ModelKey {
    /// The folder's name: readable, and safe on every file system (lowercase ASCII letters, digits and hyphens, at most
    /// 67 characters, different for different keys even where case does not count).
    pub fn folder(&self) -> String {
        let mut name = readable(&self.origin);
        let mut hash = Sha256::new();
        for part in [&self.origin[..], &self.revision, &self.file, self.weights.name()] {
            // With their lengths, so that no two keys run together to the same text.
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

/// Whether a folder's name is of the kind that [`ModelKey::folder`] gives. Nothing else is ever listed or removed: natively the
/// cache may lie among a person's own folders.
pub fn is_folder(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(stem, hash)| {
        hash.len() == DIGITS
            && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && stem.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && stem.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-'))
    })
}

/// The last part of a path or an address in lowercase letters, digits and single hyphens.
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

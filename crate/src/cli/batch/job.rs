//! One result of many.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use styleid::weights::checkpoint::stream::hex;

use super::share::Pair;

/// One result.
#[derive(Debug, Clone)]
pub struct Job {
    /// By the places of its pictures.
    pub pair: Pair,
    /// The photo.
    pub content: PathBuf,
    /// The styles that are blended in it.
    pub styles: Vec<PathBuf>,
    /// Where it goes.
    pub out: PathBuf,
}

impl Job {
    /// Why it failed, with the name of a picture in it.
    pub fn named(&self, why: String) -> String {
        let names: Vec<String> =
            std::iter::once(&self.content).chain(&self.styles).map(|path| path.display().to_string()).collect();
        if names.iter().any(|name| why.contains(name)) { why } else { format!("{}: {why}", names.join(" in ")) }
    }
}

/// SHA-256 as lowercase hexadecimal.
pub fn sha(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

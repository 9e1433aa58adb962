//! Packs: GGUF files with exactly what `StyleID` needs of a model. See `docs/packs.md` for the format.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::names::FullName;
use crate::error::{Error, Result};

/// Version of the format that is written and read.
pub const VERSION: u64 = 1;

/// The metadata of a pack.
#[derive(Debug, Clone, PartialEq)]
pub struct PackMetadata {
    /// Diffusers' configs: `unet`, `vae`, `scheduler`.
    pub configs: Value,
    /// Origin of the weights: source, files, revision, licence, and the program that made the pack.
    pub provenance: Value,
    /// SHA-256 of every tensor's bytes in hexadecimal.
    pub hashes: BTreeMap<FullName, String>,
    /// Number of files in the pack.
    pub parts: usize,
}

impl PackMetadata {
    /// Reads the metadata of a GGUF file. `None` if the file is not a pack.
    pub fn read(metadata: &BTreeMap<String, Value>) -> Option<Result<Self>> {
        let version = metadata.get("styleid.version")?;
        Some(Self::parse(version, metadata))
    }

    fn parse(version: &Value, metadata: &BTreeMap<String, Value>) -> Result<Self> {
        if version.as_u64() != Some(VERSION) {
            return Err(Error::Model(format!(
                "This pack is of format version {version}, and version {VERSION} is known here; use a newer StyleID."
            )));
        }
        let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or("null");
        let damaged = |key: &str| Error::Model(format!("This pack is damaged: its metadata has no valid {key}."));
        let object = |key: &str| {
            let value = serde_json::from_str::<Value>(text(key)).ok().filter(Value::is_object);
            value.ok_or_else(|| damaged(key))
        };
        let hashes = serde_json::from_str(text("styleid.sha256")).map_err(|_| damaged("styleid.sha256"))?;
        let parts = metadata.get("split.count").and_then(Value::as_u64).unwrap_or(1);
        Ok(Self {
            configs: object("styleid.configs")?,
            provenance: object("styleid.provenance")?,
            hashes,
            parts: usize::try_from(parts).unwrap_or(usize::MAX),
        })
    }

    /// The metadata that [`PackMetadata::read`] reads, for part `part` (from 0) of a pack.
    pub fn write(&self, name: &str, part: usize) -> BTreeMap<String, Value> {
        let mut metadata = BTreeMap::from([
            ("general.architecture".to_string(), json!("styleid")),
            ("general.name".into(), json!(name)),
            ("styleid.version".into(), json!(VERSION)),
            ("styleid.configs".into(), json!(self.configs.to_string())),
            ("styleid.provenance".into(), json!(self.provenance.to_string())),
            ("styleid.sha256".into(), json!(json!(self.hashes).to_string())),
        ]);
        if self.parts > 1 {
            metadata.insert("split.no".into(), json!(part));
            metadata.insert("split.count".into(), json!(self.parts));
        }
        metadata
    }
}

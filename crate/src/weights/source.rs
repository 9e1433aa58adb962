//! Where a model's files come from: a folder natively, a URL in the browser.

use crate::{Error, Result};

/// A model's files by their path inside the diffusers layout, such as `unet/config.json`.
pub trait Source {
    /// What to call this model in messages.
    fn name(&self) -> String;

    /// The file at `path`, or `None` where there is none.
    ///
    /// # Errors
    /// One sentence where the file is there but cannot be read.
    fn read(&self, path: &str) -> impl Future<Output = Result<Option<Vec<u8>>>>;
}

/// Reads a file that the model cannot do without.
///
/// # Errors
/// Says which file is missing.
pub async fn required(source: &impl Source, path: &str) -> Result<Vec<u8>> {
    source.read(path).await?.ok_or_else(|| {
        Error::Model(format!("{} has no {path}; a model folder in the diffusers layout is needed.", source.name()))
    })
}

/// Reads and parses a JSON file that the model cannot do without.
///
/// # Errors
/// Says which file is missing or what in it cannot be read.
pub async fn json<T: serde::de::DeserializeOwned>(source: &impl Source, path: &str) -> Result<T> {
    parse_json(source, path, &required(source, path).await?)
}

/// Like [`json`], for a file that may be absent.
///
/// # Errors
/// Says what in the file cannot be read.
pub async fn optional_json<T: serde::de::DeserializeOwned>(source: &impl Source, path: &str) -> Result<Option<T>> {
    match source.read(path).await? {
        Some(bytes) => parse_json(source, path, &bytes).map(Some),
        None => Ok(None),
    }
}

fn parse_json<T: serde::de::DeserializeOwned>(source: &impl Source, path: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Model(format!("{path} of {} cannot be understood: {error}.", source.name())))
}

/// A folder on this computer.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Clone)]
pub struct Folder(pub std::path::PathBuf);

#[cfg(not(target_arch = "wasm32"))]
impl Source for Folder {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        if !self.0.is_dir() {
            return Err(Error::Model(format!(
                "There is no folder {}; --model takes a model folder in the diffusers layout.",
                self.0.display()
            )));
        }
        let file = self.0.join(path);
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Model(format!("{} cannot be read: {error}.", file.display()))),
        }
    }
}

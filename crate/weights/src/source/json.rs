//! Whole small files of a model's folder, and JSON in them.

use serde::de::DeserializeOwned;

use super::file::{File, Source};
use crate::error::{Error, Result};

/// No config or index is longer; a file that is was mistaken for one.
const SMALL_FILE: u64 = 16 << 20;

/// The whole of a small file.
///
/// # Errors
/// Says so where the file cannot be read or is far too large for what it should be.
pub async fn read_all(file: &dyn File) -> Result<Vec<u8>> {
    if file.bytes() > SMALL_FILE {
        return Err(Error::Model(format!("{} is {} MB, too large for a config.", file.name(), file.bytes() >> 20)));
    }
    file.read(0..file.bytes()).await
}

/// Reads and parses a JSON file, or gives `None` where there is none.
///
/// # Errors
/// Says what in the file cannot be read.
pub async fn optional_json<T: DeserializeOwned>(source: &dyn Source, path: &str) -> Result<Option<T>> {
    let Some(file) = source.open(path).await? else { return Ok(None) };
    let bytes = read_all(&*file).await?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Model(format!("{path} of {} cannot be understood: {error}.", source.name())))
}

/// Reads and parses a JSON file that the model cannot do without.
///
/// # Errors
/// Says which file is missing or what in it cannot be read.
pub async fn json<T: DeserializeOwned>(source: &dyn Source, path: &str) -> Result<T> {
    optional_json(source, path).await?.ok_or_else(|| {
        Error::Model(format!("{} has no {path}; a model folder in the diffusers layout is needed.", source.name()))
    })
}

//! Small files of a model's folder, read whole, and their JSON.

use serde::de::DeserializeOwned;

use super::file::{File, Source};
use crate::error::{Error, Result};

/// Largest config or index. A larger file is something else.
const SMALL_FILE: u64 = 16 << 20;

/// The content of a small file.
///
/// # Errors
/// The file cannot be read, or is far too large for a config or an index.
pub async fn read_all(file: &dyn File) -> Result<Vec<u8>> {
    if file.bytes() > SMALL_FILE {
        return Err(Error::Model(format!("{} is {} MB, too large for a config.", file.name(), file.bytes() >> 20)));
    }
    file.read(0..file.bytes()).await
}

/// Reads and parses a JSON file, or returns `None` if there is none.
///
/// # Errors
/// What in the file cannot be parsed.
pub async fn optional_json<T: DeserializeOwned>(source: &dyn Source, path: &str) -> Result<Option<T>> {
    let Some(file) = source.open(path).await? else { return Ok(None) };
    let bytes = read_all(&*file).await?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Model(format!("{path} of {} cannot be understood: {error}.", source.name())))
}

/// Reads and parses a required JSON file.
///
/// # Errors
/// The file that is missing, or what in it cannot be parsed.
pub async fn json<T: DeserializeOwned>(source: &dyn Source, path: &str) -> Result<T> {
    optional_json(source, path).await?.ok_or_else(|| {
        Error::Model(format!("{} has no {path}; a model folder in the diffusers layout is needed.", source.name()))
    })
}

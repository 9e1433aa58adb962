//! The cache of converted models on disk, from which later visits load.
//!
//! Each model has its own folder ([`ModelKey::folder`]). It contains the tensors in chunk files, each with a checksum, and
//! a manifest that is rewritten after every chunk. Nothing is used unless its checksum matches. Damaged chunks are fetched
//! again one by one, and a model is loaded even if it cannot be cached.

#[cfg(not(target_arch = "wasm32"))]
pub mod disk;
mod kept_copy;
mod key;
mod manifest;
#[cfg(test)]
pub mod memory;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use self::manifest::Manifest;
use super::storage::{Storage, StorageError};
use crate::error::{Error, Result};

pub use kept_copy::KeptCopy;
pub use key::ModelKey;
pub use manifest::{Chunk, Record};
pub use writer::Writer;

/// Chunk size, which is also the memory that caching takes. A larger tensor gets a chunk of its own.
const CHUNK_BYTES: usize = 32 << 20;

/// The models in a storage.
#[derive(Clone)]
pub struct Cache {
    storage: Rc<dyn Storage>,
    notes: Rc<RefCell<Vec<String>>>,
    chunk_bytes: usize,
}

/// An entry in the list of cached models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The model's key; `None` if the manifest is unreadable, so that the folder can only be removed.
    pub key: Option<ModelKey>,
    /// Size of its folder.
    pub bytes: u64,
    /// Whether all of its tensors are cached.
    pub complete: bool,
    /// The folder name, as taken by [`Cache::purge`].
    pub folder: String,
}

/// The result of reading a folder's manifests.
enum StoredManifest {
    Nothing,
    Damaged(String),
    Manifest(Manifest),
}

impl Cache {
    /// The cache in `storage`.
    pub fn new(storage: Rc<dyn Storage>) -> Self {
        Self { storage, notes: Rc::default(), chunk_bytes: CHUNK_BYTES }
    }

    /// The complete or partial model under `key`. A damaged one counts as missing: it is removed, and noted in
    /// [`Cache::notes`]. So does everything in a storage that cannot even be listed.
    ///
    /// # Errors
    /// There is something under `key` that cannot be read. It stays, since another program may be using the file: if it
    /// counted as missing, it would be overwritten, and gigabytes fetched again.
    pub async fn find(&self, key: &ModelKey) -> Result<Option<KeptCopy>> {
        let folder = key.folder();
        let reason = match self.stored(&folder).await {
            Ok(StoredManifest::Nothing) => return Ok(None),
            Ok(StoredManifest::Manifest(manifest)) if manifest.key == *key => {
                return Ok(Some(KeptCopy::new(self.storage.clone(), self.notes.clone(), folder, manifest)));
            }
            Ok(StoredManifest::Manifest(_)) => "it is that of another model".to_string(),
            Ok(StoredManifest::Damaged(reason)) => reason,
            Err(error) => {
                let folders = self.storage.folders().await.unwrap_or_default();
                if folders.iter().any(|(name, _)| *name == folder) {
                    return Err(kept_copy::unreadable(&key.origin, &error));
                }
                self.note(format!("Kept models cannot be read here ({error}); {} is fetched.", key.origin));
                return Ok(None);
            }
        };
        // If this fails, the next `begin` reports it.
        let _ = self.storage.remove(&folder).await;
        self.note(format!("The kept copy of {} is of no use ({reason}); it is fetched again.", key.origin));
        Ok(None)
    }

    /// Starts to cache a model, with `model` as the data known so far. With `resume`, it continues after the tensors of
    /// that copy, without the chunks that [`KeptCopy::read_chunk`] could not read. Anything else under this key is removed.
    pub async fn begin(&self, key: &ModelKey, model: Value, resume: Option<KeptCopy>) -> Writer {
        let folder = key.folder();
        let earlier = resume.filter(|kept| kept.folder == folder).map(KeptCopy::into_manifest);
        let on_disk = earlier.is_some();
        let mut manifest = earlier.unwrap_or_else(|| Manifest::new(key.clone(), Value::Null));
        manifest.model = model;
        manifest.complete = false;
        Writer::begin(self.storage.clone(), folder, self.chunk_bytes, manifest, on_disk).await
    }

    /// Writes a manifest without the chunks that [`KeptCopy::read_chunk`] could not read, so that the next visit resumes
    /// from it.
    ///
    /// # Errors
    /// Why the manifest could not be written.
    pub async fn give_up_lost(&self, key: &ModelKey, kept: KeptCopy) -> Result<(), StorageError> {
        let model = kept.model().clone();
        self.begin(key, model, Some(kept)).await.leave().await
    }

    /// All cached models by folder name, including damaged and incomplete ones.
    ///
    /// # Errors
    /// The storage cannot be listed.
    pub async fn list(&self) -> Result<Vec<Listing>> {
        let folders = self.storage.folders().await;
        let mut folders =
            folders.map_err(|error| Error::File(format!("Nobody can say which models are kept ({error}).")))?;
        folders.retain(|(folder, _)| key::is_folder(folder));
        folders.sort();
        let mut list = Vec::with_capacity(folders.len());
        for (folder, bytes) in folders {
            let manifest = match self.stored(&folder).await {
                Ok(StoredManifest::Manifest(manifest)) => Some(manifest),
                _ => None,
            };
            let complete = manifest.as_ref().is_some_and(|manifest| manifest.complete);
            list.push(Listing { key: manifest.map(|manifest| manifest.key), bytes, complete, folder });
        }
        Ok(list)
    }

    /// Removes the model in `folder`, as named by [`Cache::list`]. Does nothing if there is none.
    ///
    /// # Errors
    /// The folder does not belong to the cache, or cannot be removed.
    pub async fn purge(&self, folder: &str) -> Result<()> {
        if !key::is_folder(folder) {
            return Err(Error::File(format!("{folder} is no kept model; nothing was removed.")));
        }
        let removed = self.storage.remove(folder).await;
        removed.map_err(|error| Error::File(format!("The kept model {folder} cannot be removed: {error}.")))
    }

    /// Removes all cached models.
    ///
    /// # Errors
    /// The first model that cannot be removed. The others are removed nevertheless.
    pub async fn purge_all(&self) -> Result<()> {
        let folders = self.storage.folders().await;
        let folders = folders.map_err(|error| Error::File(format!("The kept models cannot be removed: {error}.")))?;
        let mut outcome = Ok(());
        for (folder, _) in folders {
            if key::is_folder(&folder) {
                outcome = outcome.and(self.purge(&folder).await);
            }
        }
        outcome
    }

    /// Takes the notes about problems since the last call. They need no reaction.
    pub fn notes(&self) -> Vec<String> {
        self.notes.take()
    }

    fn note(&self, sentence: String) {
        self.notes.borrow_mut().push(sentence);
    }

    /// The newest readable manifest of `folder`.
    async fn stored(&self, folder: &str) -> Result<StoredManifest, StorageError> {
        let mut stored = StoredManifest::Nothing;
        for file in manifest::FILES {
            let Some(bytes) = self.storage.read(folder, file).await? else { continue };
            stored = match (Manifest::parse(&bytes), stored) {
                (Ok(new), StoredManifest::Manifest(old)) if old.round > new.round => StoredManifest::Manifest(old),
                (Ok(new), _) => StoredManifest::Manifest(new),
                (Err(reason), StoredManifest::Nothing) => StoredManifest::Damaged(reason),
                (Err(_), stored) => stored,
            };
        }
        Ok(stored)
    }
}

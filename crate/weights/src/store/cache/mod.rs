//! Models kept on disk in compact form: what a second visit starts from.
//!
//! A model has a folder of its own ([`ModelKey::folder`]) with its tensors in chunk files, each with a checksum, and a manifest
//! that is written after every chunk. Nothing that is read from there is believed without its checksum. What is damaged is
//! fetched again, part by part, and nothing that goes wrong in keeping a model keeps it from being loaded.

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

/// Chunks are filled up to this many bytes, which is what keeping takes of the memory. A larger tensor has one of its own.
const CHUNK_BYTES: usize = 32 << 20;

/// The models that are kept in a storage.
#[derive(Clone)]
pub struct Cache {
    storage: Rc<dyn Storage>,
    notes: Rc<RefCell<Vec<String>>>,
    chunk_bytes: usize,
}

/// A kept model in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which model it is; `None` where nothing in the folder says so any more and all that is left is to remove it.
    pub key: Option<ModelKey>,
    /// Bytes that its folder takes.
    pub bytes: u64,
    /// Whether all of its tensors are there.
    pub complete: bool,
    /// What [`Cache::purge`] takes.
    pub folder: String,
}

/// What the manifests in a folder amount to.
enum StoredManifest {
    Nothing,
    Damaged(String),
    Manifest(Manifest),
}

impl Cache {
    /// The models kept in `storage`.
    pub fn new(storage: Rc<dyn Storage>) -> Self {
        Self { storage, notes: Rc::default(), chunk_bytes: CHUNK_BYTES }
    }

    /// What is kept under `key`, completely or in part. What cannot be read is as good as nothing: it is noted in
    /// [`Cache::notes`], and removed where it is damaged.
    pub async fn find(&self, key: &ModelKey) -> Option<KeptCopy> {
        let folder = key.folder();
        let reason = match self.stored(&folder).await {
            Ok(StoredManifest::Nothing) => return None,
            Ok(StoredManifest::Manifest(manifest)) if manifest.key == *key => {
                return Some(KeptCopy::new(self.storage.clone(), self.notes.clone(), folder, manifest));
            }
            Ok(StoredManifest::Manifest(_)) => "it is that of another model".to_string(),
            Ok(StoredManifest::Damaged(reason)) => reason,
            Err(error) => {
                self.note(format!("The kept copy of {} cannot be read ({error}); it is fetched again.", key.origin));
                return None;
            }
        };
        // Where this fails, whoever begins anew hears of it.
        let _ = self.storage.remove(&folder).await;
        self.note(format!("The kept copy of {} is of no use ({reason}); it is fetched again.", key.origin));
        None
    }

    /// Starts to keep a model about which `model` is known so far, or goes on where `resume` ends, without the chunks that
    /// [`KeptCopy::read_chunk`] could not read. Anything else under this key is removed.
    pub async fn begin(&self, key: &ModelKey, model: Value, resume: Option<KeptCopy>) -> Writer {
        let folder = key.folder();
        let earlier = resume.filter(|kept| kept.folder == folder).map(KeptCopy::into_manifest);
        let on_disk = earlier.is_some();
        let mut manifest = earlier.unwrap_or_else(|| Manifest::new(key.clone(), Value::Null));
        manifest.model = model;
        manifest.complete = false;
        Writer::begin(self.storage.clone(), folder, self.chunk_bytes, manifest, on_disk).await
    }

    /// Writes down that what [`KeptCopy::read_chunk`] could not read of a model is not there, for the next visit to go on from.
    ///
    /// # Errors
    /// Why that cannot be written.
    pub async fn give_up_lost(&self, key: &ModelKey, kept: KeptCopy) -> Result<(), StorageError> {
        let model = kept.model().clone();
        self.begin(key, model, Some(kept)).await.leave().await
    }

    /// All kept models by their folders' names, broken and incomplete ones too.
    ///
    /// # Errors
    /// The storage cannot say.
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

    /// Removes the model in `folder`, as [`Cache::list`] names it; nothing happens where there is none.
    ///
    /// # Errors
    /// It is no folder of the cache, or cannot be removed.
    pub async fn purge(&self, folder: &str) -> Result<()> {
        if !key::is_folder(folder) {
            return Err(Error::File(format!("{folder} is no kept model; nothing was removed.")));
        }
        let removed = self.storage.remove(folder).await;
        removed.map_err(|error| Error::File(format!("The kept model {folder} cannot be removed: {error}.")))
    }

    /// Removes all kept models.
    ///
    /// # Errors
    /// The first that cannot be removed; the others are removed all the same.
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

    /// Takes the sentences about what was not as it should be since the last call. They need no answer.
    pub fn notes(&self) -> Vec<String> {
        self.notes.take()
    }

    fn note(&self, sentence: String) {
        self.notes.borrow_mut().push(sentence);
    }

    /// The newest manifest of `folder` that can be read.
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

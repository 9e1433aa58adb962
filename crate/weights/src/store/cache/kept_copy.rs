//! A cached model, read chunk by chunk.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::manifest::{Chunk, Manifest, Record};
use crate::error::{Error, Result};
use crate::format::compact::Compact;
use crate::store::storage::{Storage, StorageError};

/// The cached tensors of a model: all of them, or the first part if a visit was interrupted.
pub struct KeptCopy {
    pub(super) storage: Rc<dyn Storage>,
    pub(super) notes: Rc<RefCell<Vec<String>>>,
    pub(super) folder: String,
    manifest: Manifest,
    /// Indices of the chunks that could not be read.
    lost: BTreeSet<usize>,
}

impl KeptCopy {
    pub(super) fn new(
        storage: Rc<dyn Storage>,
        notes: Rc<RefCell<Vec<String>>>,
        folder: String,
        manifest: Manifest,
    ) -> Self {
        Self { storage, notes, folder, manifest, lost: BTreeSet::new() }
    }

    /// The `model` value that [`super::Writer`] was given. The caller compares it with the source's current state before it
    /// resumes an incomplete model.
    pub fn model(&self) -> &Value {
        &self.manifest.model
    }

    /// Whether the manifest lists all of the model's tensors.
    pub fn complete(&self) -> bool {
        self.manifest.complete
    }

    /// Total size of all chunks.
    pub fn bytes(&self) -> u64 {
        self.manifest.bytes
    }

    /// The tensors in the order of insertion, without those of unreadable chunks.
    pub fn tensors(&self) -> impl Iterator<Item = &Record> {
        self.manifest.tensors.iter().filter(|tensor| !self.lost.contains(&tensor.chunk))
    }

    /// The chunks, by the index that [`KeptCopy::read_chunk`] takes.
    pub fn chunks(&self) -> &[Chunk] {
        &self.manifest.chunks
    }

    /// Whether all of the model's tensors are intact, as far as its chunks have been read.
    pub fn whole(&self) -> bool {
        self.manifest.complete && self.lost.is_empty()
    }

    /// The tensors of a chunk. Bytes are returned only if they match the checksum.
    ///
    /// A damaged chunk yields no tensors. It is dropped, with a note in [`super::Cache::notes`], and its tensors must be
    /// fetched again, like those that are still missing. The other chunks stay. The same applies to an unreadable chunk of
    /// an incomplete model.
    ///
    /// # Errors
    /// The chunk of a complete model cannot be read. It is not dropped: another program may be using the file.
    pub async fn read_chunk(&mut self, index: usize) -> Result<Vec<Compact>> {
        let Some(chunk) = self.manifest.chunks.get(index) else {
            return Err(Error::File(format!("The kept copy of {} has no part {index}.", self.manifest.key.origin)));
        };
        if self.lost.contains(&index) {
            return Ok(Vec::new());
        }
        let origin = &self.manifest.key.origin;
        let reason = match self.storage.read(&self.folder, &chunk.file).await {
            Ok(Some(bytes)) if bytes.len() as u64 == chunk.bytes && crc32fast::hash(&bytes) == chunk.crc32 => {
                return Ok(self.split(index, bytes));
            }
            Ok(_) => "is damaged".to_string(),
            Err(error) if self.manifest.complete => {
                return Err(unreadable(origin, &error));
            }
            Err(error) => format!("cannot be read ({error})"),
        };
        let note = format!("A part of the kept copy of {origin} {reason}; this part is to be fetched again.");
        self.notes.borrow_mut().push(note);
        self.lost.insert(index);
        Ok(Vec::new())
    }

    /// Splits a chunk into its tensors, starting at its end, so that memory holds at most the chunk and one more tensor. A
    /// chunk with a single tensor is not copied at all.
    fn split(&self, index: usize, mut bytes: Vec<u8>) -> Vec<Compact> {
        let mut tensors: Vec<Compact> = (self.manifest.tensors.iter().rev())
            .filter(|tensor| tensor.chunk == index)
            .map(|tensor| {
                // The manifest's tensors fill the chunk, and its size was checked, so the offset is inside.
                let at = usize::try_from(tensor.offset).unwrap_or(usize::MAX).min(bytes.len());
                let tail = if at == 0 { std::mem::take(&mut bytes) } else { bytes.split_off(at) };
                bytes.shrink_to_fit();
                Compact { name: tensor.name.clone(), dtype: tensor.dtype, shape: tensor.shape.clone(), bytes: tail }
            })
            .collect();
        tensors.reverse();
        tensors
    }

    /// The manifest without the unreadable chunks.
    pub(super) fn into_manifest(self) -> Manifest {
        self.manifest.without(&self.lost)
    }
}

/// A copy that another program may be using.
pub(super) fn unreadable(origin: &str, error: &StorageError) -> Error {
    Error::File(format!(
        "The kept copy of {origin} cannot be read ({error}); try again, or remove it from this computer and have it \
         fetched anew."
    ))
}

impl std::fmt::Debug for KeptCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptCopy")
            .field("folder", &self.folder)
            .field("complete", &self.complete())
            .finish_non_exhaustive()
    }
}

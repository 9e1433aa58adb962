//! A kept model, to be read chunk by chunk.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::manifest::{Chunk, Manifest, Record};
use crate::error::{Error, Result};
use crate::format::compact::Compact;
use crate::store::storage::Storage;

/// What the cache has of a model: all of it, or, where a visit was cut off, the first part.
pub struct KeptCopy {
    pub(super) storage: Rc<dyn Storage>,
    pub(super) notes: Rc<RefCell<Vec<String>>>,
    pub(super) folder: String,
    manifest: Manifest,
    /// Positions of the chunks that turned out to be unreadable.
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

    /// What [`super::Writer`] was given about the model. The caller compares it with what the source says today before it
    /// builds on a model that is not complete.
    pub fn model(&self) -> &Value {
        &self.manifest.model
    }

    /// Whether these are all of the model's tensors.
    pub fn complete(&self) -> bool {
        self.manifest.complete
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> u64 {
        self.manifest.bytes
    }

    /// The tensors in the order in which they were put, without those of chunks that turned out to be unreadable.
    pub fn tensors(&self) -> impl Iterator<Item = &Record> {
        self.manifest.tensors.iter().filter(|tensor| !self.lost.contains(&tensor.chunk))
    }

    /// The chunks, by the positions that [`KeptCopy::read_chunk`] takes.
    pub fn chunks(&self) -> &[Chunk] {
        &self.manifest.chunks
    }

    /// Whether all of the model's tensors are there, as far as its chunks have been read.
    pub fn whole(&self) -> bool {
        self.manifest.complete && self.lost.is_empty()
    }

    /// The tensors of a chunk. Bytes that are not those that were put are never given.
    ///
    /// Where the chunk is damaged there are none: it is forgotten, which is noted in [`super::Cache::notes`], and its
    /// tensors are to be fetched again like those that are yet to come. The others stay. The same goes for a chunk of an
    /// incomplete model that cannot be read.
    ///
    /// # Errors
    /// The chunk of a complete model cannot be read. Nothing is lost by it: another program may be using the file.
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
                return Err(Error::File(format!(
                    "The kept copy of {origin} cannot be read ({error}); try again, or remove it from this computer and \
                     have it fetched anew."
                )));
            }
            Err(error) => format!("cannot be read ({error})"),
        };
        let note = format!("A part of the kept copy of {origin} {reason}; this part is to be fetched again.");
        self.notes.borrow_mut().push(note);
        self.lost.insert(index);
        Ok(Vec::new())
    }

    /// Cuts a whole chunk into its tensors, from its end, so that no more is in memory at once than the chunk and one
    /// tensor; a chunk of one tensor is not even copied.
    fn split(&self, index: usize, mut bytes: Vec<u8>) -> Vec<Compact> {
        let mut tensors: Vec<Compact> = (self.manifest.tensors.iter().rev())
            .filter(|tensor| tensor.chunk == index)
            .map(|tensor| {
                // The manifest's tensors fill the chunk, whose size was compared: the offset lies inside.
                let at = usize::try_from(tensor.offset).unwrap_or(usize::MAX).min(bytes.len());
                let tail = if at == 0 { std::mem::take(&mut bytes) } else { bytes.split_off(at) };
                bytes.shrink_to_fit();
                Compact { name: tensor.name.clone(), dtype: tensor.dtype, shape: tensor.shape.clone(), bytes: tail }
            })
            .collect();
        tensors.reverse();
        tensors
    }

    /// Its manifest without what turned out to be unreadable.
    pub(super) fn into_manifest(self) -> Manifest {
        self.manifest.without(&self.lost)
    }
}

impl std::fmt::Debug for KeptCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptCopy")
            .field("folder", &self.folder)
            .field("complete", &self.complete())
            .finish_non_exhaustive()
    }
}

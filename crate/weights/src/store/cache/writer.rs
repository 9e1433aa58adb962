//! Caches a model while it is being converted.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::manifest::{Chunk, Manifest, Record, can_keep};
use crate::format::compact::Compact;
use crate::store::storage::{Storage, StorageError};

/// Takes a model's tensors one by one and writes them in chunks. The manifest is rewritten after every chunk, so an
/// interrupted visit loses at most the chunk that was not full yet.
///
/// A storage failure ends the caching, not the loading: nothing more is written, [`Writer::stopped`] says why, and the
/// model is in memory only. If the storage is full, the folder is removed, including chunks of earlier visits, because it
/// would take up space without ever becoming complete. After any other failure, the chunks in the manifest stay for the
/// next visit.
pub struct Writer {
    storage: Rc<dyn Storage>,
    folder: String,
    chunk_bytes: usize,
    manifest: Manifest,
    names: HashSet<String>,
    /// The chunk being filled, and its tensors.
    buffer: Vec<u8>,
    records: Vec<Record>,
    /// Whether a manifest of this folder is on disk.
    on_disk: bool,
    stopped: Option<StorageError>,
}

impl Writer {
    /// With `on_disk`, the folder already contains what `manifest` lists. Otherwise it is emptied first.
    pub(super) async fn begin(
        storage: Rc<dyn Storage>,
        folder: String,
        chunk_bytes: usize,
        manifest: Manifest,
        on_disk: bool,
    ) -> Self {
        let stopped = if on_disk { None } else { storage.remove(&folder).await.err() };
        let names = manifest.tensors.iter().map(|tensor| tensor.name.clone()).collect();
        let (buffer, records) = (Vec::new(), Vec::new());
        Self { storage, folder, chunk_bytes, manifest, names, buffer, records, on_disk, stopped }
    }

    /// Caches a tensor. Does nothing if its name is cached already.
    pub async fn put(&mut self, tensor: &Compact) {
        if self.stopped.is_some() || self.names.contains(&tensor.name) {
            return;
        }
        if let Err(error) = self.take(tensor).await {
            self.stop(error).await;
        }
    }

    /// Writes the last chunk and marks the model as complete, with the final `model` data.
    ///
    /// # Errors
    /// Why the model is not cached, as in [`Writer::stopped`].
    pub async fn finish(mut self, model: Value) -> Result<(), StorageError> {
        if self.stopped.is_none()
            && let Err(error) = self.complete(model).await
        {
            self.stop(error).await;
        }
        self.stopped.map_or(Ok(()), Err)
    }

    /// Writes the manifest for a later visit to resume from.
    ///
    /// # Errors
    /// Why it could not be written.
    pub(super) async fn leave(mut self) -> Result<(), StorageError> {
        match self.stopped.take() {
            Some(error) => Err(error),
            None => self.write_manifest().await,
        }
    }

    /// Why caching has stopped; `None` while it works.
    pub fn stopped(&self) -> Option<&StorageError> {
        self.stopped.as_ref()
    }

    /// Whether caching has stopped because the storage is full.
    pub fn is_full(&self) -> bool {
        self.stopped == Some(StorageError::Full)
    }

    async fn take(&mut self, tensor: &Compact) -> Result<(), StorageError> {
        let bytes = tensor.bytes.len();
        if !can_keep(tensor.dtype) || Record::size(tensor.dtype, &tensor.shape) != Some(bytes as u64) {
            return Err(StorageError::Other(format!(
                "tensor {} has {bytes} bytes, which are not those of a {} tensor of shape {:?}",
                tensor.name,
                tensor.dtype.name(),
                tensor.shape
            )));
        }
        if bytes > self.chunk_bytes.saturating_sub(self.buffer.len()) {
            self.flush().await?;
        }
        let record = Record {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            chunk: self.manifest.chunks.len(),
            offset: self.buffer.len() as u64,
            bytes: bytes as u64,
        };
        self.names.insert(tensor.name.clone());
        if bytes > self.chunk_bytes {
            // Written without a copy, which would double the memory. The flush has left the buffer empty.
            return self.write_chunk(&tensor.bytes, vec![record]).await;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(self.chunk_bytes);
        }
        self.buffer.extend_from_slice(&tensor.bytes);
        self.records.push(record);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let (mut buffer, records) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.records));
        self.write_chunk(&buffer, records).await?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    /// Writes the data first, then the manifest that lists it.
    async fn write_chunk(&mut self, bytes: &[u8], records: Vec<Record>) -> Result<(), StorageError> {
        let file = self.manifest.free_chunk();
        self.storage.write(&self.folder, &file, bytes).await?;
        self.manifest.chunks.push(Chunk { file, bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) });
        self.manifest.tensors.extend(records);
        self.manifest.bytes = self.manifest.bytes.saturating_add(bytes.len() as u64);
        self.write_manifest().await
    }

    async fn write_manifest(&mut self) -> Result<(), StorageError> {
        // Always overwrites the older of the two files, or the unreadable one.
        self.manifest.round = self.manifest.round.saturating_add(1);
        let bytes = self.manifest.to_bytes().map_err(StorageError::Other)?;
        self.storage.write(&self.folder, self.manifest.file(), &bytes).await?;
        self.on_disk = true;
        Ok(())
    }

    async fn complete(&mut self, model: Value) -> Result<(), StorageError> {
        self.flush().await?;
        self.manifest.model = model;
        self.manifest.complete = true;
        self.write_manifest().await
    }

    async fn stop(&mut self, error: StorageError) {
        (self.buffer, self.records) = (Vec::new(), Vec::new());
        if error == StorageError::Full || !self.on_disk {
            // A leftover folder does no harm: it is emptied before the model is cached again.
            let _ = self.storage.remove(&self.folder).await;
        }
        self.stopped = Some(error);
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("folder", &self.folder).field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

//! An abstract file store.

use crate::source::file::Pending;

/// Stores a few large files, in folders one level deep: OPFS in the browser, the cache folder natively.
pub trait Storage {
    /// The file's bytes, or `None` if there is none.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read<'a>(&'a self, folder: &'a str, file: &'a str) -> Pending<'a, Result<Option<Vec<u8>>, StorageError>>;

    /// Writes a whole file, replacing any old one. The bytes are on disk when this returns.
    ///
    /// # Errors
    /// [`StorageError::Full`] if there is no space.
    fn write<'a>(&'a self, folder: &'a str, file: &'a str, bytes: &'a [u8]) -> Pending<'a, Result<(), StorageError>>;

    /// Removes a folder and its content. Does nothing if there is none.
    ///
    /// # Errors
    /// Why it could not be removed.
    fn remove<'a>(&'a self, folder: &'a str) -> Pending<'a, Result<(), StorageError>>;

    /// The folders, each with its size in bytes.
    ///
    /// # Errors
    /// Why they cannot be listed.
    fn folders(&self) -> Pending<'_, Result<Vec<(String, u64)>, StorageError>>;
}

/// Why a storage operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The disk is full, or the browser's quota is reached.
    #[error("the disk or the browser's quota is full")]
    Full,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

//! A place to keep files in, whatever it is.

use crate::source::file::Pending;

/// A place for a few large files, in folders one level deep: OPFS in the browser, the cache folder natively.
pub trait Storage {
    /// The file's bytes, or `None` where there is none.
    ///
    /// # Errors
    /// The reason why it cannot be read.
    fn read<'a>(&'a self, folder: &'a str, file: &'a str) -> Pending<'a, Result<Option<Vec<u8>>, StorageError>>;

    /// Writes a whole file, replacing it; when this returns, its bytes are on the disk.
    ///
    /// # Errors
    /// [`StorageError::Full`] where there is no room.
    fn write<'a>(&'a self, folder: &'a str, file: &'a str, bytes: &'a [u8]) -> Pending<'a, Result<(), StorageError>>;

    /// Removes a folder with all that is in it; nothing happens where there is none.
    ///
    /// # Errors
    /// The reason why it stays.
    fn remove<'a>(&'a self, folder: &'a str) -> Pending<'a, Result<(), StorageError>>;

    /// The folders with the bytes that they take.
    ///
    /// # Errors
    /// The reason why nobody can say.
    fn folders(&self) -> Pending<'_, Result<Vec<(String, u64)>, StorageError>>;
}

/// Why a storage did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No room is left, or the browser's quota is reached.
    #[error("the disk or the browser's quota is full")]
    Full,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

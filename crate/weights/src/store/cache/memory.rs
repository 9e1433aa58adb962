//! An in-memory storage for tests that fails on demand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::source::file::Pending;
use crate::store::storage::{Storage, StorageError};

/// An operation on the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageCall {
    /// A file was written with these bytes.
    Write(String, Vec<u8>),
    /// A folder was removed.
    Remove(String),
}

/// Files by folder and name, with faults that a test can set.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    /// What is stored.
    pub files: RefCell<BTreeMap<(String, String), Vec<u8>>>,
    /// Writes and removals so far, including failed ones.
    pub log: RefCell<Vec<StorageCall>>,
    /// Total capacity in bytes. A write beyond it stores what fits and fails with `Full`.
    pub room: Cell<Option<usize>>,
    /// The write with this number (from 0), and the number of bytes after which the process dies in it.
    pub cut: Cell<Option<(usize, usize)>>,
    /// Whether an interrupted write leaves the rest of the old file behind the new bytes, like a write in place.
    pub in_place: Cell<bool>,
    /// Set by an interrupted write: every operation fails until the next process starts.
    pub dead: Cell<bool>,
    /// Reading files whose names start with this fails.
    pub unreadable: RefCell<Option<String>>,
    /// Writing files whose names start with the first fails, with the second as the reason.
    pub refusing: RefCell<Option<(&'static str, &'static str)>>,
    writes: Cell<usize>,
}

impl MemoryStorage {
    /// Starts the next process after an interruption.
    pub fn revive(&self) {
        self.dead.set(false);
        self.cut.set(None);
    }

    /// Number of writes so far.
    pub fn writes(&self) -> usize {
        self.writes.get()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> usize {
        self.files.borrow().values().map(Vec::len).sum()
    }

    fn alive(&self) -> Result<(), StorageError> {
        if self.dead.get() { Err(StorageError::Other("the process is dead".into())) } else { Ok(()) }
    }

    fn put(&self, folder: &str, file: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.alive()?;
        self.log.borrow_mut().push(StorageCall::Write(file.into(), bytes.to_vec()));
        let number = self.writes.replace(self.writes.get() + 1);
        if let Some((start, reason)) = *self.refusing.borrow()
            && file.starts_with(start)
        {
            return Err(StorageError::Other(reason.into()));
        }
        let at = (folder.to_string(), file.to_string());
        let old = self.files.borrow_mut().remove(&at);
        let mut now = bytes.to_vec();
        let mut outcome = Ok(());
        if let Some((cut, written)) = self.cut.get()
            && cut == number
        {
            self.dead.set(true);
            now.truncate(written);
            match old {
                Some(old) if self.in_place.get() => now.extend(old.iter().skip(written)),
                // A file that was never written to may be missing or empty.
                None if written == 0 => return Err(StorageError::Other("cut".into())),
                _ => (),
            }
            outcome = Err(StorageError::Other("cut".into()));
        }
        if let Some(room) = self.room.get() {
            let left = room.saturating_sub(self.bytes());
            if now.len() > left {
                now.truncate(left);
                outcome = Err(StorageError::Full);
            }
        }
        self.files.borrow_mut().insert(at, now);
        outcome
    }
}

impl Storage for MemoryStorage {
    fn read<'a>(&'a self, folder: &'a str, file: &'a str) -> Pending<'a, Result<Option<Vec<u8>>, StorageError>> {
        Box::pin(async move {
            self.alive()?;
            if self.unreadable.borrow().as_ref().is_some_and(|start| file.starts_with(start)) {
                return Err(StorageError::Other("the file is in use".into()));
            }
            Ok(self.files.borrow().get(&(folder.to_string(), file.to_string())).cloned())
        })
    }

    fn write<'a>(&'a self, folder: &'a str, file: &'a str, bytes: &'a [u8]) -> Pending<'a, Result<(), StorageError>> {
        Box::pin(async move { self.put(folder, file, bytes) })
    }

    fn remove<'a>(&'a self, folder: &'a str) -> Pending<'a, Result<(), StorageError>> {
        Box::pin(async move {
            self.alive()?;
            self.log.borrow_mut().push(StorageCall::Remove(folder.into()));
            self.files.borrow_mut().retain(|(there, _), _| there != folder);
            Ok(())
        })
    }

    fn folders(&self) -> Pending<'_, Result<Vec<(String, u64)>, StorageError>> {
        Box::pin(async move {
            self.alive()?;
            let mut folders = BTreeMap::<String, u64>::new();
            for ((folder, _), bytes) in self.files.borrow().iter() {
                *folders.entry(folder.clone()).or_default() += bytes.len() as u64;
            }
            Ok(folders.into_iter().collect())
        })
    }
}

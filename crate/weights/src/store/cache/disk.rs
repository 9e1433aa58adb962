//! The cache on a local disk. Files are written to a temporary name and renamed, so that each exists completely or not at
//! all.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::source::file::Pending;
use crate::store::storage::{Storage, StorageError};

/// Extension of files that are still being written.
const ASIDE: &str = "partial";

/// Age after which such a file must be left over from a killed process.
const STALE: Duration = Duration::from_secs(3600);

/// A folder that contains one folder per cached model.
#[derive(Debug, Clone)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// A cache in `root`, which need not exist yet and may contain other things.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The current user's cache: `$STYLEID_CACHE`, or `styleid` in the system's cache folder. `None` if the environment
    /// names neither.
    pub fn of_this_user() -> Option<Self> {
        Self::default_root(std::env::consts::OS, |name| std::env::var_os(name)).map(Self::at)
    }

    /// The folder that contains the models.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The default folder on system `os` with these environment variables.
    pub(super) fn default_root(os: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(chosen) = path("STYLEID_CACHE") {
            return Some(chosen);
        }
        let caches = match os {
            "windows" => path("LOCALAPPDATA"),
            "macos" => path("HOME").map(|home| home.join("Library/Caches")),
            // The XDG base directory specification requires that relative paths be ignored.
            _ => path("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| path("HOME").map(|home| home.join(".cache"))),
        };
        caches.map(|caches| caches.join("styleid"))
    }

    fn folder(&self, folder: &str) -> Result<PathBuf, StorageError> {
        Ok(self.root.join(plain(folder)?))
    }

    fn write_whole(folder: &Path, file: &str, bytes: &[u8]) -> io::Result<()> {
        /// Keeps apart the temporary files of several writers in this process.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(folder)?;
        sweep(folder);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let aside = folder.join(format!("{file}.{}-{count}.{ASIDE}", std::process::id()));
        let written = fs::File::create_new(&aside)
            .and_then(|mut open| {
                open.write_all(bytes)?;
                open.sync_all()
            })
            .and_then(|()| fs::rename(&aside, folder.join(file)));
        if written.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(&aside);
        }
        written?;
        // A new name is durable only after its folder is synced. Windows cannot open folders and does without.
        #[cfg(unix)]
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    }
}

impl Storage for Disk {
    fn read<'a>(&'a self, folder: &'a str, file: &'a str) -> Pending<'a, Result<Option<Vec<u8>>, StorageError>> {
        Box::pin(async move {
            match fs::read(self.folder(folder)?.join(plain(file)?)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(reason(&error)),
            }
        })
    }

    fn write<'a>(&'a self, folder: &'a str, file: &'a str, bytes: &'a [u8]) -> Pending<'a, Result<(), StorageError>> {
        Box::pin(async move {
            Self::write_whole(&self.folder(folder)?, plain(file)?, bytes).map_err(|error| reason(&error))
        })
    }

    fn remove<'a>(&'a self, folder: &'a str) -> Pending<'a, Result<(), StorageError>> {
        Box::pin(async move {
            match fs::remove_dir_all(self.folder(folder)?) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(reason(&error)),
                _ => Ok(()),
            }
        })
    }

    fn folders(&self) -> Pending<'_, Result<Vec<(String, u64)>, StorageError>> {
        Box::pin(async move {
            let entries = match fs::read_dir(&self.root) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(reason(&error)),
            };
            let mut folders = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|error| reason(&error))?;
                // Symbolic links are not followed: neither they nor their targets belong to the cache.
                if entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && let Ok(name) = entry.file_name().into_string()
                {
                    folders.push((name, files_of(&entry.path()).map(|(_, meta)| meta.len()).sum()));
                }
            }
            Ok(folders)
        })
    }
}

/// The files in a folder; none if it cannot be read, as with folders of another program.
fn files_of(folder: &Path) -> impl Iterator<Item = (PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok().filter(fs::Metadata::is_file)?)))
}

/// Removes unfinished files of killed processes.
fn sweep(folder: &Path) {
    for (path, meta) in files_of(folder) {
        let age = meta.modified().ok().and_then(|time| time.elapsed().ok());
        if path.extension().is_some_and(|ending| ending == ASIDE) && age.is_some_and(|age| age > STALE) {
            // It may belong to another process after all, or be gone already. Failing to remove it does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

/// Accepts only names that cannot lead outside the folder.
fn plain(name: &str) -> Result<&str, StorageError> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(safe) {
        return Err(StorageError::Other(format!("{name:?} is no name for a kept file")));
    }
    Ok(name)
}

pub(super) fn reason(error: &io::Error) -> StorageError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full,
        _ => StorageError::Other(error.to_string()),
    }
}

//! The cache in the browser: the origin private file system (OPFS), written through sync access handles, which only
//! dedicated workers have. Writes are in place, so an interrupted visit can leave a truncated file; the cache's checksums
//! detect it.

use js_sys::{IteratorNext, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemHandle, FileSystemHandleKind, FileSystemReadWriteOptions, FileSystemRemoveOptions,
    FileSystemSyncAccessHandle, StorageEstimate, StorageManager, WorkerGlobalScope,
};

use super::storage::{Storage, StorageError};
use crate::source::file::Pending;
use crate::source::picked;

/// The folder of all cached models.
const FOLDER: &str = "styleid-models";

/// This origin's folder of cached models.
pub struct Opfs {
    root: FileSystemDirectoryHandle,
}

impl Opfs {
    /// Opens the folder. `None` if the browser has no OPFS or denies access to it, as in some private windows. Models are
    /// then loaded without being cached.
    pub async fn open() -> Option<Self> {
        let storage = manager()?;
        if !has(&js_sys::global(), "FileSystemSyncAccessHandle") || !has(&storage, "getDirectory") {
            return None;
        }
        let origin: FileSystemDirectoryHandle = handle(storage.get_directory()).await.ok()?;
        let root = handle(origin.get_directory_handle_with_options(FOLDER, &creating())).await.ok()?;
        Some(Self { root })
    }

    async fn get(&self, folder: &str, file: &str) -> Result<FileSystemFileHandle, JsValue> {
        let folder: FileSystemDirectoryHandle = handle(self.root.get_directory_handle(folder)).await?;
        handle(folder.get_file_handle(file)).await
    }

    async fn put(&self, folder: &str, file: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let open = async {
            let folder: FileSystemDirectoryHandle =
                handle(self.root.get_directory_handle_with_options(folder, &creating())).await?;
            let create = FileSystemGetFileOptions::new();
            create.set_create(true);
            let file: FileSystemFileHandle = handle(folder.get_file_handle_with_options(file, &create)).await?;
            handle(file.create_sync_access_handle()).await.map(Access)
        };
        let access = open.await.map_err(|error| reason(&error))?;
        let Access(file) = &access;
        file.truncate_with_u32(0).map_err(|error| reason(&error))?;
        let at = FileSystemReadWriteOptions::new();
        let mut done = 0;
        while done < bytes.len() {
            at.set_at(done as f64);
            let rest = &bytes[done..];
            let written = file.write_with_u8_array_and_options(rest, &at).map_err(|error| reason(&error))?;
            // In Chromium's private windows, a write beyond the quota does not throw; it returns a nonsensical length.
            if written < 1.0 || written > rest.len() as f64 {
                return Err(StorageError::Full);
            }
            done += written as usize;
        }
        file.flush().map_err(|error| reason(&error))?;
        let size = file.get_size().map_err(|error| reason(&error))?;
        if size == bytes.len() as f64 { Ok(()) } else { Err(StorageError::Full) }
    }
}

/// An exclusive handle to a file, closed on drop.
struct Access(FileSystemSyncAccessHandle);

impl Drop for Access {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Storage for Opfs {
    fn read<'a>(&'a self, folder: &'a str, file: &'a str) -> Pending<'a, Result<Option<Vec<u8>>, StorageError>> {
        Box::pin(async move {
            // Not read through an access handle: those are exclusive, and two tabs may load the same model.
            let bytes = async {
                let file: Blob = handle(self.get(folder, file).await?.get_file()).await?;
                picked::read(&file, 0..picked::size(&file)).await
            };
            match bytes.await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if is(&error, "NotFoundError") => Ok(None),
                Err(error) => Err(reason(&error)),
            }
        })
    }

    fn write<'a>(&'a self, folder: &'a str, file: &'a str, bytes: &'a [u8]) -> Pending<'a, Result<(), StorageError>> {
        Box::pin(self.put(folder, file, bytes))
    }

    fn remove<'a>(&'a self, folder: &'a str) -> Pending<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let options = FileSystemRemoveOptions::new();
            options.set_recursive(true);
            match JsFuture::from(self.root.remove_entry_with_options(folder, &options)).await {
                Err(error) if !is(&error, "NotFoundError") => Err(reason(&error)),
                _ => Ok(()),
            }
        })
    }

    fn folders(&self) -> Pending<'_, Result<Vec<(String, u64)>, StorageError>> {
        Box::pin(async move {
            let folders = async {
                let mut folders = Vec::new();
                for entry in entries(&self.root).await? {
                    let Ok(folder) = entry.dyn_into::<FileSystemDirectoryHandle>() else { continue };
                    let mut bytes = 0;
                    for entry in entries(&folder).await? {
                        if entry.kind() == FileSystemHandleKind::File {
                            let file: FileSystemFileHandle = entry.unchecked_into();
                            bytes += picked::size(&handle::<Blob>(file.get_file()).await?);
                        }
                    }
                    folders.push((folder.name(), bytes));
                }
                Ok(folders)
            };
            folders.await.map_err(|error: JsValue| reason(&error))
        })
    }
}

/// Storage used by this origin and its quota in bytes, both approximate. `None` if the browser does not report them.
pub async fn estimate() -> Option<(u64, u64)> {
    let promise = manager().filter(|storage| has(storage, "estimate"))?.estimate().ok()?;
    let estimate: StorageEstimate = JsFuture::from(promise).await.ok()?.unchecked_into();
    Some((estimate.get_usage()? as u64, estimate.get_quota()? as u64))
}

/// The storage manager exists only in workers and secure contexts.
fn manager() -> Option<StorageManager> {
    let scope: WorkerGlobalScope = js_sys::global().dyn_into().ok()?;
    let storage = scope.navigator().storage();
    storage.is_object().then_some(storage)
}

fn has(object: &JsValue, name: &str) -> bool {
    Reflect::has(object, &name.into()).unwrap_or(false)
}

fn creating() -> FileSystemGetDirectoryOptions {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    options
}

async fn handle<T: JsCast>(promise: Promise) -> Result<T, JsValue> {
    JsFuture::from(promise).await?.dyn_into()
}

/// The entries of a folder.
async fn entries(folder: &FileSystemDirectoryHandle) -> Result<Vec<FileSystemHandle>, JsValue> {
    let values = folder.values();
    let mut entries = Vec::new();
    loop {
        let next: IteratorNext = JsFuture::from(values.next()?).await?.unchecked_into();
        if next.done() {
            return Ok(entries);
        }
        entries.push(next.value().unchecked_into());
    }
}

fn is(error: &JsValue, name: &str) -> bool {
    error.dyn_ref::<js_sys::Error>().is_some_and(|error| error.name() == name)
}

fn reason(error: &JsValue) -> StorageError {
    let name = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.name())).unwrap_or_default();
    StorageError::Other(match &name[..] {
        "QuotaExceededError" => return StorageError::Full,
        "NoModificationAllowedError" | "InvalidStateError" | "NotReadableError" => {
            "another tab with this page may be using the kept models".into()
        }
        "NotAllowedError" | "SecurityError" => "the browser does not let this page keep files".into(),
        _ => format!("the browser cannot keep files: {}", picked::message(error)),
    })
}

//! Files that a visitor picked or dropped. They never leave the computer and are read by range, directly from disk.

use std::ops::Range;
use std::rc::Rc;

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use crate::error::{Error, Result};
use crate::source::file::{File, Listed, Pending, Source};

/// Largest piece read at once: it is briefly in the browser's memory and in WebAssembly memory at the same time.
const PIECE: u64 = 8 << 20;

/// Picked files as a folder. The path prefix common to all of them is stripped: `model/unet/config.json` becomes
/// `unet/config.json` if all files are in `model/`.
pub struct Picked {
    name: String,
    files: Vec<(String, web_sys::File)>,
}

impl Picked {
    /// `name` is used in messages. Each of `files` comes with its path (`webkitRelativePath` or similar, or its name).
    pub fn new(name: String, mut files: Vec<(String, web_sys::File)>) -> Self {
        for (path, _) in &mut files {
            let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            *path = parts.join("/");
        }
        let mut shared = files.first().and_then(|(path, _)| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
        while !files.iter().all(|(path, _)| inside(path, shared).is_some()) {
            shared = shared.rsplit_once('/').map_or("", |(folder, _)| folder);
        }
        let shared = shared.to_string();
        for (path, _) in &mut files {
            if let Some(rest) = inside(path, &shared) {
                *path = rest.to_string();
            }
        }
        Self { name, files }
    }
}

/// `path` relative to `folder`, if it is inside.
fn inside<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

impl Source for Picked {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>> {
        let listed = self.files.iter().map(|(path, file)| Listed { path: path.clone(), bytes: size(file) });
        let listed = listed.collect();
        Box::pin(async move { Ok(Some(listed)) })
    }

    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>> {
        let file = self.files.iter().find(|(there, _)| there == path).map(|(path, file)| {
            Rc::new(PickedFile { path: path.clone(), bytes: size(file), file: file.clone() }) as Rc<dyn File>
        });
        Box::pin(async move { Ok(file) })
    }
}

/// One of the picked files.
struct PickedFile {
    path: String,
    bytes: u64,
    file: web_sys::File,
}

impl File for PickedFile {
    fn name(&self) -> &str {
        &self.path
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            // Browsers record a file's size and time when it is picked, and refuse to read it once they differ.
            read(&self.file, span).await.map_err(|error| {
                Error::Changed(format!(
                    "{} cannot be read any more ({}): it was changed, moved or removed after it was picked; pick it again.",
                    self.path,
                    message(&error)
                ))
            })
        })
    }
}

/// A blob's size in bytes.
pub(crate) fn size(blob: &Blob) -> u64 {
    blob.size() as u64
}

/// The bytes of a range of a blob.
pub(crate) async fn read(blob: &Blob, span: Range<u64>) -> Result<Vec<u8>, JsValue> {
    let total = usize::try_from(span.end.saturating_sub(span.start)).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(total).map_err(|_| js_sys::Error::new("there is not enough memory"))?;
    let mut at = span.start;
    while at < span.end {
        let end = span.end.min(at.saturating_add(PIECE));
        let piece = blob.slice_with_f64_and_f64(at as f64, end as f64)?;
        let buffer: ArrayBuffer = JsFuture::from(piece.array_buffer()).await?.dyn_into()?;
        let piece = Uint8Array::new(&buffer);
        if u64::from(piece.length()) != end - at {
            return Err(js_sys::Error::new("it is shorter than it was").into());
        }
        let have = bytes.len();
        bytes.resize(have + piece.length() as usize, 0);
        piece.copy_to(&mut bytes[have..]);
        at = end;
    }
    Ok(bytes)
}

/// The message of a JavaScript error.
pub(crate) fn message(error: &JsValue) -> String {
    let text = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message())).unwrap_or_default();
    if text.is_empty() { "unknown reason".into() } else { text.trim_end_matches('.').to_string() }
}

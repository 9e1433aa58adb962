//! Files and folders on this computer.

use std::cell::RefCell;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::file::{File, Listed, Pending, Source};
use crate::error::{Error, Result};

/// A file on disk.
#[derive(Debug)]
pub struct LocalFile {
    name: String,
    bytes: u64,
    file: RefCell<std::fs::File>,
}

impl LocalFile {
    /// Opens the file at `path`, or returns `None` if there is none.
    ///
    /// # Errors
    /// Why an existing file cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let name = path.display().to_string();
        let opened = std::fs::File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, _)) if metadata.is_dir() => Ok(None),
            Ok((metadata, file)) => Ok(Some(Self { name, bytes: metadata.len(), file: RefCell::new(file) })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Model(format!("{name} cannot be read: {error}."))),
        }
    }
}

impl File for LocalFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let read = || {
                let mut file = self.file.borrow_mut();
                file.seek(SeekFrom::Start(span.start))?;
                let mut bytes = Vec::new();
                file.by_ref().take(span.end - span.start).read_to_end(&mut bytes)?;
                Ok(bytes)
            };
            let bytes: Vec<u8> = read()
                .map_err(|error: std::io::Error| Error::Model(format!("{} cannot be read: {error}.", self.name)))?;
            if bytes.len() as u64 != span.end - span.start {
                return Err(Error::Changed(format!("{} became shorter while it was being read.", self.name)));
            }
            Ok(bytes)
        })
    }
}

/// A folder on disk.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    name: String,
}

impl Folder {
    /// The folder at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { name: path.display().to_string(), path }
    }
}

impl Source for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>> {
        Box::pin(async move {
            let mut files = Vec::new();
            list_into(&self.path, "", 0, &mut files)
                .map_err(|error| Error::Model(format!("The folder {} cannot be read: {error}.", self.name)))?;
            files.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(Some(files))
        })
    }

    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>> {
        Box::pin(async move {
            let file = LocalFile::open(&self.path.join(path))?;
            Ok(file.map(|file| Rc::new(file) as Rc<dyn File>))
        })
    }
}

/// Lists three levels, the depth of a model folder.
fn list_into(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<Listed>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // Symbolic links are followed: the model folders of the Hub's own tools are full of them. Dangling links are
        // skipped.
        let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
        if metadata.is_file() {
            files.push(Listed { path, bytes: metadata.len() });
        } else if metadata.is_dir() && depth < 2 {
            list_into(&entry.path(), &format!("{path}/"), depth + 1, files)?;
        }
    }
    Ok(())
}

//! Where a model comes from: what a person names, as something that can be opened, and what it is kept under.

use std::rc::Rc;

use super::opened::Checkpoint;
use crate::config::Prediction;
use crate::error::{Error, Result};
use crate::format::compact::WeightType;
use crate::source::file::{File, Pending, Source};
use crate::source::http::Web;
use crate::source::http::folder::UrlFolder;
use crate::source::http::remote::Remote;
use crate::source::hub::{ENDPOINT, HubRepo, Reference, is_weights};
use crate::store::cache::{Cache, ModelKey};

/// Opens a model's files.
pub type Opener = Box<dyn Fn() -> Pending<'static, Result<Checkpoint>>>;

/// A model that can be loaded.
pub struct Origin {
    /// Opens the files; the first thing that sends a request.
    pub open: Opener,
    /// The cache, and what the model is kept under there. None for files that are on this disk anyway.
    pub keep: Option<(Cache, ModelKey)>,
}

/// The files of a split GGUF file of which one is named (`name-00002-of-00006.gguf`), or just that one.
pub fn parts_of(path: &str) -> Vec<String> {
    let split = || {
        let stem = path.strip_suffix(".gguf")?;
        let (stem, count) = stem.rsplit_once("-of-")?;
        let (stem, number) = stem.rsplit_once('-')?;
        let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        let of: usize = Some(count).filter(|count| is_number(count) && is_number(number))?.parse().ok()?;
        (1..=9999).contains(&of).then(|| (1..=of).map(|i| format!("{stem}-{i:05}-of-{count}.gguf")).collect())
    };
    split().unwrap_or_else(|| vec![path.to_string()])
}

/// A folder: the model in it, or the file at `path` in it.
pub fn open_source(source: Rc<dyn Source>, path: Option<String>, prediction: Option<Prediction>) -> Opener {
    Box::new(move || {
        let (source, path) = (source.clone(), path.clone());
        Box::pin(async move {
            match path {
                Some(path) => Checkpoint::open_files(&*source, &parts_of(&path), prediction).await,
                None => Checkpoint::open(&*source, prediction).await,
            }
        })
    })
}

impl Origin {
    /// A model somewhere else. `endpoint` is the Hub's address. What a person says of the prediction type belongs to the
    /// loading, not here: it must not be kept with the files.
    pub fn remote(reference: Reference, web: &Web, endpoint: &str, weights: WeightType, cache: Option<Cache>) -> Self {
        let key = |origin: &str, revision: &str, file: &str| ModelKey {
            origin: origin.into(),
            revision: revision.into(),
            file: file.into(),
            weights,
        };
        let (open, key) = match reference {
            Reference::Hub { repo, revision, path } => {
                // What a mirror serves under a repository's name is not what the Hub does.
                let place = if endpoint == ENDPOINT { repo.clone() } else { format!("{endpoint}/{repo}") };
                let key = key(&place, &revision, path.as_deref().unwrap_or_default());
                let (folder, file) = match path {
                    Some(path) if is_weights(&path) => (String::new(), Some(path)),
                    Some(path) => (path, None),
                    None => (String::new(), None),
                };
                let source = HubRepo::new(web, endpoint, &repo, &revision, &folder);
                (open_source(Rc::new(source), file, None), key)
            }
            Reference::Folder(url) => {
                let key = key(&url, "", "");
                (open_source(Rc::new(UrlFolder::new(web, &url)), None, None), key)
            }
            Reference::File(url) => {
                let key = key(&url, "", "");
                (open_urls(url, web.clone()), key)
            }
        };
        Self { open, keep: cache.map(|cache| (cache, key)) }
    }

    /// A model that is one file.
    pub fn of_file(file: Rc<dyn File>, prediction: Option<Prediction>) -> Self {
        let open: Opener = Box::new(move || {
            let file = file.clone();
            Box::pin(async move { Checkpoint::of_files(vec![file], prediction).await })
        });
        Self { open, keep: None }
    }

    /// A model folder or a file on this computer.
    ///
    /// # Errors
    /// Says so where there is nothing at `path`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn local(path: &std::path::Path, prediction: Option<Prediction>) -> Result<Self> {
        use crate::source::local::Folder;
        let missing =
            || Error::Model(format!("There is nothing at {}; name a model's folder or file.", path.display()));
        let metadata = std::fs::metadata(path).map_err(|_| missing())?;
        let open = if metadata.is_dir() {
            open_source(Rc::new(Folder::new(path)), None, prediction)
        } else {
            let name = path.file_name().ok_or_else(missing)?.to_string_lossy().into_owned();
            let folder = path.parent().unwrap_or_else(|| std::path::Path::new(""));
            open_source(Rc::new(Folder::new(folder)), Some(name), prediction)
        };
        Ok(Self { open, keep: None })
    }
}

/// A file at an address, with its other parts if it is one of several.
fn open_urls(url: String, web: Web) -> Opener {
    Box::new(move || {
        let (url, web) = (url.clone(), web.clone());
        Box::pin(async move {
            let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
            let mut files = Vec::new();
            for part in parts_of(path) {
                let name = part.rsplit('/').next().unwrap_or(&part);
                let missing = || Error::Model(format!("There is no file at {part}; check the address."));
                let file = Remote::open(&web, &format!("{part}{query}"), name).await?.ok_or_else(missing)?;
                files.push(Rc::new(file) as Rc<dyn File>);
            }
            Checkpoint::of_files(files, None).await
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_names_all() {
        assert_eq!(
            parts_of("a/b.q4.styleid-00002-of-00003.gguf"),
            [
                "a/b.q4.styleid-00001-of-00003.gguf",
                "a/b.q4.styleid-00002-of-00003.gguf",
                "a/b.q4.styleid-00003-of-00003.gguf"
            ]
        );
        for whole in ["a.gguf", "a-1-of-2.gguf", "a-00001-of-00000.gguf", "a-00001-of-00002.safetensors"] {
            assert_eq!(parts_of(whole), [whole]);
        }
    }
}

//! The origin of a model: what the user named, as something that can be opened, and its cache key.

use std::rc::Rc;

use super::opened::Checkpoint;
use super::parts::Parts;
use super::single::files;
use crate::config::Prediction;
use crate::error::{Error, Result};
use crate::format::compact::WeightType;
use crate::source::file::{File, Pending, Source};
use crate::source::http::Web;
use crate::source::http::folder::UrlFolder;
use crate::source::http::remote::{Looked, Remote};
use crate::source::hub::{HubRepo, Reference, is_weights};
use crate::store::cache::{Cache, ModelKey};

/// Opens a model's files.
pub type Opener = Box<dyn Fn() -> Pending<'static, Result<Checkpoint>>>;

/// Opens whatever parts of a model there are, such as a VAE alone.
pub type PartsOpener = Box<dyn Fn() -> Pending<'static, Result<Parts>>>;

/// A model that can be loaded.
pub struct Origin {
    /// Opens the files. No request is sent before that.
    pub open: Opener,
    /// Opens the same files, which need not be a whole model.
    pub parts: PartsOpener,
    /// The cache, and the model's key in it. `None` for files that are on this disk anyway.
    pub keep: Option<(Cache, ModelKey)>,
}

/// All files of the split GGUF file that `path` belongs to (`name-00002-of-00006.gguf`), or just `path`.
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

/// Where the files are.
#[derive(Clone)]
enum Place {
    /// In a folder: all of it, or one file.
    Source(Rc<dyn Source>, Option<String>),
    /// At an address with the extension of a weights file.
    Files(String, Web),
    /// At any other address.
    Address(String, Web),
    /// An opened file.
    File(Rc<dyn File>),
}

/// The files or the folder to open.
enum Found {
    Files(Vec<Rc<dyn File>>),
    Folder(Rc<dyn Source>),
}

impl Place {
    async fn find(&self) -> Result<Found> {
        match self {
            Self::Source(source, None) => Ok(Found::Folder(source.clone())),
            Self::Source(source, Some(path)) => Ok(Found::Files(files(&**source, &parts_of(path)).await?)),
            Self::File(file) => Ok(Found::Files(vec![file.clone()])),
            Self::Files(url, web) => find_urls(url, web).await,
            Self::Address(url, web) => find_address(url, web).await,
        }
    }

    async fn model(self, prediction: Option<Prediction>) -> Result<Checkpoint> {
        match self.find().await? {
            Found::Files(files) => Checkpoint::of_files(files, prediction).await,
            Found::Folder(source) => Checkpoint::open(&*source, prediction).await,
        }
    }

    async fn parts(self) -> Result<Parts> {
        match self.find().await? {
            Found::Files(files) => Parts::of_files(files).await,
            Found::Folder(source) => Parts::open(&*source).await,
        }
    }
}

impl Origin {
    fn at(place: Place, prediction: Option<Prediction>, keep: Option<(Cache, ModelKey)>) -> Self {
        let again = place.clone();
        Self {
            open: Box::new(move || Box::pin(place.clone().model(prediction))),
            parts: Box::new(move || Box::pin(again.clone().parts())),
            keep,
        }
    }

    /// The model in a folder, or the file at `path` in it.
    pub fn of_source(
        source: Rc<dyn Source>,
        path: Option<String>,
        prediction: Option<Prediction>,
        keep: Option<(Cache, ModelKey)>,
    ) -> Self {
        Self::at(Place::Source(source, path), prediction, keep)
    }

    /// This model with the VAE of `other`, which is a VAE or a whole model. This model may lack a VAE. `prediction`
    /// overrides the prediction type in the files, unless the model is cached.
    #[must_use]
    pub fn with_vae(self, other: Self, prediction: Option<Prediction>) -> Self {
        self.with(other, ModelKey::with_vae, prediction, |own, other| own.with_vae(&other))
    }

    /// The UNet of these files, with missing parts from `rest`, a model or parts of one. `prediction` is as in
    /// [`Origin::with_vae`].
    #[must_use]
    pub fn with_rest(self, rest: Self, prediction: Option<Prediction>) -> Self {
        self.with(rest, ModelKey::with_rest, prediction, |own, rest| own.filled(&rest))
    }

    /// Combines both. The result is cached under a key made from both keys, if both have one.
    fn with(
        self,
        other: Self,
        name: fn(ModelKey, &ModelKey) -> ModelKey,
        prediction: Option<Prediction>,
        join: fn(Parts, Parts) -> Result<Parts>,
    ) -> Self {
        let keep = match (self.keep, other.keep) {
            (Some((cache, key)), Some((_, beside))) => Some((cache, name(key, &beside))),
            _ => None,
        };
        // The user's prediction type must not be cached with the files; it is applied again when the model is loaded.
        let prediction = prediction.filter(|_| keep.is_none());
        let (own, other) = (Rc::new(self.parts), Rc::new(other.parts));
        let (own_again, other_again) = (own.clone(), other.clone());
        Self {
            open: Box::new(move || {
                let (own, other) = (own(), other());
                Box::pin(async move {
                    let checkpoint = join(own.await?, other.await?)?.whole(prediction)?;
                    checkpoint.parsed()?;
                    Ok(checkpoint)
                })
            }),
            parts: Box::new(move || {
                let (own, other) = (own_again(), other_again());
                Box::pin(async move { join(own.await?, other.await?) })
            }),
            keep,
        }
    }

    /// A remote model. `endpoint` is the Hub's address. The user's prediction type is applied at loading, not here, because
    /// it must not be cached with the files.
    pub fn remote(reference: Reference, web: &Web, endpoint: &str, weights: WeightType, cache: Option<Cache>) -> Self {
        let key = ModelKey::of_reference(&reference, endpoint, weights);
        let web = &web.clone().with_hub(endpoint);
        let place = match reference {
            Reference::Hub { repo, revision, path } => {
                let (folder, file) = match path {
                    Some(path) if is_weights(&path) => (String::new(), Some(path)),
                    Some(path) => (path, None),
                    None => (String::new(), None),
                };
                let source = HubRepo::new(web, endpoint, &repo, &revision, &folder);
                Place::Source(Rc::new(source), file)
            }
            Reference::Folder(url) => Place::Address(url, web.clone()),
            Reference::File(url) => Place::Files(url, web.clone()),
        };
        Self::at(place, None, cache.map(|cache| (cache, key)))
    }

    /// A model in a single file.
    pub fn of_file(file: Rc<dyn File>, prediction: Option<Prediction>) -> Self {
        Self::at(Place::File(file), prediction, None)
    }

    /// A model folder or a file on this computer.
    ///
    /// # Errors
    /// There is nothing at `path`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn local(path: &std::path::Path, prediction: Option<Prediction>) -> Result<Self> {
        use crate::source::local::Folder;
        let missing =
            || Error::Model(format!("There is nothing at {}; name a model's folder or file.", path.display()));
        let metadata = std::fs::metadata(path).map_err(|_| missing())?;
        if metadata.is_dir() {
            return Ok(Self::of_source(Rc::new(Folder::new(path)), None, prediction, None));
        }
        let name = path.file_name().ok_or_else(missing)?.to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or_else(|| std::path::Path::new(""));
        Ok(Self::of_source(Rc::new(Folder::new(folder)), Some(name), prediction, None))
    }
}

/// Finds what is at an address without a weights file's extension: a file, recognised by its first bytes, or a folder.
/// Download sites and signed links give the file's name only in their response.
async fn find_address(url: &str, web: &Web) -> Result<Found> {
    let folder = UrlFolder::new(web, url);
    if url.split('?').next().unwrap_or(url).ends_with('/') {
        return Ok(Found::Folder(Rc::new(folder)));
    }
    let nothing = match Remote::look(web, url, true).await {
        Ok(Looked::File(file)) => return Ok(Found::Files(vec![Rc::new(file)])),
        Ok(Looked::Nothing(sentence)) => Error::Model(sentence),
        // Many servers refuse to list a folder but serve its files.
        Err(error @ Error::Model(_)) => error,
        Err(error) => return Err(error),
    };
    match folder.open("unet/config.json").await {
        Ok(Some(_)) => Ok(Found::Folder(Rc::new(folder))),
        _ => Err(nothing),
    }
}

/// The file at an address, with its other parts if it is split.
async fn find_urls(url: &str, web: &Web) -> Result<Found> {
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let mut files = Vec::new();
    for part in parts_of(path) {
        match Remote::look(web, &format!("{part}{query}"), false).await? {
            Looked::File(file) => files.push(Rc::new(file) as Rc<dyn File>),
            Looked::Nothing(sentence) => return Err(Error::Model(sentence)),
        }
    }
    Ok(Found::Files(files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::hub::ENDPOINT;

    struct Nowhere;

    impl crate::source::http::Transport for Nowhere {
        fn send(
            &self,
            request: crate::source::http::HttpRequest,
        ) -> Pending<'_, Result<crate::source::http::HttpResponse, crate::source::http::Broken>> {
            panic!("{} is asked", request.url)
        }

        fn sleep(&self, _: std::time::Duration) -> Pending<'_, ()> {
            Box::pin(async {})
        }

        fn now(&self) -> f64 {
            0.0
        }
    }

    #[test]
    fn no_key_has_a_secret() {
        let web = Web::new(Rc::new(Nowhere), Rc::new(|_: &str| {}));
        let cache = || Cache::new(Rc::new(crate::store::cache::memory::MemoryStorage::default()));
        for (address, expected) in [
            ("https://h/api/download/models/12?type=Model&token=SECRET", "https://h/api/download/models/12?type=Model"),
            ("https://me:SECRET@h/m/x.gguf?X-Amz-Signature=SECRET#SECRET", "https://h/m/x.gguf"),
            ("https://h/models/sd15/?sig=SECRET", "https://h/models/sd15/"),
        ] {
            let reference = Reference::parse(address).expect("an address");
            let origin = Origin::remote(reference, &web, ENDPOINT, WeightType::Q8, Some(cache()));
            assert_eq!(origin.keep.expect("a cache").1.origin, expected);
        }
    }

    #[test]
    fn what_is_kept_of_two_models_has_both_names_and_no_persons_word() {
        use serde_json::json;

        use super::super::names::Part;
        use super::super::testing::{Holes, configs, renamed, tensors};
        use pollster::block_on;

        let configs = configs(false);
        let file =
            |part: &str| Holes::file(&format!("{part}x"), &renamed(tensors(&configs, part), part, ""), json!({}));
        let whole = ["unet.", "vae.", "text_encoder."].map(|part| tensors(&configs, part)).concat();
        let whole = Holes::file("whole", &whole, json!({}));
        let storage = Rc::new(crate::store::cache::memory::MemoryStorage::default());
        let origin = |name: &str, file: &Rc<dyn File>, is_kept: bool| {
            let key = ModelKey::of_picked(name, &[], WeightType::Q8);
            let keep = is_kept.then(|| (Cache::new(storage.clone()), key));
            Origin::at(Place::File(file.clone()), None, keep)
        };
        let said = Some(Prediction::VPrediction);
        for is_kept in [true, false] {
            let unet = || origin("u", &file("unet."), is_kept);
            let rest = || origin("w", &whole, true);
            let both = unet().with_rest(rest(), said).with_vae(origin("v", &file("vae."), true), said);
            let opened = block_on((both.open)()).expect("they fit");
            opened.check().expect("all is there");
            assert_eq!(opened.prediction_by == "you say so", !is_kept, "{}", opened.prediction_by);
            let kept = both.keep.map(|(_, key)| key.origin);
            assert_eq!(kept.as_deref(), is_kept.then_some("u + rest of w + VAE of v"));
            assert_eq!(opened.taken.get(&Part::Vae).map(String::as_str), Some("vae.x"));
            assert_eq!(opened.taken.get(&Part::Text).map(String::as_str), Some("whole"));
        }
    }

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

//! Which model a command runs: the arguments that name it, and how they are resolved.

use std::path::Path;
use std::rc::Rc;

use clap::ValueEnum;
use indicatif::HumanBytes;
use serde::Deserialize;
use styleid::weights::config::Prediction;
use styleid::weights::source::embedded::Embedded;
use styleid::weights::source::http::address::shown;
use styleid::weights::source::http::{UrlFolder, Web, native::Native};
use styleid::weights::source::hub::{ENDPOINT, HubRepo, Reference, Token};
use styleid::weights::source::local::Folder;
use styleid::weights::store::cache::Cache;
use styleid::weights::store::cache::disk::Disk;
use styleid::weights::{Origin, Source, WeightType};
use styleid::{Error, Result};

/// The models that the page and the command line offer.
const CATALOGUE: &str = include_str!("../../../www/models.json");

/// The small model that is part of the program: it needs no network.
pub const DEFAULT_MODEL: &str = "demo";

/// Its pack.
const DEMO: Embedded =
    Embedded { name: "the demonstration model", bytes: include_bytes!("../../demo/demo.styleid.gguf") };

/// A model of the catalogue.
#[derive(Debug, Deserialize)]
pub struct Known {
    /// Its name on the command line.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Repository and file on the Hub; models that come with the page have none.
    pub source: Option<String>,
    /// Bytes that loading it fetches.
    pub bytes: u64,
    /// The terms of its weights.
    pub licence: String,
    /// What its UNet predicts.
    pub prediction: Prediction,
}

/// The models of the catalogue that this program has: the demonstration model and those on the Hub.
///
/// # Errors
/// Says that the catalogue cannot be read, which would be a fault of this program.
pub fn catalogue() -> Result<Vec<Known>> {
    let known: Vec<Known> = serde_json::from_str(CATALOGUE)
        .map_err(|error| Error::Model(format!("The list of models cannot be understood: {error}.")))?;
    Ok(known.into_iter().filter(|known| known.source.is_some() || known.id == DEFAULT_MODEL).collect())
}

/// Arguments that name a model.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArgs {
    /// A model's folder or file, owner/repo[@revision][/file] on the Hugging Face Hub, a URL, or an id that
    /// `styleid models` lists.
    #[arg(long, value_name = "MODEL", default_value = DEFAULT_MODEL)]
    pub model: String,
    /// Version of Stable Diffusion, as the authors' Python program has it: the catalogue's model of that version.
    #[arg(long, alias = "sd_version", value_enum, value_name = "VERSION", conflicts_with = "model")]
    pub sd_version: Option<SdVersion>,
    /// A VAE of your own in place of the model's, or for a model without one: a folder or a file, or what --model takes.
    #[arg(long, value_name = "VAE")]
    pub vae: Option<String>,
    /// Where the parts come from that the model lacks, as a UNet alone lacks VAE and text encoder: whatever --model takes,
    /// or a text encoder alone.
    #[arg(long, value_name = "MODEL")]
    pub rest: Option<String>,
    /// What the UNet predicts, where neither a config nor the file's name says it.
    #[arg(long, value_enum)]
    pub prediction: Option<PredictionChoice>,
    /// Address of a mirror of the Hugging Face Hub, in place of the one in HF_ENDPOINT.
    #[arg(long, value_name = "ADDRESS", value_parser = mirror)]
    pub hub: Option<String>,
}

fn mirror(text: &str) -> Result<String, String> {
    let is_address = ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if is_address { Ok(text.into()) } else { Err("a mirror's address begins with https:// or http://".into()) }
}

/// The versions that the authors' Python program offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SdVersion {
    #[value(name = "1.5")]
    V15,
    #[value(name = "2.0")]
    V20,
    #[value(name = "2.1-base")]
    V21Base,
    #[value(name = "2.1")]
    V21,
}

impl SdVersion {
    /// Its id in the catalogue.
    const fn id(self) -> &'static str {
        match self {
            Self::V15 => "sd15",
            Self::V20 => "sd20-base",
            Self::V21Base => "sd21-base",
            Self::V21 => "sd21-768",
        }
    }
}

/// Arguments that say how its weights are kept.
#[derive(Debug, Clone, clap::Args)]
pub struct KeepArgs {
    /// What weights are kept as, in memory and on disk: exact is the file's own values.
    #[arg(long, value_enum, default_value_t = WeightChoice::Exact)]
    pub weights: WeightChoice,
    /// Neither read nor write the cache of models that came over the network.
    #[arg(long)]
    pub no_cache: bool,
}

/// What weights are kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightChoice {
    Exact,
    F32,
    F16,
    Q8,
    Q4,
}

impl From<WeightChoice> for WeightType {
    fn from(choice: WeightChoice) -> Self {
        match choice {
            WeightChoice::Exact => Self::Exact,
            WeightChoice::F32 => Self::F32,
            WeightChoice::F16 => Self::F16,
            WeightChoice::Q8 => Self::Q8,
            WeightChoice::Q4 => Self::Q4,
        }
    }
}

/// What a UNet predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictionChoice {
    /// ε, the noise.
    Epsilon,
    /// v, the velocity.
    #[value(name = "v_prediction", alias = "v-prediction", alias = "v")]
    VPrediction,
}

impl From<PredictionChoice> for Prediction {
    fn from(choice: PredictionChoice) -> Self {
        match choice {
            PredictionChoice::Epsilon => Self::Epsilon,
            PredictionChoice::VPrediction => Self::VPrediction,
        }
    }
}

/// This user's cache, if the environment has a place for it.
pub fn cache() -> Option<Cache> {
    Disk::of_this_user().map(|disk| Cache::new(Rc::new(disk)))
}

impl ModelArgs {
    /// What names the model.
    pub fn named(&self) -> &str {
        match self.sd_version {
            Some(version) => version.id(),
            None => &self.model,
        }
    }

    /// The requested prediction type, or the catalogue's.
    pub fn prediction(&self) -> Option<Prediction> {
        let known = || {
            let known = catalogue().ok()?.into_iter().find(|known| known.id == self.named());
            known.filter(|_| !Path::new(self.named()).exists()).map(|known| known.prediction)
        };
        self.prediction.map(Into::into).or_else(known)
    }

    /// What `--model` names, with the VAE or the other parts that were asked for.
    ///
    /// # Errors
    /// Says how to name a model if this names none.
    pub fn origin(&self, weights: WeightType, with_cache: bool) -> Result<Origin> {
        let mut origin = self.origin_of(self.named(), weights, with_cache)?;
        if let Some(rest) = &self.rest {
            origin = origin.with_rest(self.origin_of(rest, weights, with_cache)?, self.prediction());
        }
        if let Some(vae) = &self.vae {
            origin = origin.with_vae(self.origin_of(vae, weights, with_cache)?, self.prediction());
        }
        Ok(origin)
    }

    /// What `name` names: a path that is there, then an id of the catalogue, then anything on the Hub or the web.
    fn origin_of(&self, name: &str, weights: WeightType, with_cache: bool) -> Result<Origin> {
        let path = Path::new(name);
        if path.exists() {
            return Ok(Origin::local(path, self.prediction())?);
        }
        if name == DEFAULT_MODEL {
            return Ok(Origin::of_file(Rc::new(DEMO), self.prediction()));
        }
        if let Some(known) = known(name)? {
            eprintln!("{}: {} to fetch once, licence {}", known.name, HumanBytes(known.bytes), known.licence);
        }
        let cache = with_cache.then(cache).flatten();
        Ok(Origin::remote(reference(name)?, &web(), &self.endpoint(), weights, cache))
    }

    /// The Hub's address, or that of a mirror.
    pub fn endpoint(&self) -> String {
        let named = || std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        let endpoint = self.hub.clone().or_else(named).unwrap_or_else(|| ENDPOINT.into());
        endpoint.trim_end_matches('/').to_string()
    }

    /// The folder or the repository that `name` names, or that has the file that it names: where files beside a model's own
    /// are found. None where what else lies beside it need not belong to it.
    ///
    /// # Errors
    /// Says how to name a model if this names none.
    pub fn source_of(&self, name: &str) -> Result<Option<Rc<dyn Source>>> {
        let path = Path::new(name);
        if path.exists() {
            return Ok(path.is_dir().then(|| Rc::new(Folder::new(path)) as Rc<dyn Source>));
        }
        Ok(match reference(name)? {
            Reference::Hub { repo, revision, .. } => {
                Some(Rc::new(HubRepo::new(&web(), &self.endpoint(), &repo, &revision, "")))
            }
            Reference::Folder(url) if url.ends_with('/') => Some(Rc::new(UrlFolder::new(&web(), &url))),
            Reference::Folder(_) | Reference::File(_) => None,
        })
    }

    /// The source that a pack names.
    pub fn published_name(&self) -> String {
        published(self.named())
    }
}

/// What a model is called where others read it: what is on this disk without its folders, and an address without its query,
/// where secrets may stand.
pub fn published(named: &str) -> String {
    let path = Path::new(named);
    let local = path.exists().then(|| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    local.unwrap_or_else(|| shown(named))
}

/// The model of the catalogue with that id.
///
/// # Errors
/// As [`catalogue`].
pub fn known(id: &str) -> Result<Option<Known>> {
    Ok(catalogue()?.into_iter().find(|known| known.id == id))
}

/// What the network is asked with.
pub fn web() -> Web {
    Web::new(Rc::new(Native::new()), Rc::new(|notice: &str| eprintln!("{notice}"))).with_token(Token::find())
}

/// An id of the catalogue, or anything on the Hub or the web.
pub fn reference(name: &str) -> Result<Reference> {
    let named = known(name)?.and_then(|known| known.source).unwrap_or_else(|| name.to_string());
    let looks_like_path = named.starts_with(['.', '/', '~', '\\']) || !named.contains('/');
    if looks_like_path {
        let message = format!("There is nothing at {named}, and no model of that name: `styleid models` lists them.");
        return Err(Error::Model(message));
    }
    Ok(Reference::parse(&named)?)
}

//! Results that are there already, and how they say that they were made.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use styleid::styleid::{Caption, CaptionStyle};
use styleid::weights::WeightType;
use styleid::{Error, Params, Result};

use crate::cli::engine::read_file;

/// How `eval` uses its one style.
pub fn style() -> Vec<CaptionStyle> {
    vec![CaptionStyle { weight: 1.0, crop: None, masked: false }]
}

/// What the results of a setting that are there say of how they were made.
#[derive(Debug, Default)]
pub struct Reused {
    /// The first that says something, and what.
    first: Option<(PathBuf, Map<String, Value>)>,
    /// Whether one of them says nothing: it was made elsewhere.
    has_foreign: bool,
}

impl Reused {
    /// Of the `files`, which are to be such as `params` and a model kept as `weights` give.
    ///
    /// # Errors
    /// One sentence: one was made otherwise, or with another model than the first.
    pub fn read(files: impl Iterator<Item = PathBuf>, params: &Params, weights: WeightType) -> Result<Self> {
        let mut wanted = fields(&serde_json::json!({"weights": weights, "crop": null, "styles": style()}));
        wanted.extend(options(params));
        let mut reused = Self::default();
        for path in files {
            let Some(said) = Caption::of_file(&read_file(&path)?) else {
                reused.has_foreign = true;
                continue;
            };
            let made = told(&said);
            same(&path, &made, &wanted, wanted.keys())?;
            match &reused.first {
                // Before a model is loaded nothing else is known about it.
                Some((_, first)) => same(&path, &made, first, first.keys().chain(made.keys()))?,
                None => reused.first = Some((path, made)),
            }
        }
        Ok(reused)
    }

    /// Makes sure that what is to be made with `caption` goes with what is there.
    ///
    /// # Errors
    /// One sentence says what differs.
    pub fn fits(&self, caption: &Caption) -> Result<()> {
        let Some((first, made)) = &self.first else { return Ok(()) };
        let wanted = told(&in_words(caption));
        same(first, made, &wanted, wanted.keys().chain(made.keys()))
    }

    /// Whether all results of the setting are known to have been made with it.
    pub fn is_known(&self) -> bool {
        !self.has_foreign
    }
}

/// Fails where what a result was made with is not what was wanted.
fn same<'a>(
    path: &Path,
    made: &Map<String, Value>,
    wanted: &Map<String, Value>,
    mut keys: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let of = |fields: &Map<String, Value>, key: &str| fields.get(key).cloned().unwrap_or_default();
    let Some(key) = keys.find(|key| of(made, key) != of(wanted, key)) else { return Ok(()) };
    Err(Error::Settings(format!(
        "{} was made with {key} {}, not {}: name another folder with --results, or take --measure-only to measure what is \
         there.",
        path.display(),
        of(made, key),
        of(wanted, key)
    )))
}

/// All that a caption says of how a result was made, on one level. What its settings leave out has its default, as in results of
/// versions that had fewer; settings that nobody knows here stay as they are.
fn told(said: &Value) -> Map<String, Value> {
    let mut all = fields(said);
    all.remove("version");
    let own = all.remove("options").unwrap_or_default();
    all.extend(serde_json::from_value(own.clone()).map_or_else(|_| fields(&own), |params: Params| options(&params)));
    all
}

fn options(params: &Params) -> Map<String, Value> {
    fields(&in_words(params))
}

fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// As it is written: by way of a `Value` alone an f32 of 0.6 would become 0.6000000238418579.
fn in_words(value: &impl Serialize) -> Value {
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

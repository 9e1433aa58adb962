//! The origin of a model, from its options and the files that a visitor picked.

use std::rc::Rc;

use js_sys::{Array, Reflect};
use wasm_bindgen::prelude::*;

use crate::messages::ModelOptions;
use crate::weights::Origin;
use crate::weights::source::http::Web;
use crate::weights::source::http::browser::Fetch;
use crate::weights::source::hub::{ENDPOINT, Reference};
use crate::weights::source::picked::Picked;
use crate::weights::store::{Cache, ModelKey};
use crate::{Error, Result};

/// A picked file.
struct Chosen {
    path: String,
    file: web_sys::File,
    /// `vae` or `rest`; `None` for a file of the model itself.
    part: Option<String>,
}

/// The origin of the requested model. Parts that it lacks come from `rest`, if that is given, and then its VAE from
/// `vae`.
///
/// # Errors
/// A name in the options is not a reference, or `files` cannot be read as files.
pub(super) fn of(
    options: &ModelOptions,
    files: &JsValue,
    notices: Rc<dyn Fn(&str)>,
    cache: Option<Cache>,
) -> Result<Origin> {
    let chosen = chosen(files)?;
    let web = Web::new(Rc::new(Fetch::new()?), notices);
    let hub = options.hub.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/');
    let of_part = |part: Option<&str>, named: &Option<String>| -> Result<Origin> {
        let files: Vec<&Chosen> = chosen.iter().filter(|chosen| chosen.part.as_deref() == part).collect();
        if !files.is_empty() {
            let name = named.as_deref().unwrap_or("Your files");
            return Ok(of_picked(name, &files, options, cache.clone()));
        }
        let reference = Reference::parse(named.as_deref().unwrap_or_default())?;
        Ok(Origin::remote(reference, &web, hub, options.weights, cache.clone()))
    };
    let is_asked = |part: &str, named: &Option<String>| {
        named.is_some() || chosen.iter().any(|chosen| chosen.part.as_deref() == Some(part))
    };
    let mut origin = of_part(None, &options.source)?;
    // The prediction type is given when the model is loaded, so that it applies to a kept model too.
    if is_asked("rest", &options.rest) {
        origin = origin.with_rest(of_part(Some("rest"), &options.rest)?, None);
    }
    if is_asked("vae", &options.vae) {
        origin = origin.with_vae(of_part(Some("vae"), &options.vae)?, None);
    }
    Ok(origin)
}

/// Reads an array of `{path, file, part}`.
fn chosen(files: &JsValue) -> Result<Vec<Chosen>> {
    let Some(files) = files.dyn_ref::<Array>() else { return Ok(Vec::new()) };
    let unknown = || Error::Model("What was dropped cannot be read as files; drop a model's file or folder.".into());
    let one = |entry: JsValue| -> Result<Chosen> {
        let field = |name: &str| Reflect::get(&entry, &name.into()).ok();
        let path = field("path").and_then(|path| path.as_string()).ok_or_else(unknown)?;
        let file = field("file").and_then(|file| file.dyn_into().ok()).ok_or_else(unknown)?;
        Ok(Chosen { path, file, part: field("part").and_then(|part| part.as_string()) })
    };
    files.iter().map(one).collect()
}

/// The origin of a model in picked files. It is kept like any other model, so that they need not be picked again.
fn of_picked(name: &str, files: &[&Chosen], options: &ModelOptions, cache: Option<Cache>) -> Origin {
    let marks: Vec<_> =
        files.iter().map(|Chosen { path, file, .. }| (&path[..], file.size(), file.last_modified())).collect();
    let key = ModelKey::of_picked(name, &marks, options.weights);
    let files = files.iter().map(|Chosen { path, file, .. }| (path.clone(), file.clone())).collect();
    let source = Rc::new(Picked::new(name.into(), files));
    Origin::of_source(source, None, None, cache.map(|cache| (cache, key)))
}

//! Loading a model, and the models on the visitor's disk.

use std::rc::Rc;

use burn::tensor::Device;
use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;

use super::events::{self, notifier, object, reporter};
use super::{CANCELLED, Flight, SESSION, WEIGHTS, opened};
use crate::device::Precision;
use crate::memory::Memory;
use crate::messages::{KeptModel, KeptModels, ModelOptions};
use crate::model::{LoadOptions, ModelInfo, StableDiffusion};
use crate::platform::Here;
use crate::weights::checkpoint::origin::Origin;
use crate::weights::source::http::Web;
use crate::weights::source::http::browser::Fetch;
use crate::weights::source::hub::{ENDPOINT, Reference};
use crate::weights::source::picked;
use crate::weights::store::opfs;
use crate::weights::store::{Cache, ModelKey};
use crate::{Control, Error, Pipeline, Result, Session};

impl ModelOptions {
    fn memory(&self) -> Memory {
        // JavaScript's numbers hold every size that there is exactly, and the cast turns what is none into 0.
        let budget = self.gpu_bytes.map(|bytes| bytes as u64);
        Memory { budget, exact_features: self.exact_features, pairs: None }
    }
}

/// Loads a model in place of the one before, and describes it. `files` is an array of `{path, file}` that a visitor picked
/// or dropped, which are read instead of `options.source`. Events are `{phase: "load", step, steps}` in bytes and
/// `{notice}`, a sentence.
///
/// # Errors
/// `model`: a file is missing or damaged; `device`: no device was opened; `cancelled`.
#[wasm_bindgen(js_name = loadModel)]
pub async fn load_model(options: JsValue, files: JsValue, on_event: Function) -> Result<JsValue, JsValue> {
    let _flight = Flight::begin()?;
    let device = opened()?;
    let options: ModelOptions = events::options(options, "model's options")?;
    // The old model goes first: two would not fit everywhere.
    SESSION.set(None);
    device.memory_cleanup();
    let info = load(options, files, device, on_event).await?;
    Ok(object(&info)?)
}

async fn load(options: ModelOptions, files: JsValue, device: Device, on_event: Function) -> Result<ModelInfo> {
    let notices = notifier(on_event.clone());
    let report = reporter(on_event);
    let control = Control::new(&Here, &report, &|| CANCELLED.get()).with_notices(&*notices);
    let origin = origin(&options, files, notices.clone()).await?;
    let how = LoadOptions {
        precision: if options.half_precision { Precision::F16 } else { Precision::F32 },
        weights: options.weights,
        prediction: options.prediction,
        memory: options.memory(),
    };
    let model = StableDiffusion::load(&origin, device, how, &control).await?;
    let info = model.info.clone();
    WEIGHTS.set(options.weights);
    SESSION.set(Some(Session::new(Pipeline::new(model))));
    Ok(info)
}

async fn cache() -> Option<Cache> {
    opfs::Opfs::open().await.map(|storage| Cache::new(Rc::new(storage)))
}

async fn origin(options: &ModelOptions, files: JsValue, notices: Rc<dyn Fn(&str)>) -> Result<Origin> {
    let cache = cache().await;
    if let Some(files) = files.dyn_ref::<js_sys::Array>().filter(|files| files.length() > 0) {
        return picked_origin(files, options, cache);
    }
    let source = options.source.as_deref().unwrap_or_default();
    let reference = Reference::parse(source)?;
    let web = Web::new(Rc::new(Fetch::new()?), notices);
    let hub = options.hub.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/');
    Ok(Origin::remote(reference, &web, hub, options.weights, cache))
}

/// A model among picked files: kept like any other, so that they need not be picked again.
fn picked_origin(files: &js_sys::Array, options: &ModelOptions, cache: Option<Cache>) -> Result<Origin> {
    let unknown = || Error::Model("What was dropped cannot be read as files; drop a model's file or folder.".into());
    let mut picked = Vec::new();
    let mut marks = Vec::new();
    for entry in files.iter() {
        let path = Reflect::get(&entry, &"path".into()).ok().and_then(|path| path.as_string()).ok_or_else(unknown)?;
        let file: web_sys::File =
            Reflect::get(&entry, &"file".into()).ok().and_then(|file| file.dyn_into().ok()).ok_or_else(unknown)?;
        marks.push(format!("{path}:{}:{}", file.size(), file.last_modified()));
        picked.push((path, file));
    }
    marks.sort();
    let name = options.source.clone().unwrap_or_else(|| "Your files".into());
    let key =
        ModelKey { origin: name.clone(), revision: marks.join("|"), file: String::new(), weights: options.weights };
    let source = Rc::new(picked::Picked::new(name, picked));
    Ok(Origin::of_source(source, None, None, cache.map(|cache| (cache, key))))
}

/// The models that are kept on this visitor's disk: `[{folder, origin, revision, file, weights, bytes, complete}]`, and
/// what the browser says about room: `{models, usage, quota}`.
///
/// # Errors
/// None that a visitor could meet.
#[wasm_bindgen(js_name = listKept)]
pub async fn list_kept() -> Result<JsValue, JsValue> {
    let cache = cache().await;
    let listed = match &cache {
        Some(cache) => cache.list().await,
        None => Vec::new(),
    };
    let models = listed
        .into_iter()
        .map(|kept| KeptModel { folder: kept.folder, key: kept.key, bytes: kept.bytes, complete: kept.complete })
        .collect();
    let (usage, quota) = opfs::estimate().await.unzip();
    Ok(object(&KeptModels { models, usage, quota, available: cache.is_some() })?)
}

/// Removes a kept model by its folder, or all of them where `folder` is empty.
///
/// # Errors
/// `file`: it is in use, for instance by another tab.
#[wasm_bindgen(js_name = purgeKept)]
pub async fn purge_kept(folder: String) -> Result<(), JsValue> {
    let Some(cache) = cache().await else { return Ok(()) };
    if folder.is_empty() {
        cache.purge_all().await.map_err(Error::from)?
    } else {
        cache.purge(&folder).await.map_err(Error::from)?
    }
    Ok(())
}

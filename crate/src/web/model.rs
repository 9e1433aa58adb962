//! Loading a model, and the models on the visitor's disk.

use std::rc::Rc;

use burn::tensor::Device;
use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::events::{self, notifier, object, reporter};
use super::{CANCELLED, Flight, SESSION, WEIGHTS, explained, opened, origin};
use crate::device::Precision;
use crate::memory::Memory;
use crate::messages::{KeptModel, KeptModels, ModelOptions};
use crate::model::{LoadOptions, ModelInfo, StableDiffusion};
use crate::platform::Here;
use crate::weights::store::Cache;
use crate::weights::store::opfs;
use crate::{Control, Error, Pipeline, Result, Session};

/// Maximum bytes to fetch, without asking, to repair a kept model: about what a chunk of 8-bit weights takes in files
/// of 16-bit ones.
const REPAIR_BYTES: u64 = 64 << 20;

impl ModelOptions {
    fn memory(&self) -> Memory {
        // An f64 holds every possible size exactly, and the cast turns NaN and negative numbers into 0.
        let budget = self.gpu_bytes.map(|bytes| bytes as u64);
        Memory { budget, exact_features: self.exact_features, pairs: None }
    }
}

/// Loads a model in place of the previous one, and describes it. `files` is an array of `{path, file, part}` that a
/// visitor picked or dropped; they are read instead of what `options` names for that part. Events are
/// `{phase: "load", step, steps}` in bytes and `{notice}`, a sentence.
///
/// # Errors
/// `model`: a file is missing or damaged; `device`: no device was opened; `cancelled`.
#[wasm_bindgen(js_name = loadModel)]
pub async fn load_model(options: JsValue, files: JsValue, on_event: Function) -> Result<JsValue, JsValue> {
    let _flight = Flight::begin()?;
    let device = opened()?;
    let options: ModelOptions = events::options(options, "model's options")?;
    // The old model is freed first, because not every GPU has room for two.
    SESSION.set(None);
    device.memory_cleanup();
    let info = explained(load(options, files, device, on_event).await).await?;
    Ok(object(&info)?)
}

async fn load(options: ModelOptions, files: JsValue, device: Device, on_event: Function) -> Result<ModelInfo> {
    let notices = notifier(on_event.clone());
    let report = reporter(on_event);
    let control = Control::new(&Here, &report, &|| CANCELLED.get()).with_notices(&*notices);
    let origin = origin::of(&options, &files, notices.clone(), cache().await)?;
    let how = LoadOptions {
        precision: if options.half_precision { Precision::F16 } else { Precision::F32 },
        weights: options.weights,
        prediction: options.prediction,
        memory: options.memory(),
        repair: Some(REPAIR_BYTES),
        ..LoadOptions::default()
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

/// The folder in which the model of these options and files is kept, or would be. `None` if the browser gives no
/// storage.
///
/// # Errors
/// `model`: the options name no model.
#[wasm_bindgen(js_name = keptFolder)]
pub async fn kept_folder(options: JsValue, files: JsValue) -> Result<Option<String>, JsValue> {
    let options: ModelOptions = events::options(options, "model's options")?;
    let origin = origin::of(&options, &files, Rc::new(|_: &str| ()), cache().await)?;
    Ok(origin.keep.map(|(_, key)| key.folder()))
}

/// The models that are kept on this visitor's disk, with the browser's estimate of its storage:
/// `{models: [{folder, origin, revision, file, weights, bytes, complete}], usage, quota, available}`.
///
/// # Errors
/// `file`: the storage cannot be read.
#[wasm_bindgen(js_name = listKept)]
pub async fn list_kept() -> Result<JsValue, JsValue> {
    let cache = cache().await;
    let listed = match &cache {
        Some(cache) => cache.list().await.map_err(Error::from)?,
        None => Vec::new(),
    };
    let models = listed
        .into_iter()
        .map(|kept| KeptModel { folder: kept.folder, key: kept.key, bytes: kept.bytes, complete: kept.complete })
        .collect();
    let (usage, quota) = opfs::estimate().await.unzip();
    Ok(object(&KeptModels { models, usage, quota, available: cache.is_some() })?)
}

/// Removes a kept model by its folder, or all of them if `folder` is empty.
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

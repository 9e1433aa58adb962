//! The wasm surface: what the page's worker calls. Small and typed; options and events are plain objects.
//!
//! One device, one model and one run at a time, kept here between calls. Every failure is a JavaScript `Error` whose
//! `name` is its kind and whose `message` is one sentence.

pub mod adapter;
pub mod event_loop;
mod opfs;
mod picked;
mod transport;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use burn::tensor::Device;
use js_sys::{Function, Reflect};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use crate::device::{self, Adapter, Precision};
use crate::memory::{self, GpuBytes, Memory};
use crate::model::config::Prediction;
use crate::model::{LoadOptions, ModelInfo, StableDiffusion};
use crate::weights::WeightType;
use crate::weights::cache::{Cache, Key};
use crate::weights::http::Web;
use crate::weights::hub::{ENDPOINT, Reference};
use crate::weights::origin::{Origin, open_source};
use crate::{Control, Error, Params, Pipeline, Progress, Result, Session, Style, picture};

thread_local! {
    static DEVICE: RefCell<Option<(Device, Adapter)>> = const { RefCell::new(None) };
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
    static BUSY: Cell<bool> = const { Cell::new(false) };
    static CANCELLED: Cell<bool> = const { Cell::new(false) };
}

/// Hands a panic's text to `globalThis.styleidPanic` before the instance traps, so that the page can say a sentence.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        let message = JsValue::from_str(&info.to_string());
        let global = js_sys::global();
        if let Ok(hook) = Reflect::get(&global, &"styleidPanic".into())
            && let Some(hook) = hook.dyn_ref::<Function>()
        {
            // Nothing is left to tell if telling fails.
            let _ = hook.call1(&global, &message);
        }
    }));
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let js = js_sys::Error::new(&error.to_string());
        js.set_name(error.kind());
        js.into()
    }
}

/// Marks this instance busy for as long as it lives.
struct Flight;

impl Flight {
    fn begin() -> Result<Self> {
        if BUSY.replace(true) {
            return Err(Error::Settings("Something is still running here; cancel it or wait until it is done.".into()));
        }
        CANCELLED.set(false);
        Ok(Self)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

fn object(value: &impl Serialize) -> Result<JsValue> {
    // Plain objects and numbers, as JSON would have them: u64s would become BigInts otherwise.
    value
        .serialize(&serde_wasm_bindgen::Serializer::json_compatible())
        .map_err(|error| Error::Settings(format!("A value cannot be handed to the page ({error}).")))
}

fn reporter(on_event: Function) -> impl Fn(Progress) {
    move |progress| {
        if let Ok(event) = object(&progress) {
            // A listener that throws is the page's mistake; the run goes on.
            let _ = on_event.call1(&JsValue::NULL, &event);
        }
    }
}

/// Hands sentences to the page as events of their own.
fn notifier(on_event: Function) -> Rc<dyn Fn(&str)> {
    Rc::new(move |sentence| {
        let event = js_sys::Object::new();
        // Setting a field of a new object cannot fail.
        let _ = Reflect::set(&event, &"notice".into(), &sentence.into());
        let _ = on_event.call1(&JsValue::NULL, &event);
    })
}

/// Requests WebGPU and describes it: `{name, backend, software, shaderF16, maxBufferMiB}`. Later calls describe it again.
///
/// # Errors
/// `device`: there is no WebGPU here.
#[wasm_bindgen(js_name = openDevice)]
pub async fn open_device() -> Result<JsValue, JsValue> {
    let known = DEVICE.with_borrow(|device| device.as_ref().map(|(_, adapter)| adapter.clone()));
    let adapter = match known {
        Some(adapter) => adapter,
        None => {
            let _flight = Flight::begin()?;
            let (device, adapter) = device::gpu().await?;
            DEVICE.set(Some((device, adapter.clone())));
            adapter
        }
    };
    Ok(object(&adapter)?)
}

/// Which model to load, and how.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ModelOptions {
    /// A repository of the Hub, or an address; none where files are given.
    source: Option<String>,
    /// What the weights are kept as.
    weights: WeightType,
    /// What the UNet predicts, where the files do not say.
    prediction: Option<Prediction>,
    /// Another address for the Hub, such as a mirror's.
    hub: Option<String>,
    /// Bytes that a run may take on the GPU.
    gpu_bytes: Option<f64>,
    /// Whether attention features are kept exactly.
    #[serde(default)]
    exact_features: bool,
}

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
    let device = DEVICE
        .with_borrow(|device| device.as_ref().map(|(device, _)| device.clone()))
        .ok_or_else(|| Error::Device("No device has been opened yet.".into()))?;
    let options: ModelOptions = serde_wasm_bindgen::from_value(options)
        .map_err(|error| Error::Settings(format!("The model's options cannot be understood: {error}.")))?;
    // The old model goes first: two would not fit everywhere.
    SESSION.set(None);
    device.memory_cleanup();
    let info = load(options, files, device, on_event).await?;
    Ok(object(&info)?)
}

async fn load(options: ModelOptions, files: JsValue, device: Device, on_event: Function) -> Result<ModelInfo> {
    let notices = notifier(on_event.clone());
    let report = reporter(on_event);
    let control = Control::new(&report, &|| CANCELLED.get()).with_notices(&*notices);
    let origin = origin(&options, files, notices.clone()).await?;
    let how = LoadOptions {
        precision: Precision::F32,
        weights: options.weights,
        prediction: options.prediction,
        memory: options.memory(),
    };
    let model = StableDiffusion::load(&origin, device, how, &control).await?;
    let info = model.info.clone();
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
    let web = Web::new(Rc::new(transport::Fetch::new()?), notices);
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
    let key = Key { origin: name.clone(), revision: marks.join("|"), file: String::new(), weights: options.weights };
    let open = open_source(Rc::new(picked::Picked::new(name, picked)), None, None);
    Ok(Origin { open, keep: cache.map(|cache| (cache, key)) })
}

/// The models that are kept on this visitor's disk: `[{folder, origin, revision, file, weights, bytes, complete}]`, and
/// what the browser says about room: `{models, usage, quota}`.
///
/// # Errors
/// None that a visitor could meet.
#[wasm_bindgen(js_name = listKept)]
pub async fn list_kept() -> Result<JsValue, JsValue> {
    #[derive(Serialize)]
    struct Kept {
        folder: String,
        #[serde(flatten)]
        key: Option<Key>,
        bytes: u64,
        complete: bool,
    }
    #[derive(Serialize)]
    struct Room {
        models: Vec<Kept>,
        usage: Option<u64>,
        quota: Option<u64>,
        available: bool,
    }
    let cache = cache().await;
    let listed = match &cache {
        Some(cache) => cache.list().await,
        None => Vec::new(),
    };
    let models = listed
        .into_iter()
        .map(|kept| Kept { folder: kept.folder, key: kept.key, bytes: kept.bytes, complete: kept.complete })
        .collect();
    let (usage, quota) = opfs::estimate().await.unzip();
    Ok(object(&Room { models, usage, quota, available: cache.is_some() })?)
}

/// Removes a kept model by its folder, or all of them where `folder` is empty.
///
/// # Errors
/// `file`: it is in use, for instance by another tab.
#[wasm_bindgen(js_name = purgeKept)]
pub async fn purge_kept(folder: String) -> Result<(), JsValue> {
    let Some(cache) = cache().await else { return Ok(()) };
    if folder.is_empty() {
        cache.purge_all().await?
    } else {
        cache.purge(&folder).await?
    }
    Ok(())
}

/// Bytes that this instance's memory has grown to. It never shrinks, so this is its peak.
#[wasm_bindgen(js_name = memoryBytes)]
pub fn memory_bytes() -> f64 {
    let buffer = wasm_bindgen::memory().dyn_into::<js_sys::WebAssembly::Memory>().map(|memory| memory.buffer());
    let bytes = buffer.and_then(|buffer| buffer.dyn_into::<js_sys::ArrayBuffer>()).map(|buffer| buffer.byte_length());
    bytes.map_or(0.0, f64::from)
}

/// Decodes a picture and gives its upright size: `{width, height}`.
///
/// # Errors
/// `picture`: it cannot be decoded.
#[wasm_bindgen(js_name = checkPicture)]
pub fn check_picture(bytes: &[u8]) -> Result<JsValue, JsValue> {
    #[derive(Serialize)]
    struct Size {
        width: u32,
        height: u32,
    }
    let (width, height) = picture::decode("This file", bytes)?.dimensions();
    Ok(object(&Size { width, height })?)
}

/// A result on its way to the page.
#[wasm_bindgen(getter_with_clone)]
#[derive(Debug)]
pub struct Styled {
    /// The picture as a PNG file.
    pub png: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Seconds that the run took.
    pub seconds: f64,
    /// The most bytes that tensors took on the GPU, as our own accounting has it.
    #[wasm_bindgen(js_name = gpuBytesInUse)]
    pub gpu_bytes_in_use: f64,
    /// The most bytes of GPU buffers, those included that waited to be used again.
    #[wasm_bindgen(js_name = gpuBytesReserved)]
    pub gpu_bytes_reserved: f64,
}

/// Repaints `content` in the style of `style`, both files' bytes, with `options` ([`Params`] as an object). Inversions are
/// kept: the same pictures with other settings do only what changed.
///
/// # Errors
/// `picture`, `settings`, `model`, `device` or `cancelled`, with one sentence.
#[wasm_bindgen]
pub async fn stylize(
    content: Vec<u8>,
    style: Vec<u8>,
    options: JsValue,
    on_event: Function,
) -> Result<Styled, JsValue> {
    let _flight = Flight::begin()?;
    let params: Params = serde_wasm_bindgen::from_value(options)
        .map_err(|error| Error::Settings(format!("The settings cannot be understood: {error}.")))?;
    let mut session = SESSION.take().ok_or_else(|| Error::Model("No model has been loaded yet.".into()))?;
    let result = run(&mut session, &content, &style, &params, on_event).await;
    // Put back before anything can return: a failed run keeps the model and the inversions it finished.
    SESSION.set(Some(session));
    Ok(result?)
}

async fn run(
    session: &mut Session,
    content: &[u8],
    style: &[u8],
    params: &Params,
    on_event: Function,
) -> Result<Styled> {
    let started = js_sys::Date::now();
    memory::begin();
    let report = reporter(on_event);
    let control = Control::new(&report, &|| CANCELLED.get());
    let content = picture::decode("The content picture", content)?;
    let style = picture::decode("The style picture", style)?;
    let outcome = session.run(&content, &[Style::alone(&style)], params, &control).await?;
    let (width, height) = outcome.image.dimensions();
    let GpuBytes { in_use, reserved } = memory::peak().unwrap_or_default();
    Ok(Styled {
        png: picture::to_png(&outcome.image, None)?,
        width,
        height,
        seconds: (js_sys::Date::now() - started) / 1000.0,
        gpu_bytes_in_use: in_use as f64,
        gpu_bytes_reserved: reserved as f64,
    })
}

/// Makes whatever runs stop at its next block with an error named `cancelled`.
#[wasm_bindgen]
pub fn cancel() {
    CANCELLED.set(true);
}

//! The wasm surface: what the page's worker calls. Small and typed; options and events are plain objects.
//!
//! One device, one model and one run at a time, kept here between calls. Every failure is a JavaScript `Error` whose
//! `name` is its kind and whose `message` is one sentence.

mod events;
mod heap;
mod measure;
mod model;
mod origin;
mod pictures;
mod request;
mod run;
mod selftest;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use burn::tensor::Device;
use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;

use self::events::object;
use crate::control::Between;
use crate::fault::{self, Fault};
use crate::gpu::{self, Adapter};
use crate::platform::Here;
use crate::weights::WeightType;
use crate::{Error, Result, Session};

thread_local! {
    static DEVICE: RefCell<Option<(Device, Adapter)>> = const { RefCell::new(None) };
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
    /// What the session's weights are kept as.
    static WEIGHTS: Cell<WeightType> = const { Cell::new(WeightType::Exact) };
    static BUSY: Cell<bool> = const { Cell::new(false) };
    static CANCELLED: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" {
    /// Runs the program's static constructors, some thousands, which register kernels' types. Where no one calls it, the linker
    /// wraps every exported function in a call of it, those included that the browser calls a thousand times in a run.
    fn __wasm_call_ctors();
}

/// Hands a panic to `globalThis.styleidPanic(message, kind)` before the instance traps, so that the page can say a sentence. The
/// kind is `internal` with the panic's text, or `memory` with a whole sentence.
#[wasm_bindgen(start)]
pub fn start() {
    // SAFETY: it takes nothing and gives nothing; the linker makes it, and this is the one place that calls it, once, before anything else
    // runs.
    unsafe { __wasm_call_ctors() };
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        // The runtime panics where a piece of memory is not to be had while nobody waits for it.
        let (message, kind) = match Fault::of_message(&text) {
            fault @ (Fault::Memory | Fault::TooLarge(_)) => (Error::from(fault).to_string(), "memory"),
            _ => (text, "internal"),
        };
        let global = js_sys::global();
        if let Ok(hook) = Reflect::get(&global, &"styleidPanic".into())
            && let Some(hook) = hook.dyn_ref::<Function>()
        {
            // Nothing is left to tell if telling fails.
            let _ = hook.call2(&global, &message.into(), &kind.into());
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

/// Requests WebGPU and describes it: `{name, backend, software, kernels, shaderF16, maxBufferMiB}`. Later calls describe it again.
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
            let (device, adapter) = gpu::open().await?;
            DEVICE.set(Some((device, adapter.clone())));
            adapter
        }
    };
    Ok(object(&adapter)?)
}

/// What ended something, by its cause: a browser may tell of a lost device after it has complained of all that was lost with it.
async fn explained<T>(result: Result<T>) -> Result<T> {
    /// Firefox takes a few milliseconds.
    const PATIENCE: Duration = Duration::from_millis(200);
    // What failed to be read back may only have been lost with the device.
    if matches!(result, Err(Error::Device(_))) || result.is_err() && fault::lacks_cause() {
        Here.sleep(PATIENCE).await;
        fault::check()?;
    }
    result
}

/// The device that was opened.
fn opened() -> Result<Device> {
    DEVICE
        .with_borrow(|device| device.as_ref().map(|(device, _)| device.clone()))
        .ok_or_else(|| Error::Device("No device has been opened yet.".into()))
}

/// Makes whatever runs stop at its next block with an error named `cancelled`.
#[wasm_bindgen]
pub fn cancel() {
    CANCELLED.set(true);
}

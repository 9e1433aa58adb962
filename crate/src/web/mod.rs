//! The wasm surface: what the page's worker calls. Small and typed; options and events are plain objects.
//!
//! One device, one model and one run at a time, kept here between calls. Every failure is a JavaScript `Error` whose
//! `name` is its kind and whose `message` is one sentence.

#[cfg(feature = "processor")]
mod ahead;
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
use crate::device::Adapter;
use crate::fault::{self, Fault};
use crate::platform::Here;
use crate::weights::WeightType;
use crate::{Error, Result, Session};

thread_local! {
    static DEVICE: RefCell<Option<(Device, Adapter)>> = const { RefCell::new(None) };
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
    /// Storage type of the session's weights.
    static WEIGHTS: Cell<WeightType> = const { Cell::new(WeightType::Exact) };
    static BUSY: Cell<bool> = const { Cell::new(false) };
    static CANCELLED: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" {
    /// Runs the program's static constructors, some thousands of them, which register kernels' types. If nothing calls
    /// this, the linker wraps every exported function in a call of it, even those that the browser calls a thousand
    /// times in a run.
    fn __wasm_call_ctors();
}

/// Runs the static constructors, and installs a panic hook. The hook calls `globalThis.styleidPanic(message, kind)`
/// before the instance traps, so that the page can show a sentence. The kind is `internal` with the panic's text, or
/// `memory` with a whole sentence.
#[wasm_bindgen(start)]
pub fn start() {
    // SAFETY: the function takes and returns nothing, and the linker makes it. This is its only call, and comes before
    // any other code runs.
    unsafe { __wasm_call_ctors() };
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        // The GPU's runtime panics if an allocation fails in work that nothing awaits.
        let (message, kind) = match Fault::of_message(&text) {
            fault @ (Fault::Memory | Fault::TooLarge(_)) => (Error::from(fault).to_string(), "memory"),
            _ => (text, "internal"),
        };
        let global = js_sys::global();
        if let Ok(hook) = Reflect::get(&global, &"styleidPanic".into())
            && let Some(hook) = hook.dyn_ref::<Function>()
        {
            // If this call fails, there is no other way to report the panic.
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

/// Opens the device that this program is for, WebGPU's or the processor, and describes it: `{name, backend, software, kernels,
/// shaderF16, maxBufferMiB, tiles}`. Later calls describe the same device. `kept` has the `tiles` of earlier visits by the device's
/// `name`; what is missing there is tried for up to a second.
///
/// # Errors
/// `unsupported`: there is no usable GPU here; `device`: it failed; `settings`: something else is running.
#[wasm_bindgen(js_name = openDevice)]
pub async fn open_device(kept: JsValue) -> Result<JsValue, JsValue> {
    let known = DEVICE.with_borrow(|device| device.as_ref().map(|(_, adapter)| adapter.clone()));
    let adapter = match known {
        Some(adapter) => adapter,
        None => {
            let _flight = Flight::begin()?;
            #[cfg(feature = "gpu")]
            let (device, adapter) = open_gpu(kept).await?;
            #[cfg(not(feature = "gpu"))]
            let (_, (device, adapter)) = (kept, crate::device::open_processor());
            DEVICE.set(Some((device, adapter.clone())));
            adapter
        }
    };
    Ok(object(&adapter)?)
}

#[cfg(feature = "gpu")]
async fn open_gpu(kept: JsValue) -> Result<(Device, Adapter)> {
    use std::collections::BTreeMap;

    use crate::selftest::trial::{SECONDS, Tiles, choose_tiles};

    let (device, mut adapter) = crate::gpu::open().await?;
    // What is not understood is tried again.
    let mut kept: BTreeMap<String, Tiles> = serde_wasm_bindgen::from_value(kept).unwrap_or_default();
    let kept = kept.remove(&adapter.name).unwrap_or_default();
    adapter.tiles = explained(choose_tiles(&device, &kept, SECONDS).await).await?;
    Ok((device, adapter))
}

/// Replaces an error by its cause: a browser may report the loss of a device after the errors that follow from the
/// loss.
async fn explained<T>(result: Result<T>) -> Result<T> {
    /// How long to wait for the cause; Firefox reports it within a few milliseconds.
    const PATIENCE: Duration = Duration::from_millis(200);
    // A failed read-back may only follow from the loss of the device.
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

/// Stops whatever is running at its next block, with an error named `cancelled`.
#[wasm_bindgen]
pub fn cancel() {
    CANCELLED.set(true);
}

//! The browser's GPU: opened with whatever it offers, watched for errors, and asked for its name.

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuOptions, WgpuSetup, wgpu};
use js_sys::{Array, Function, Object, Proxy, Reflect, Set};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};

use super::unusable;
use crate::fault::{self, Fault, Listener};
use crate::{Error, Result};

/// Opens the GPU that the browser prefers for work, with all its features and limits.
///
/// # Errors
/// One sentence where there is none.
pub(super) async fn open(options: WgpuOptions) -> Result<(Device, WgpuSetup)> {
    Listener::install();
    let backend = wgpu::Backend::BrowserWebGpu;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: backend.into(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let wish = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..wgpu::RequestAdapterOptions::default()
    };
    // wgpu's own words list backends that were never asked for.
    let adapter = instance.request_adapter(&wish).await.map_err(|_| {
        let sentence = "This browser offers no GPU to web pages: open the page in one with WebGPU, or switch hardware acceleration \
                        on in its settings.";
        Error::Unsupported(sentence.into())
    })?;
    let requested = {
        let _wish = wish_for_subgroups();
        adapter.request_device(&wgpu::DeviceDescriptor {
            label: None,
            required_features: adapter.features(),
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..wgpu::DeviceDescriptor::default()
        })
    };
    let (device, queue) = requested.await.map_err(|error| unusable(&error))?;
    let setup = WgpuSetup { instance, adapter, device, queue, backend };
    // The only backend asked for is the browser's.
    let handle = handle(&setup).ok_or_else(|| unusable(&"it is not the browser's"))?;
    let registered = {
        let _claim = claim_timestamps(&setup.adapter, &handle)?;
        options.setup(setup.clone()).init()
    };
    let device = registered.map_err(|error| unusable(&error))?;
    watch(&handle);
    Ok((device, setup))
}

fn get(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

/// The device as JavaScript has it.
fn handle(setup: &WgpuSetup) -> Option<JsValue> {
    setup.device.as_webgpu().map(|device| AsRef::<JsValue>::as_ref(device).clone())
}

/// Vendor, architecture and description of a device's adapter, as far as the browser tells them: "google swiftshader".
/// wgpu does not pass all of them on.
pub(super) fn name(setup: &WgpuSetup) -> String {
    let device = handle(setup).unwrap_or_default();
    let words = ["vendor", "architecture", "description"].map(|field| {
        get(&device, "adapterInfo").and_then(|info| get(&info, field)?.as_string()).filter(|word| !word.is_empty())
    });
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Remembers the errors of `device` that nobody waits for. This takes the place of wgpu's listener, which panics at errors
/// of a driver's compiler.
fn watch(device: &JsValue) {
    let listener = Closure::<dyn Fn(JsValue)>::new(|event: JsValue| {
        let error = get(&event, "error").unwrap_or_default();
        let is_memory = get(&js_sys::global(), "GPUOutOfMemoryError")
            .and_then(|class| class.dyn_into::<Function>().ok())
            .is_some_and(|class| get(&error, "constructor").as_ref() == Some(class.as_ref()));
        let message = get(&error, "message").and_then(|message| message.as_string()).unwrap_or_default();
        fault::remember(if is_memory { Fault::Memory } else { Fault::of_message(&message) });
    });
    // An attribute of every device; setting it cannot fail.
    let _ = Reflect::set(device, &"onuncapturederror".into(), &listener.into_js_value());
}

/// Whether shaders may use subgroups.
pub(super) fn may_use_subgroups(setup: &WgpuSetup) -> bool {
    let features = handle(setup).and_then(|device| get(&device, "features"));
    features.is_some_and(|features| Set::from(features).has(&SUBGROUPS.into()))
}

const SUBGROUPS: &str = "subgroups";

/// While it lives, adapters give their devices subgroups too, if they have them; wgpu 30 does not know this feature of browsers.
fn wish_for_subgroups() -> Option<(Replaced, RequestDevice)> {
    let real: Function = get(Replaced::prototype()?.as_ref(), REQUEST_DEVICE)?.dyn_into().ok()?;
    let apply = RequestDevice::new(|real: Function, adapter: JsValue, arguments: Array| {
        let offered = get(&adapter, "features").is_some_and(|features| Set::from(features).has(&SUBGROUPS.into()));
        let wanted = get(&arguments.get(0), "requiredFeatures").and_then(|wanted| wanted.dyn_into::<Array>().ok());
        if let (true, Some(wanted)) = (offered, wanted) {
            wanted.push(&SUBGROUPS.into());
        }
        Reflect::apply(&real, &adapter, &arguments)
    });
    let handler = Object::new();
    // Setting a field of a new object cannot fail.
    let _ = Reflect::set(&handler, &"apply".into(), apply.as_ref());
    Some((Replaced::with(REQUEST_DEVICE, &Proxy::new(&real, &handler))?, apply))
}

const REQUEST_DEVICE: &str = "requestDevice";

/// The trap for calls of [`REQUEST_DEVICE`]: a plain function could not see the adapter it is called on.
type RequestDevice = Closure<dyn Fn(Function, JsValue, Array) -> std::result::Result<JsValue, JsValue>>;

/// While it lives, adapters say that they have timestamp queries. None where `adapter` has them. `device` is one of its devices
/// with all its features, as JavaScript has it.
///
/// cubecl 0.11.3 asks the adapter whether to measure times with them when a device is registered. If not it measures by
/// waiting, which no worker can, and panics as it creates a stream, though it never measures here: that takes autotuning or
/// profiling, which are off. Firefox has no such queries, nor have some adapters elsewhere.
fn claim_timestamps(adapter: &wgpu::Adapter, device: &JsValue) -> Result<Option<Replaced>> {
    if adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        return Ok(None);
    }
    let claimed = Set::new(&get(device, "features").unwrap_or(JsValue::UNDEFINED));
    claimed.add(&"timestamp-query".into());
    let replaced = Replaced::with("features", &claimed);
    replaced.map(Some).ok_or_else(|| unusable(&"its adapters cannot be described"))
}

/// A property of all adapters, which is another one while this lives.
struct Replaced {
    name: JsValue,
    before: Object,
}

impl Replaced {
    fn prototype() -> Option<Object> {
        get(&get(&js_sys::global(), "GPUAdapter")?, "prototype")?.dyn_into().ok()
    }

    fn with(name: &str, value: &JsValue) -> Option<Self> {
        let (prototype, name) = (Self::prototype()?, JsValue::from_str(name));
        let before = Object::get_own_property_descriptor(&prototype, &name).dyn_into().ok()?;
        let after = Object::new();
        for (field, value) in [("value", value), ("configurable", &JsValue::TRUE)] {
            // Setting a field of a new object cannot fail.
            let _ = Reflect::set(&after, &field.into(), value);
        }
        Reflect::define_property(&prototype, &name, &after).ok().filter(|done| *done)?;
        Some(Self { name, before })
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        // It was there, and configurable, a moment ago.
        let _ = Self::prototype().map(|prototype| Reflect::define_property(&prototype, &self.name, &self.before));
    }
}

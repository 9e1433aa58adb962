//! What the browser says of its adapter: wgpu does not pass `GPUAdapterInfo` on, not even its name.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

fn get(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

/// Vendor, architecture and description of the adapter that the browser offers, as far as it tells them: "google
/// swiftshader". Empty where it tells nothing or there is none.
pub async fn name() -> String {
    asked().await.unwrap_or_default()
}

async fn asked() -> Option<String> {
    let gpu = get(&get(&js_sys::global(), "navigator")?, "gpu")?;
    let request: Function = get(&gpu, "requestAdapter")?.dyn_into().ok()?;
    let promise: Promise = request.call0(&gpu).ok()?.dyn_into().ok()?;
    let adapter = JsFuture::from(promise).await.ok()?;
    let info = get(&adapter, "info")?;
    let words = ["vendor", "architecture", "description"]
        .map(|field| get(&info, field).and_then(|value| value.as_string()).unwrap_or_default());
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    Some(words.join(" "))
}

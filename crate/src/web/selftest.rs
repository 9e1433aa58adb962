//! The self-test: whether this GPU computes correctly.

use js_sys::{Function, Object, Reflect};
use wasm_bindgen::prelude::*;

use super::events::object;
use super::{CANCELLED, Flight, explained, heap, opened};
use crate::Control;
use crate::platform::Here;
use crate::selftest::{self, KernelTest};

/// Tests each kind of kernel against known values, and starts no more of them after `seconds`. Returns
/// `{kernels, seconds}`. Needs a device, but no model. Events are `{kernel, of}`: the test of one kernel, and how many
/// kernels there are.
///
/// # Errors
/// `settings`: something else is running; `device`, `unsupported` or `memory`: the kernel of the last event failed;
/// `cancelled`.
#[wasm_bindgen(js_name = selfTest)]
pub async fn self_test(seconds: f64, on_event: Function) -> Result<JsValue, JsValue> {
    let _flight = Flight::begin()?;
    heap::forget();
    let device = opened()?;
    let on_kernel = |test: &KernelTest, of: usize| {
        let Ok(kernel) = object(test) else { return };
        let event = Object::new();
        // Setting a field of a new object cannot fail.
        let _ = Reflect::set(&event, &"kernel".into(), &kernel);
        let _ = Reflect::set(&event, &"of".into(), &JsValue::from_f64(of as f64));
        // A listener that throws is the page's mistake; the test goes on.
        let _ = on_event.call1(&JsValue::NULL, &event);
    };
    let control = Control::new(&Here, &|_| (), &|| CANCELLED.get());
    let tested = explained(selftest::run(&device, seconds, &control, &on_kernel).await).await;
    Ok(object(&tested?)?)
}

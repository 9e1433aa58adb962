//! A turn of the browser's event loop. Without one now and then the worker hears no cancel and the GPU's callbacks wait.

use std::time::Duration;

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, WorkerGlobalScope};

thread_local! {
    /// A message to oneself comes back within microseconds; nested `setTimeout(0)`s are held up for 4 ms each.
    static CHANNEL: Option<MessageChannel> = MessageChannel::new().ok();
}

/// Comes back after everything that waits in the event loop has run. One at a time: another one that begins meanwhile takes the
/// answer of the first, which then never comes back. Only what holds the wasm surface's `Flight` calls it.
pub async fn turn() {
    let promise = CHANNEL.with(|channel| {
        let channel = channel.as_ref()?;
        let mut posted = false;
        let promise = Promise::new(&mut |resolve, _| {
            channel.port1().set_onmessage(Some(&resolve));
            posted = channel.port2().post_message(&JsValue::NULL).is_ok();
        });
        posted.then_some(promise)
    });
    if let Some(promise) = promise {
        // The promise is only ever resolved.
        let _ = JsFuture::from(promise).await;
        // A port with a listener keeps Node.js running after the last result.
        CHANNEL.with(|channel| channel.as_ref().map(|channel| channel.port1().set_onmessage(None)));
    }
}

/// Comes back after `time`.
pub async fn sleep(time: Duration) {
    let milliseconds = time.as_millis().try_into().unwrap_or(i32::MAX);
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let promise = Promise::new(&mut |resolve, _| {
        // Without timers the caller looks again at once, after a turn of the event loop.
        if scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds).is_err() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    });
    // The promise is only ever resolved.
    let _ = JsFuture::from(promise).await;
}

//! HTTP requests with the worker's `fetch`; bodies are read as streams.

use std::time::Duration;

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, ReadableStreamReadResult, RequestCache, RequestCredentials,
    RequestInit, RequestRedirect, WorkerGlobalScope,
};

use crate::error::{Error, Result};
use crate::source::file::Pending;
use crate::source::http::{Body, Broken, HttpRequest, HttpResponse, Transport, address};
use crate::source::picked::message;

/// Milliseconds without a byte after which a connection counts as broken.
const SILENCE: i32 = 60_000;

/// The worker's `fetch`.
pub struct Fetch {
    scope: WorkerGlobalScope,
}

impl Fetch {
    /// Uses the `fetch` of the current worker.
    ///
    /// # Errors
    /// The current global scope is not a worker.
    pub fn new() -> Result<Self> {
        let scope = js_sys::global().dyn_into();
        let scope = scope.map_err(|_| Error::Model("Models are loaded in a worker; this is none.".into()))?;
        Ok(Self { scope })
    }

    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, Broken> {
        let abort = Abort::new()?;
        let init = RequestInit::new();
        init.set_signal(Some(&abort.0.signal()));
        init.set_credentials(RequestCredentials::Omit);
        init.set_redirect(RequestRedirect::Follow);
        // Bypasses the HTTP cache. Gigabytes that this program stores itself must not evict everything else, and a cached
        // part of an older version must not be served. The browser adds the headers for this itself, so they cause no CORS
        // preflight, unlike headers set by a script.
        init.set_cache(RequestCache::NoStore);
        if let Some(range) = &request.range {
            let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else {
                return Err(Broken("no bytes were asked for".into()));
            };
            let headers = Headers::new().map_err(|error| Broken(message(&error)))?;
            let span = format!("bytes={}-{last}", range.start);
            headers.set("Range", &span).map_err(|error| Broken(message(&error)))?;
            init.set_headers_headers(&headers);
        }
        let watch = Watch::over(&abort, &self.scope);
        let answer = JsFuture::from(self.scope.fetch_with_str_and_init(&request.url, &init)).await;
        let response: web_sys::Response = answer.and_then(JsCast::dyn_into).map_err(|error| {
            // By design, browsers report only "Failed to fetch": details could reveal the visitor's network to a page.
            Broken(format!("no answer, or the server does not let web pages read it ({})", message(&error)))
        })?;
        drop(watch);
        let mut headers = Vec::new();
        for header in response.headers().entries() {
            let header = header.map_err(|error| Broken(message(&error)))?.unchecked_into::<Array>();
            if let (Some(name), Some(value)) = (header.get(0).as_string(), header.get(1).as_string()) {
                headers.push((name.to_ascii_lowercase(), value));
            }
        }
        // Few servers expose `Content-Disposition` to pages, but a redirect's target often contains it as a query
        // parameter.
        let asked = address::asked_disposition(&response.url());
        if let Some(asked) = asked.filter(|_| !headers.iter().any(|(name, _)| name == "content-disposition")) {
            headers.push(("content-disposition".into(), asked));
        }
        let reader = match response.body() {
            Some(body) => Some(ReadableStreamDefaultReader::new(&body).map_err(|error| Broken(message(&error)))?),
            None => None,
        };
        Ok(HttpResponse {
            status: response.status(),
            headers,
            body: Box::new(FetchBody { reader, abort, scope: self.scope.clone() }),
        })
    }
}

impl Transport for Fetch {
    fn send(&self, request: HttpRequest) -> Pending<'_, Result<HttpResponse, Broken>> {
        Box::pin(self.fetch(request))
    }

    fn sleep(&self, time: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            let time = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
            let promise = Promise::new(&mut |resolve, reject| {
                if self.scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, time).is_err() {
                    // It is better not to pause than to wait forever.
                    let _ = reject.call0(&JsValue::NULL);
                }
            });
            let _ = JsFuture::from(promise).await;
        })
    }

    fn now(&self) -> f64 {
        // `performance.now()` does not jump when the system clock is set.
        self.scope.performance().map_or_else(js_sys::Date::now, |performance| performance.now())
    }
}

/// Aborts a request on drop. This has no effect on a request that has already ended.
struct Abort(AbortController);

impl Abort {
    fn new() -> Result<Self, Broken> {
        AbortController::new().map(Self).map_err(|error| Broken(message(&error)))
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A response body being received.
struct FetchBody {
    /// `None` once it has ended.
    reader: Option<ReadableStreamDefaultReader>,
    abort: Abort,
    scope: WorkerGlobalScope,
}

impl FetchBody {
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let Some(reader) = &self.reader else { return Ok(None) };
        // Dropping this future loses the piece in transit, so the request is aborted: what follows must not look
        // contiguous.
        let pending = Lost(Some(&self.abort.0));
        let watch = Watch::over(&self.abort, &self.scope);
        let read = JsFuture::from(reader.read()).await;
        drop(watch);
        pending.arrived();
        let read: ReadableStreamReadResult =
            read.map_err(|error| Broken(format!("the connection broke ({})", message(&error))))?.unchecked_into();
        if read.get_done() == Some(true) {
            self.reader = None;
            return Ok(None);
        }
        let piece: Uint8Array = read.get_value().dyn_into().map_err(|_| Broken("the browser gave no bytes".into()))?;
        Ok(Some(piece.to_vec()))
    }
}

impl Body for FetchBody {
    fn next(&mut self) -> Pending<'_, Result<Option<Vec<u8>>, Broken>> {
        Box::pin(self.piece())
    }
}

/// Aborts a request after a minute without data, unless dropped before: a connection may die silently.
struct Watch {
    scope: WorkerGlobalScope,
    timer: Option<i32>,
}

impl Watch {
    fn over(abort: &Abort, scope: &WorkerGlobalScope) -> Self {
        let end = Reflect::get(&abort.0, &"abort".into()).ok().and_then(|end| end.dyn_into::<Function>().ok());
        let timer = end.and_then(|end| {
            let end = end.bind0(&abort.0);
            scope.set_timeout_with_callback_and_timeout_and_arguments_0(&end, SILENCE).ok()
        });
        Self { scope: scope.clone(), timer }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.scope.clear_timeout_with_handle(timer);
        }
    }
}

/// Aborts the request on drop, unless the awaited piece has arrived.
struct Lost<'a>(Option<&'a AbortController>);

impl Lost<'_> {
    fn arrived(mut self) {
        self.0 = None;
    }
}

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        if let Some(abort) = self.0 {
            abort.abort();
        }
    }
}

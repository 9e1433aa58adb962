//! A model's files by URL.

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Response, WorkerGlobalScope};

use crate::weights::Source;
use crate::{Error, Result};

/// A folder on the web, without the slash at its end.
pub struct UrlFolder(pub String);

impl UrlFolder {
    fn unreachable(&self, path: &str, reason: impl std::fmt::Display) -> Error {
        Error::Model(format!("{}/{path} cannot be fetched ({reason}); check the connection and try again.", self.0))
    }
}

impl Source for UrlFolder {
    fn name(&self) -> String {
        self.0.clone()
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let scope: WorkerGlobalScope = js_sys::global()
            .dyn_into()
            .map_err(|_| Error::Model("Models are loaded in a worker; this is none.".into()))?;
        let response: Response = JsFuture::from(scope.fetch_with_str(&format!("{}/{path}", self.0)))
            .await
            .and_then(JsCast::dyn_into)
            .map_err(|error| self.unreachable(path, reason(&error)))?;
        if response.status() == 404 {
            return Ok(None);
        }
        if !response.ok() {
            return Err(self.unreachable(path, format_args!("status {}", response.status())));
        }
        let body = response.array_buffer().map_err(|error| self.unreachable(path, reason(&error)))?;
        let buffer: ArrayBuffer = JsFuture::from(body)
            .await
            .and_then(JsCast::dyn_into)
            .map_err(|error| self.unreachable(path, reason(&error)))?;
        Ok(Some(Uint8Array::new(&buffer).to_vec()))
    }
}

fn reason(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| "unknown reason".into(), |error| String::from(error.message()))
}

//! Files over HTTP: ranges in flight, retries, resuming. What a request is made of differs between the browser and the
//! command line ([`Transport`]); everything else is the same code.

mod answer;
#[cfg(target_arch = "wasm32")]
pub mod browser;
mod connection;
#[cfg(test)]
mod fake;
pub mod folder;
#[cfg(all(feature = "native-http", not(target_arch = "wasm32")))]
pub mod native;
mod range_reader;
pub mod remote;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use crate::source::file::Pending;

pub use folder::UrlFolder;
pub use remote::Remote;

/// A GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Absolute address.
    pub url: String,
    /// Bytes asked for. Sent as `Range: bytes=a-b`, which needs no preflight in a browser; no other header is sent.
    pub range: Option<Range<u64>>,
}

/// The head of an answer, and its body as it arrives.
pub struct HttpResponse {
    /// HTTP status after redirects.
    pub status: u16,
    /// Headers with lowercase names; a browser shows only what CORS lets through.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Box<dyn Body>,
}

/// A body that arrives piece by piece.
pub trait Body {
    /// The next piece, or `None` at the end. A connection that breaks is an error, not an end.
    ///
    /// # Errors
    /// The reason why the rest will not come.
    fn next(&mut self) -> Pending<'_, Result<Option<Vec<u8>>, Broken>>;
}

/// A request that got no answer, or an answer that ended early: worth another try.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Makes requests and waits.
pub trait Transport {
    /// Sends a request, following redirects.
    ///
    /// # Errors
    /// There was no answer at all.
    fn send(&self, request: HttpRequest) -> Pending<'_, Result<HttpResponse, Broken>>;

    /// Waits.
    fn sleep(&self, time: Duration) -> Pending<'_, ()>;

    /// Milliseconds since some moment.
    fn now(&self) -> f64;
}

/// What all files of one visit share: how requests are made, whom to tell, and what was received so far.
#[derive(Clone)]
pub struct Web {
    transport: Rc<dyn Transport>,
    notices: Rc<dyn Fn(&str)>,
    received: Rc<Cell<u64>>,
    /// When a server that asked for patience may be asked again, on the transport's clock.
    resume: Rc<Cell<f64>>,
    /// When a person was last told of a broken connection.
    told: Rc<Cell<f64>>,
}

impl Web {
    /// `notices` gets one short sentence when a server asks to wait or a connection breaks.
    pub fn new(transport: Rc<dyn Transport>, notices: Rc<dyn Fn(&str)>) -> Self {
        Self {
            transport,
            notices,
            received: Rc::default(),
            resume: Rc::default(),
            told: Rc::new(Cell::new(f64::NEG_INFINITY)),
        }
    }

    /// Bytes of bodies that arrived so far, over all files, with what had to be fetched again.
    pub fn received(&self) -> u64 {
        self.received.get()
    }
}

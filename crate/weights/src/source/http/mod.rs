//! Files over HTTP: parallel range requests, retries, resuming. Only [`Transport`] differs between the browser and the
//! command line; everything else is shared code.

pub mod address;
#[cfg(test)]
#[path = "tests/addressed.rs"]
mod addressed;
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
mod refusal;
pub mod remote;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use crate::source::file::Pending;
use crate::source::token::{ENDPOINT, Token};

pub use folder::UrlFolder;
pub use remote::Remote;

/// A GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Absolute address.
    pub url: String,
    /// The byte range to request. It is sent as `Range: bytes=a-b`, which needs no CORS preflight in a browser.
    pub range: Option<Range<u64>>,
    /// Token for `Authorization: Bearer`. It is sent to this address only and dropped on a redirect to another server. No
    /// other header is sent.
    pub token: Option<Token>,
}

/// Status and headers of a response, and its body as a stream.
pub struct HttpResponse {
    /// HTTP status after redirects.
    pub status: u16,
    /// Headers with lowercase names. A browser exposes only those that CORS allows.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Box<dyn Body>,
}

/// A response body, read piece by piece.
pub trait Body {
    /// The next piece, or `None` at the end. A broken connection is an error, not an end.
    ///
    /// # Errors
    /// Why the rest of the body will not arrive.
    fn next(&mut self) -> Pending<'_, Result<Option<Vec<u8>>, Broken>>;
}

/// A request without a response, or a response that ended early. Both are worth a retry.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Makes requests and waits.
pub trait Transport {
    /// Sends a request, following redirects.
    ///
    /// # Errors
    /// No response arrived at all.
    fn send(&self, request: HttpRequest) -> Pending<'_, Result<HttpResponse, Broken>>;

    /// Waits.
    fn sleep(&self, time: Duration) -> Pending<'_, ()>;

    /// Milliseconds on a clock with an arbitrary origin.
    fn now(&self) -> f64;
}

/// State shared by all files of one session: the transport, the receiver of notices, and the bytes received so far.
#[derive(Clone)]
pub struct Web {
    transport: Rc<dyn Transport>,
    notices: Rc<dyn Fn(&str)>,
    received: Rc<Cell<u64>>,
    /// When requests may resume after a server asked to wait, on the transport's clock.
    resume: Rc<Cell<f64>>,
    /// When the user was last notified of a broken connection.
    told: Rc<Cell<f64>>,
    /// The Hub's address.
    hub: Rc<str>,
    /// The user's access token. It is sent to the Hub only.
    token: Option<Token>,
    /// The Hub repository that the files belong to.
    repo: Option<Rc<str>>,
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
            hub: ENDPOINT.into(),
            token: None,
            repo: None,
        }
    }

    /// The same, with the Hub at another address.
    #[must_use]
    pub fn with_hub(mut self, endpoint: &str) -> Self {
        self.hub = endpoint.into();
        self
    }

    /// The same, for files of a Hub repository.
    #[must_use]
    pub fn with_repo(mut self, repo: &str) -> Self {
        self.repo = Some(repo.into());
        self
    }

    /// The same, for a user with a Hub account. The token is sent only to the Hub's own server, and only if nobody in
    /// between can read it.
    #[must_use]
    pub fn with_token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Whether this is an address on the Hub.
    fn is_hub(&self, url: &str) -> bool {
        address::same_server(&self.hub, url)
    }

    /// The token to send to this address.
    fn token_for(&self, url: &str) -> Option<Token> {
        self.token.clone().filter(|_| self.is_hub(url) && address::is_private(url))
    }

    /// Bytes received in all response bodies so far, over all files, repeated downloads included.
    pub fn received(&self) -> u64 {
        self.received.get()
    }
}

//! Files over HTTP: ranges in flight, retries, resuming. What a request is made of differs between the browser and the
//! command line ([`Transport`]); everything else is the same code.

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
    /// Bytes asked for. Sent as `Range: bytes=a-b`, which needs no preflight in a browser.
    pub range: Option<Range<u64>>,
    /// What to show as `Authorization: Bearer`: at this address alone, and not where it leads to on another server. No other
    /// header is sent.
    pub token: Option<Token>,
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
    /// The Hub's address.
    hub: Rc<str>,
    /// Whose it is that asks the Hub, and nobody else.
    token: Option<Token>,
    /// The repository of the Hub that is asked for.
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

    /// The same with the Hub at another address.
    #[must_use]
    pub fn with_hub(mut self, endpoint: &str) -> Self {
        self.hub = endpoint.into();
        self
    }

    /// The same for files of a repository of the Hub.
    #[must_use]
    pub fn with_repo(mut self, repo: &str) -> Self {
        self.repo = Some(repo.into());
        self
    }

    /// The same for a person whom the Hub knows. Only the Hub's own server ever sees the token, and that only where nobody
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

    /// What to show at this address.
    fn token_for(&self, url: &str) -> Option<Token> {
        self.token.clone().filter(|_| self.is_hub(url) && address::is_private(url))
    }

    /// Bytes of bodies that arrived so far, over all files, with what had to be fetched again.
    pub fn received(&self) -> u64 {
        self.received.get()
    }
}

//! HTTP requests on the command line: one thread per request, with a shared connection pool.

use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::connection::UNTRUSTED;
use super::{Body, Broken, HttpRequest, HttpResponse, Transport, address};
use crate::source::file::Pending;

/// Size of a piece.
const PIECE: usize = 64 << 10;
/// Most pieces buffered for the reader of a body; beyond that, the server has to wait.
const WAITING: usize = 16;
/// Most redirects that a request with a token follows.
const REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(15);
/// A connection without data for this long counts as broken.
const SILENCE: Duration = Duration::from_secs(60);

/// Sends requests on blocking threads, so that one polling task can have several in flight.
pub struct Native {
    agent: Agent,
    start: Instant,
}

impl Native {
    /// One client for all requests of a session, so that they share connections.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Ranges refer to uncompressed bytes.
            .accept_encoding("identity")
            .tls_config(TlsConfig::builder().root_certs(roots()).build())
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .max_idle_connections_per_host(8)
            .build();
        Self { agent: config.into(), start: Instant::now() }
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

type StatusAndHeaders = (u16, Vec<(String, String)>);
/// A piece, an empty piece at the end, or the reason why the end does not arrive.
type Piece = Result<Vec<u8>, Broken>;

impl Transport for Native {
    fn send(&self, request: HttpRequest) -> Pending<'_, Result<HttpResponse, Broken>> {
        let agent = self.agent.clone();
        Box::pin(async move {
            let (answer, head) = async_channel::bounded(1);
            let (sender, pieces) = async_channel::bounded(WAITING);
            let work = move || run(&agent, &request, &answer, &sender);
            thread::Builder::new().name("http".into()).spawn(work).map_err(|error| Broken(error.to_string()))?;
            let (status, headers) = head.recv().await.unwrap_or_else(|_| Err(Broken("the request was lost".into())))?;
            Ok(HttpResponse { status, headers, body: Box::new(Pieces { pieces, ended: false }) })
        })
    }

    fn sleep(&self, time: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            let (done, woken) = async_channel::bounded::<()>(1);
            // Dropping the future drops this end of the channel, which ends the thread.
            let (_held, gone) = mpsc::channel::<()>();
            let work = move || {
                let _ = gone.recv_timeout(time);
                drop(done);
            };
            match thread::Builder::new().name("sleep".into()).spawn(work) {
                Ok(_) => drop(woken.recv().await),
                Err(_) => thread::sleep(time),
            }
        })
    }

    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1000.0
    }
}

/// The system's certificates, including those that a company adds to its computers. If the system has none, as in small
/// containers, the bundled ones are used.
fn roots() -> RootCerts {
    let places = [
        "/etc/ssl/certs",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
    ];
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let has_some = |place: &str| {
        let path = std::path::Path::new(place);
        path.is_file() || std::fs::read_dir(path).is_ok_and(|mut files| files.next().is_some())
    };
    let mut are_files = cfg!(unix) && !cfg!(target_vendor = "apple") && !cfg!(target_os = "android");
    are_files &= !is_set("SSL_CERT_FILE") && !is_set("SSL_CERT_DIR");
    if are_files && !places.into_iter().any(has_some) { RootCerts::WebPki } else { RootCerts::PlatformVerifier }
}

/// Sends a request. Redirects of a request with a token are followed here, so that no other server receives the token.
fn get(agent: &Agent, request: &HttpRequest) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let mut url = request.url.clone();
    for left in (0..=REDIRECTS).rev() {
        let mut get = agent.get(&url);
        if let Some(range) = &request.range {
            get = get.header("range", format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        }
        let Some(token) = request.token.as_ref().filter(|_| address::same_server(&request.url, &url)) else {
            return get.call();
        };
        get = get.header("authorization", format!("Bearer {}", token.secret()));
        let response = get.config().max_redirects(0).max_redirects_will_error(false).build().call()?;
        let location = response.headers().get("location").and_then(|to| to.to_str().ok());
        match location.and_then(|to| address::resolved(&url, to)) {
            Some(next) if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) && left > 0 => url = next,
            _ => return Ok(response),
        }
    }
    Err(ureq::Error::TooManyRedirects)
}

/// Why there was no response, without the secret part of the address.
fn broken(error: &ureq::Error, url: &str) -> Broken {
    let mut reason = error.to_string();
    if ["certificate", "UnknownIssuer"].iter().any(|word| reason.contains(word)) {
        return Broken(format!("{UNTRUSTED} ({reason})"));
    }
    if let Some((_, query)) = url.split_once('?') {
        reason = reason.replace(query, "…");
    }
    Broken(reason)
}

/// Runs one request to its end, or until the receiver is dropped.
fn run(
    agent: &Agent,
    request: &HttpRequest,
    answer: &Sender<Result<StatusAndHeaders, Broken>>,
    pieces: &Sender<Piece>,
) {
    let response = match get(agent, request) {
        Ok(response) => response,
        Err(error) => {
            let _ = answer.send_blocking(Err(broken(&error, &request.url)));
            return;
        }
    };
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(key, value)| (key.as_str().to_owned(), text(value))).collect();
    if answer.send_blocking(Ok((response.status().as_u16(), headers))).is_err() {
        return;
    }
    let mut reader = response.into_body().into_reader();
    loop {
        let mut piece = vec![0; PIECE];
        let (piece, is_last) = match reader.read(&mut piece) {
            Ok(length) => {
                piece.truncate(length);
                (Ok(piece), length == 0)
            }
            Err(error) => (Err(Broken(error.to_string())), true),
        };
        if pieces.send_blocking(piece).is_err() || is_last {
            return;
        }
    }
}

/// The receiving end of a body. Dropping it ends the thread after the current piece.
struct Pieces {
    pieces: Receiver<Piece>,
    ended: bool,
}

impl Body for Pieces {
    fn next(&mut self) -> Pending<'_, Result<Option<Vec<u8>>, Broken>> {
        Box::pin(async move {
            if self.ended {
                return Ok(None);
            }
            let piece = self.pieces.recv().await.unwrap_or_else(|_| Err(Broken("the request was lost".into())))?;
            self.ended = piece.is_empty();
            Ok((!self.ended).then_some(piece))
        })
    }
}

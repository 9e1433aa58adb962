//! Requests on the command line: each in a thread of its own, with one pool of connections.

use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use ureq::Agent;

use super::{Body, Broken, HttpRequest, HttpResponse, Transport};
use crate::source::file::Pending;

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Pieces that wait for whoever reads the body; beyond, the server waits.
const WAITING: usize = 16;
const CONNECT: Duration = Duration::from_secs(15);
/// A connection that brings nothing for so long is broken.
const SILENCE: Duration = Duration::from_secs(60);

/// Makes requests with threads that block, so that several are in flight for one that polls.
pub struct Native {
    agent: Agent,
    start: Instant,
}

impl Native {
    /// One for all requests of a visit: they share connections.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Compressed bytes have no place in a range.
            .accept_encoding("identity")
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
/// A piece, an empty one at the end, or the reason why the end does not come.
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
            // Dropping the future drops this end, which ends the thread.
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

/// One request from start to end, or until nobody listens any more.
fn run(
    agent: &Agent,
    request: &HttpRequest,
    answer: &Sender<Result<StatusAndHeaders, Broken>>,
    pieces: &Sender<Piece>,
) {
    let mut get = agent.get(&request.url);
    if let Some(range) = &request.range {
        get = get.header("range", format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
    }
    let response = match get.call() {
        Ok(response) => response,
        Err(error) => {
            let _ = answer.send_blocking(Err(Broken(error.to_string())));
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

/// The receiving end of a body; dropping it ends the thread with the piece at hand.
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

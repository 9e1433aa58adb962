//! Streams one byte range of a file, over as many requests as necessary.

use std::ops::Range;
use std::rc::Rc;

use super::Body;
use super::answer::Head;
use super::connection::{Again, Patience, RemoteConnection, Trouble};
use crate::error::{Error, Result};

/// Why a reader stops early.
pub(super) enum ReadStop {
    /// The server ignores ranges and sends the whole file; read it in order instead.
    Whole,
    /// A permanent failure.
    Fail(Error),
}

impl From<Error> for ReadStop {
    fn from(error: Error) -> Self {
        Self::Fail(error)
    }
}

impl From<ReadStop> for Error {
    fn from(stop: ReadStop) -> Self {
        match stop {
            ReadStop::Whole => Self::File("The server sends no parts of files; use another address.".into()),
            ReadStop::Fail(error) => error,
        }
    }
}

/// An open response body.
pub(super) struct Open {
    pub body: Box<dyn Body>,
    /// File offset of its next byte.
    pub at: u64,
    /// File offset at which it ends, as announced by the server.
    pub end: Option<u64>,
}

/// Reads from `at` to `end`.
pub(super) struct RangeReader {
    connection: Rc<RemoteConnection>,
    at: u64,
    /// `None` reads to the end of the body.
    end: Option<u64>,
    /// Whether responses that start at the file's first byte are accepted. Unwanted bytes are then read and dropped.
    in_order: bool,
    open: Option<Open>,
    /// Bytes at offset `at` that were put back.
    rest: Vec<u8>,
    patience: Patience,
}

impl RangeReader {
    /// Reads one range with range requests only.
    pub(super) fn part(connection: &Rc<RemoteConnection>, span: Range<u64>) -> Self {
        Self { in_order: false, ..Self::in_order(connection, span.start, Some(span.end), None) }
    }

    /// Reads from `at` on in whatever way the server supports. `open` is a response that has already arrived, if any.
    pub(super) fn in_order(connection: &Rc<RemoteConnection>, at: u64, end: Option<u64>, open: Option<Open>) -> Self {
        let (connection, rest, patience) = (connection.clone(), Vec::new(), Patience::default());
        Self { connection, at, end, in_order: true, open, rest, patience }
    }

    /// The current file offset.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The same reader with another end offset.
    pub(super) fn until(mut self, end: u64) -> Self {
        self.end = Some(end);
        self
    }

    /// Skips ahead to a later byte.
    pub(super) fn skip_to(&mut self, at: u64) {
        let skip = usize::try_from(at.saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.rest.drain(..skip.min(self.rest.len()));
        self.at = self.at.max(at);
    }

    /// Puts back the last `rest` bytes of the latest piece.
    pub(super) fn put_back(&mut self, mut piece: Vec<u8>, rest: usize) {
        self.at -= rest as u64;
        self.rest = piece.split_off(piece.len() - rest);
    }

    /// The next bytes, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, ReadStop> {
        if !self.rest.is_empty() {
            self.at += self.rest.len() as u64;
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        loop {
            if self.end.is_some_and(|end| self.at >= end) {
                return Ok(None);
            }
            let trouble = match self.step().await {
                Ok(ReadStep::Bytes(bytes)) => return Ok(Some(bytes)),
                Ok(ReadStep::Nothing) => continue,
                Ok(ReadStep::End) => {
                    (self.end, self.open) = (Some(self.at), None);
                    return Ok(None);
                }
                Err(Stopped::Stop(stop)) => return Err(stop),
                Err(Stopped::Trouble(trouble)) => trouble,
            };
            self.open = None;
            self.patience.again(&self.connection, trouble, self.at).await?;
        }
    }

    /// Receives one piece.
    async fn step(&mut self) -> Result<ReadStep, Stopped> {
        // A response may contain less than was requested if it announces that; the rest takes another request.
        if self.open.as_ref().is_some_and(|open| open.end.is_some_and(|end| open.at >= end)) {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let open = self.connect().await?;
                self.open.insert(open)
            }
        };
        let received = open.body.next().await.map_err(|broken| Again::broken(broken.0))?;
        let Some(mut bytes) = received else {
            let is_end = self.end.is_none() && open.end.is_none();
            return if is_end { Ok(ReadStep::End) } else { Err(Again::broken("the answer ended early").into()) };
        };
        self.connection.web.received.set(self.connection.web.received.get() + bytes.len() as u64);
        let start = open.at;
        open.at += bytes.len() as u64;
        // Bytes beyond what was requested or announced do not belong to this file.
        let end = open.end.into_iter().chain(self.end).min().unwrap_or(u64::MAX);
        bytes.truncate(usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX));
        let past = usize::try_from(self.at.saturating_sub(start)).unwrap_or(usize::MAX);
        if past >= bytes.len() {
            return Ok(ReadStep::Nothing);
        }
        bytes.drain(..past);
        self.at += bytes.len() as u64;
        self.patience.progress();
        Ok(ReadStep::Bytes(bytes))
    }

    /// Requests the remaining bytes.
    async fn connect(&self) -> Result<Open, Stopped> {
        let range = self.end.map(|end| self.at..end);
        let sent = match self.connection.send(range.clone()).await {
            // Some storages reject the CORS preflight that a browser sends before a range request.
            Err(_) if self.in_order && range.is_some() => self.connection.send(None).await,
            Err(_) if self.connection.unproven.get() => return Err(self.whole()),
            sent => sent,
        };
        let (head, body) = sent.map_err(|broken| Again::broken(broken.0))?;
        self.connection.check(&head)?;
        if head.status == 206 {
            let (start, end) = self.placed(&head)?;
            self.connection.ranges.set(true);
            self.connection.unproven.set(false);
            return Ok(Open { body, at: start, end });
        }
        let size = self.connection.size.get();
        let is_all = self.at == 0 && size.is_some() && self.end == size;
        if !self.in_order && !is_all {
            return Err(self.whole());
        }
        Ok(Open { body, at: 0, end: size })
    }

    fn whole(&self) -> Stopped {
        self.connection.ranges.set(false);
        Stopped::Stop(ReadStop::Whole)
    }

    /// File offsets of a 206 response's body. Without `Content-Range`, the requested offset is assumed.
    fn placed(&self, head: &Head) -> Result<(u64, Option<u64>), Trouble> {
        match &head.part {
            Some(part) if part.start > self.at || part.end <= self.at => Err(Again::odd(format!(
                "the server sends bytes {}-{} where those from {} on are asked for",
                part.start,
                part.end - 1,
                self.at
            ))),
            Some(part) => Ok((part.start, Some(part.end))),
            None => Ok((self.at, head.length.map(|length| self.at.saturating_add(length)))),
        }
    }
}

enum ReadStep {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

enum Stopped {
    Stop(ReadStop),
    Trouble(Trouble),
}

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

//! One file at an address.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::answer::Head;
use super::connection::{Again, Patience, RemoteConnection};
use super::range_reader::{Open, RangeReader};
use super::{Body, Web};
use crate::error::{Error, Result};
use crate::source::file::{File, Pending, Sink};

/// Bytes that the first request asks for: most headers, and every small file as a whole.
pub(super) const PREFIX: u64 = 256 << 10;
/// A file whose size nobody tells is kept in memory up to here, and read twice beyond.
const UNTOLD: u64 = 32 << 20;

/// A file at an address, read by `Range` requests, or in order where the server knows no ranges.
pub struct Remote {
    pub(super) connection: Rc<RemoteConnection>,
    bytes: u64,
    /// The file's first bytes.
    pub(super) prefix: Vec<u8>,
    /// What reads a server that knows no ranges in order, between two spans.
    pub(super) kept: RefCell<Option<RangeReader>>,
}

impl Remote {
    /// Asks for the first 256 KiB of the file at `url`, called `name` in messages; `None` where there is none, or where a
    /// web page is in its place.
    ///
    /// # Errors
    /// One sentence where it may not be had, or where the server does not answer after several tries.
    pub async fn open(web: &Web, url: &str, name: &str) -> Result<Option<Self>> {
        let connection = Rc::new(RemoteConnection::new(web, url, name));
        let Some((head, body)) = first(&connection, Some(0..PREFIX)).await? else { return Ok(None) };
        *connection.version.borrow_mut() = Some(head.version.clone());
        if head.status != 206 {
            connection.ranges.set(false);
            return Self::in_order(connection, &head, body).await.map(Some);
        }
        // Without its total, a part that is shorter than asked for is all there is.
        let Some(size) = head.total.or(head.length.filter(|length| *length < PREFIX)) else {
            drop(body);
            let Some((head, body)) = first(&connection, None).await? else { return Ok(None) };
            return Self::in_order(connection, &head, body).await.map(Some);
        };
        connection.size.set(Some(size));
        let open = Open { body, at: 0, end: head.part.map(|part| part.end).or(head.length) };
        let mut reader = RangeReader::in_order(&connection, 0, Some(size.min(PREFIX)), Some(open));
        let mut prefix = Vec::new();
        receive(&mut reader, &mut prefix, PREFIX).await?;
        Ok(Some(Self { connection, bytes: size, prefix, kept: RefCell::default() }))
    }

    /// Opens with an answer that brings everything. Its body is read no further than needed and kept.
    async fn in_order(connection: Rc<RemoteConnection>, head: &Head, body: Box<dyn Body>) -> Result<Self> {
        let mut reader = RangeReader::in_order(&connection, 0, None, Some(Open { body, at: 0, end: None }));
        let mut prefix = Vec::new();
        if let Some(size) = head.length {
            let enough = if head.text && size < UNTOLD { UNTOLD } else { PREFIX };
            receive(&mut reader, &mut prefix, enough).await?;
            // More than announced is a body that was compressed on its way, unseen by us; what is missing is read later.
            if prefix.len() as u64 <= size {
                connection.size.set(Some(size));
                let kept = RefCell::new(Some(reader.until(size)));
                return Ok(Self { connection, bytes: size, prefix, kept });
            }
        }
        let mut bytes = prefix.len() as u64;
        if receive(&mut reader, &mut prefix, UNTOLD).await? {
            (connection.web.notices)(&format!(
                "The server does not tell the size of {}: it is read twice.",
                connection.name
            ));
            bytes = prefix.len() as u64;
            while let Some(piece) = reader.next().await? {
                bytes += piece.len() as u64;
            }
            prefix.truncate(PREFIX as usize);
            prefix.shrink_to_fit();
        } else {
            bytes = bytes.max(prefix.len() as u64);
        }
        Ok(Self { connection, bytes, prefix, kept: RefCell::default() })
    }

    /// What tells this version of the file from others: the Hub's checksum, an `ETag` or a date.
    fn mark(&self) -> Option<String> {
        self.connection.version.borrow().as_ref()?.mark().map(str::to_owned)
    }

    /// Refuses spans that are not inside the file.
    fn inside(&self, span: &Range<u64>) -> Result<()> {
        if span.start <= span.end && span.end <= self.bytes {
            return Ok(());
        }
        let (name, Range { start, end }) = (&self.connection.name, span);
        Err(Error::Model(format!("{name} ends before byte {end} (from {start}): it is incomplete; use another copy.")))
    }
}

impl File for Remote {
    fn name(&self) -> &str {
        &self.connection.name
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn version(&self) -> String {
        self.mark().unwrap_or_default()
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            self.inside(&span)?;
            self.read_span(span).await
        })
    }

    fn stream<'a>(&'a self, spans: &'a [Range<u64>], sink: &'a mut dyn Sink) -> Pending<'a, Result<()>> {
        Box::pin(async move {
            spans.iter().try_for_each(|span| self.inside(span))?;
            self.stream_spans(spans, sink).await
        })
    }
}

/// Sends the first request until there is an answer with a body; `None` where there is no such file.
async fn first(connection: &RemoteConnection, mut range: Option<Range<u64>>) -> Result<Option<(Head, Box<dyn Body>)>> {
    let mut patience = Patience::default();
    loop {
        let mut sent = connection.send(range.clone()).await;
        if sent.is_err() && range.is_some() {
            // Some storages refuse the question that a browser asks before a request with a range.
            sent = connection.send(None).await;
            connection.unproven.set(sent.is_ok());
        }
        let trouble = match sent {
            Ok((head, _)) if head.status == 404 && head.code.as_deref().is_none_or(|code| code == "EntryNotFound") => {
                return Ok(None);
            }
            Ok((head, _)) if head.status == 416 && range.is_some() => {
                // So an empty file answers.
                range = None;
                continue;
            }
            Ok((head, body)) => match connection.check(&head) {
                Ok(()) if head.html => return Ok(None),
                Ok(())
                    if head.status == 206 && (range.is_none() || head.part.as_ref().is_some_and(|p| p.start > 0)) =>
                {
                    Again::odd("the server sends another part than asked for")
                }
                Ok(()) => return Ok(Some((head, body))),
                Err(trouble) => trouble,
            },
            Err(broken) => Again::broken(broken.0),
        };
        patience.again(connection, trouble, 0).await?;
    }
}

/// Receives until `bytes` has at least `enough`; says whether there may be more.
async fn receive(reader: &mut RangeReader, bytes: &mut Vec<u8>, enough: u64) -> Result<bool> {
    while (bytes.len() as u64) < enough {
        let Some(piece) = reader.next().await? else { return Ok(false) };
        bytes.extend(piece);
    }
    Ok(true)
}

/// A document as a whole, with the address of its next page; `None` where there is none.
///
/// # Errors
/// As [`Remote::open`].
pub(crate) async fn page(web: &Web, url: &str, name: &str) -> Result<Option<(Vec<u8>, Option<String>)>> {
    let connection = Rc::new(RemoteConnection::new(web, url, name));
    let Some((head, body)) = first(&connection, None).await? else { return Ok(None) };
    *connection.version.borrow_mut() = Some(head.version);
    let mut reader = RangeReader::in_order(&connection, 0, None, Some(Open { body, at: 0, end: None }));
    let mut text = Vec::new();
    if receive(&mut reader, &mut text, UNTOLD).await? {
        return Err(Error::File(format!("What the server says of {name} has no end; check the address.")));
    }
    Ok(Some((text, head.next)))
}

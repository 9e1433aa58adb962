//! One file at an address.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::answer::Head;
use super::connection::{Again, Patience, RemoteConnection};
use super::range_reader::{Open, RangeReader};
use super::{Body, Web, address};
use crate::error::{Error, Result};
use crate::source::file::{File, Pending, Sink};

/// Size of the first request. It covers most headers and all of a small file.
pub(super) const PREFIX: u64 = 256 << 10;
/// Largest file of unknown size that is kept in memory. Larger ones are downloaded twice.
const UNTOLD: u64 = 32 << 20;

/// A file at an address, read by range requests, or sequentially if the server does not support them.
pub struct Remote {
    pub(super) connection: Rc<RemoteConnection>,
    bytes: u64,
    /// The file's first bytes.
    pub(super) prefix: Vec<u8>,
    /// Open sequential reader of a server without range support, kept between two spans.
    pub(super) kept: RefCell<Option<RangeReader>>,
}

impl Remote {
    /// Requests the first 256 KiB of the file at `url`, called `name` in messages. `None` if there is no file, or a web
    /// page in its place.
    ///
    /// # Errors
    /// One sentence if access is refused, or if the server does not respond after several attempts.
    pub async fn open(web: &Web, url: &str, name: &str) -> Result<Option<Self>> {
        let connection = RemoteConnection::new(web, url, name);
        match first(&connection, Some(0..PREFIX)).await? {
            First::Answer(head, body) => Self::answered(connection, head, body).await,
            First::Missing(_) | First::Page => Ok(None),
        }
    }

    /// Finds out what is at an address, whatever its extension. Requests the first bytes and takes the file's name from the
    /// response. With `hasty`, the first 403 is final.
    ///
    /// # Errors
    /// As [`Remote::open`].
    pub async fn look(web: &Web, url: &str, hasty: bool) -> Result<Looked> {
        let mut connection = RemoteConnection::new(web, url, &address::file_name(url, None));
        connection.hasty = hasty;
        let (head, body) = match first(&connection, Some(0..PREFIX)).await? {
            First::Answer(head, body) => (head, body),
            First::Missing(status) => {
                let (host, url) = (address::host(url), address::shown(url));
                let sentence = format!("There is no file at {url}: {host} answers {status}. Check the address.");
                return Ok(Looked::Nothing(sentence));
            }
            First::Page => {
                return Ok(Looked::Nothing(format!(
                    "{} is a web page instead of a model; give the address of the file itself, to which its download \
                     button leads.",
                    address::shown(url)
                )));
            }
        };
        connection.name = address::file_name(url, head.disposition.as_deref());
        connection.hasty = false;
        let file = Self::answered(connection, head, body).await?;
        Ok(match file.filter(|file| has_weights(&file.prefix)) {
            Some(file) => Looked::File(file),
            None => Looked::Nothing(format!(
                "What is at {} is no model (safetensors, GGUF or a checkpoint of PyTorch); give the address of the file \
                 itself, or of a folder in the diffusers layout.",
                address::shown(url)
            )),
        })
    }

    /// Opens the file from the response to the first request.
    async fn answered(connection: RemoteConnection, head: Box<Head>, body: Box<dyn Body>) -> Result<Option<Self>> {
        let connection = Rc::new(connection);
        *connection.version.borrow_mut() = Some(head.version.clone());
        if head.status != 206 {
            connection.ranges.set(false);
            return Self::in_order(connection, &head, body).await.map(Some);
        }
        // If the total size is unknown, a part shorter than requested is the whole file.
        let Some(size) = head.total.or(head.length.filter(|length| *length < PREFIX)) else {
            drop(body);
            let First::Answer(head, body) = first(&connection, None).await? else { return Ok(None) };
            return Self::in_order(connection, &head, body).await.map(Some);
        };
        connection.size.set(Some(size));
        let open = Open { body, at: 0, end: head.part.map(|part| part.end).or(head.length) };
        let mut reader = RangeReader::in_order(&connection, 0, Some(size.min(PREFIX)), Some(open));
        let mut prefix = Vec::new();
        receive(&mut reader, &mut prefix, PREFIX).await?;
        Ok(Some(Self { connection, bytes: size, prefix, kept: RefCell::default() }))
    }

    /// Opens the file from a response with the whole file. The body is read only as far as needed and stays open.
    async fn in_order(connection: Rc<RemoteConnection>, head: &Head, body: Box<dyn Body>) -> Result<Self> {
        let mut reader = RangeReader::in_order(&connection, 0, None, Some(Open { body, at: 0, end: None }));
        let mut prefix = Vec::new();
        if let Some(size) = head.length {
            let enough = if head.text && size < UNTOLD { UNTOLD } else { PREFIX };
            receive(&mut reader, &mut prefix, enough).await?;
            // More bytes than announced: the body was compressed in transit and the header was hidden. The rest is read
            // later.
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

    /// Identifies this version of the file: the Hub's checksum, an `ETag` or a date.
    fn mark(&self) -> Option<String> {
        self.connection.version.borrow().as_ref()?.mark().map(str::to_owned)
    }

    /// Rejects spans that are not inside the file.
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

/// What was found at an address.
pub enum Looked {
    /// A file that starts like a weights file.
    File(Remote),
    /// No weights file; the sentence says what is there instead.
    Nothing(String),
}

/// Whether a weights file may start like this. Includes kinds that are not read but have an error message of their own.
fn has_weights(start: &[u8]) -> bool {
    matches!(start, [b'G', b'G', b'U', b'F', ..] | [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..])
        || start.get(8) == Some(&b'{') && start.get(4..8) == Some(&[0; 4])
        || start.starts_with(b"version https://git-lfs")
}

/// The first response.
enum First {
    Answer(Box<Head>, Box<dyn Body>),
    /// There is no such file; the HTTP status.
    Missing(u16),
    /// There is a web page in its place.
    Page,
}

/// Sends the first request, with retries, until there is a response.
async fn first(connection: &RemoteConnection, mut range: Option<Range<u64>>) -> Result<First> {
    let mut patience = Patience::default();
    loop {
        let mut sent = connection.send(range.clone()).await;
        if sent.is_err() && range.is_some() {
            // Some storages reject the CORS preflight that a browser sends before a range request.
            sent = connection.send(None).await;
            connection.unproven.set(sent.is_ok());
        }
        let trouble = match sent {
            Ok((head, _)) if head.status == 404 && head.code.as_deref().is_none_or(|code| code == "EntryNotFound") => {
                return Ok(First::Missing(head.status));
            }
            Ok((head, _)) if head.status == 416 && range.is_some() => {
                // This is the response to a range request for an empty file.
                range = None;
                continue;
            }
            Ok((head, body)) => match connection.check(&head) {
                Ok(()) if head.html => return Ok(First::Page),
                Ok(())
                    if head.status == 206 && (range.is_none() || head.part.as_ref().is_some_and(|p| p.start > 0)) =>
                {
                    Again::odd("the server sends another part than asked for")
                }
                Ok(()) => return Ok(First::Answer(Box::new(head), body)),
                Err(trouble) => trouble,
            },
            Err(broken) => Again::broken(broken.0),
        };
        patience.again(connection, trouble, 0).await?;
    }
}

/// Receives until `bytes` holds at least `enough` bytes. Returns whether there may be more.
async fn receive(reader: &mut RangeReader, bytes: &mut Vec<u8>, enough: u64) -> Result<bool> {
    while (bytes.len() as u64) < enough {
        let Some(piece) = reader.next().await? else { return Ok(false) };
        bytes.extend(piece);
    }
    Ok(true)
}

/// A whole document and the address of its next page. `None` if there is no document.
///
/// # Errors
/// As [`Remote::open`].
pub(crate) async fn page(web: &Web, url: &str, name: &str) -> Result<Option<(Vec<u8>, Option<String>)>> {
    let connection = Rc::new(RemoteConnection::new(web, url, name));
    let First::Answer(head, body) = first(&connection, None).await? else { return Ok(None) };
    *connection.version.borrow_mut() = Some(head.version);
    let mut reader = RangeReader::in_order(&connection, 0, None, Some(Open { body, at: 0, end: None }));
    let mut text = Vec::new();
    if receive(&mut reader, &mut text, UNTOLD).await? {
        return Err(Error::File(format!("What the server says of {name} has no end; check the address.")));
    }
    Ok(Some((text, head.next)))
}

//! Streams many spans of one file: neighbours are joined, a few requests run in parallel, and delivery is in order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;

use futures_util::stream::{FuturesOrdered, StreamExt};

use super::range_reader::{RangeReader, ReadStop};
use super::remote::Remote;
use crate::error::{Error, Result};
use crate::source::file::{File, Sink};

/// Unwanted bytes between two spans that are fetched anyway, because skipping them would cost another request.
const GAP: u64 = 128 << 10;
/// Largest request, unless a single span is larger.
const REQUEST: u64 = 16 << 20;
/// Most requests that are in flight or wait for the sink.
const FLIGHT: usize = 4;
/// Most bytes in these requests.
const WINDOW: u64 = 64 << 20;

/// Spans that are fetched with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    /// From the first byte of the first span to the last byte of the last span.
    range: Range<u64>,
    /// Indices of the spans.
    spans: Range<usize>,
}

impl Block {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Joins `spans[from..]` into requests.
fn plan(spans: &[Range<u64>], from: usize) -> VecDeque<Block> {
    let mut blocks = VecDeque::<Block>::new();
    for (index, span) in spans.iter().enumerate().skip(from) {
        if let Some(last) = blocks.back_mut()
            && (last.range.end..=last.range.end.saturating_add(GAP)).contains(&span.start)
            && span.end - last.range.start <= REQUEST
        {
            last.range.end = span.end;
            last.spans.end = index + 1;
        } else {
            blocks.push_back(Block { range: span.clone(), spans: index..index + 1 });
        }
    }
    blocks
}

/// Splits a stream of bytes into the requested spans.
struct RangeSplitter<'a> {
    spans: &'a [Range<u64>],
    /// File offset of the next bytes.
    at: u64,
    /// Complete spans; `current` is the one being filled.
    cut: Vec<Vec<u8>>,
    current: Vec<u8>,
}

impl<'a> RangeSplitter<'a> {
    fn new(spans: &'a [Range<u64>], at: u64) -> Self {
        Self { spans, at, cut: Vec::with_capacity(spans.len()), current: Vec::new() }
    }

    /// Consumes the next bytes and returns those past the last span.
    fn take<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while let Some(span) = self.spans.get(self.cut.len()) {
            let skip = usize::try_from(span.start.saturating_sub(self.at)).unwrap_or(usize::MAX).min(bytes.len());
            let wanted = usize::try_from(span.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(bytes.len());
            let part = bytes.get(skip..wanted).unwrap_or_default();
            if self.current.capacity() == 0 {
                self.current.reserve_exact((span.end - span.start).min(REQUEST) as usize);
            }
            self.current.extend_from_slice(part);
            self.at += wanted as u64;
            bytes = bytes.get(wanted..).unwrap_or_default();
            if self.at < span.end {
                break;
            }
            self.cut.push(std::mem::take(&mut self.current));
        }
        bytes
    }
}

impl Remote {
    /// The bytes of one span.
    pub(super) async fn read_span(&self, span: Range<u64>) -> Result<Vec<u8>> {
        if self.connection.ranges.get() {
            let spans = [span.clone()];
            match self.fetch(&spans, &span).await {
                Ok(cut) => return Ok(cut.into_iter().next().unwrap_or_default()),
                Err(ReadStop::Fail(error)) => return Err(error),
                Err(ReadStop::Whole) => {}
            }
        }
        self.read_in_order(span).await
    }

    /// Delivers all spans. Switches between range requests and sequential reading, depending on what the server supports.
    pub(super) async fn stream_spans(&self, spans: &[Range<u64>], sink: &mut dyn Sink) -> Result<()> {
        let mut done = 0;
        if self.connection.unproven.get() {
            // A single request shows whether range requests are rejected permanently.
            self.connection.ranges.set(true);
        }
        while done < spans.len() {
            if self.connection.ranges.get() {
                match self.stream_blocks(spans, &mut done, sink).await {
                    Ok(()) | Err(ReadStop::Whole) => {}
                    Err(ReadStop::Fail(error)) => return Err(error),
                }
            } else if let Some(span) = spans.get(done) {
                sink.take(done, self.read_in_order(span.clone()).await?).await?;
                done += 1;
            }
        }
        Ok(())
    }

    /// Delivers `spans[*done..]` with several requests in flight, and advances `done`.
    async fn stream_blocks(&self, spans: &[Range<u64>], done: &mut usize, sink: &mut dyn Sink) -> Result<(), ReadStop> {
        let mut blocks = plan(spans, *done);
        let mut flying = FuturesOrdered::new();
        let mut landed = VecDeque::new();
        // Bytes of the blocks that are in flight, have arrived or are with the sink.
        let mut held = 0;
        loop {
            while let Some(block) = blocks.front()
                && flying.len() + landed.len() < if self.connection.unproven.get() { 1 } else { FLIGHT }
                && (held == 0 || held + block.len() <= WINDOW)
            {
                held += block.len();
                if let Some(block) = blocks.pop_front() {
                    flying.push_back(async move {
                        let cut = self.fetch(spans.get(block.spans.clone()).unwrap_or_default(), &block.range).await;
                        (block, cut)
                    });
                }
            }
            let next = match landed.pop_front() {
                Some(next) => Some(next),
                None => flying.next().await,
            };
            let Some((block, cut)) = next else { return Ok(()) };
            let cut = cut?;
            if !self.connection.unproven.get() {
                // Range requests work: no body needs to stay open.
                self.kept.take();
            }
            for (index, bytes) in block.spans.clone().zip(cut) {
                // The other requests make progress while the sink is busy.
                let mut taking = sink.take(index, bytes);
                poll_fn(|context| {
                    while let Poll::Ready(Some(next)) = flying.poll_next_unpin(context) {
                        landed.push_back(next);
                    }
                    taking.as_mut().poll(context)
                })
                .await?;
                *done = index + 1;
            }
            held -= block.len();
        }
    }

    /// The bytes of the spans inside `range`. One request fetches what the prefix does not contain.
    async fn fetch(&self, spans: &[Range<u64>], range: &Range<u64>) -> Result<Vec<Vec<u8>>, ReadStop> {
        let mut splitter = RangeSplitter::new(spans, range.start);
        let known = self.prefix_of(range);
        splitter.take(known);
        let mut reader = RangeReader::part(&self.connection, range.start + known.len() as u64..range.end);
        while let Some(piece) = reader.next().await? {
            splitter.take(&piece);
        }
        if splitter.cut.len() < spans.len() {
            return Err(self.short().into());
        }
        Ok(splitter.cut)
    }

    /// The part of `range` that is in the prefix, from the start of `range`.
    fn prefix_of(&self, range: &Range<u64>) -> &[u8] {
        let place = |at: u64| usize::try_from(at).map_or(self.prefix.len(), |at| at.min(self.prefix.len()));
        self.prefix.get(place(range.start)..place(range.end)).unwrap_or_default()
    }

    /// The bytes of a span, from the open body unless it is already past them, or else from a new one.
    async fn read_in_order(&self, span: Range<u64>) -> Result<Vec<u8>> {
        let mut splitter = RangeSplitter::new(std::slice::from_ref(&span), span.start);
        splitter.take(self.prefix_of(&span));
        if splitter.cut.is_empty() {
            let at = splitter.at;
            let kept = self.kept.borrow_mut().take().filter(|reader| reader.at() <= at);
            let mut reader =
                kept.unwrap_or_else(|| RangeReader::in_order(&self.connection, at, Some(self.bytes()), None));
            reader.skip_to(at);
            while splitter.cut.is_empty() {
                let Some(piece) = reader.next().await? else { break };
                let rest = splitter.take(&piece).len();
                reader.put_back(piece, rest);
            }
            // If range requests work by now, no body needs to stay open.
            if !self.connection.ranges.get() {
                *self.kept.borrow_mut() = Some(reader);
            }
        }
        splitter.cut.pop().ok_or_else(|| self.short())
    }

    fn short(&self) -> Error {
        Error::File(format!("{} ended early; load it again.", self.connection.name))
    }
}

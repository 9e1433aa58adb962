//! A transport for tests that misbehaves on demand, with a clock that records waits.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use pollster::block_on;

use super::remote::Remote;
use super::{Body, Broken, HttpRequest, HttpResponse, Transport, Web};
use crate::error::Result;
use crate::source::file::{Pending, Sink};
use crate::source::token::Token;

pub(super) const PIECE: u64 = 64 << 10;

/// The file's bytes. Every position differs from its neighbours.
pub(super) fn content(span: Range<u64>) -> Vec<u8> {
    let words = span.start / 8..span.end.div_ceil(8);
    let skip = (span.start - words.start * 8) as usize;
    let mut bytes = Vec::with_capacity(8 * (words.end - words.start) as usize);
    for word in words {
        bytes.extend_from_slice(&(word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    bytes[skip..skip + (span.end - span.start) as usize].to_vec()
}

/// How one request is answered. The default is correct behaviour.
#[derive(Clone)]
pub(super) enum Habit {
    Good,
    /// No response at all.
    Silent,
    Status(u16, Vec<(&'static str, &'static str)>),
    /// The connection breaks after this many bytes.
    Break(u64),
    /// The body ends after this many bytes, as if complete.
    End(u64),
    /// The part starts one byte late.
    Shifted,
    /// At most this many bytes, correctly announced.
    Less(u64),
    /// As many bytes as announced, then this many that do not belong to the file.
    Junk(u64),
    /// The whole file.
    Whole,
    /// A wrong value for one header.
    Header(&'static str, &'static str),
    /// Every piece takes this many polls.
    Slow(u32),
}

#[derive(Default)]
pub(super) struct Fake {
    pub(super) size: u64,
    pub(super) habits: RefCell<VecDeque<Habit>>,
    /// Whether ranges are ignored, whether they fail like a preflight, and whether the size is withheld.
    pub(super) ignores_ranges: bool,
    pub(super) refuses_ranges: bool,
    pub(super) untold: bool,
    /// Whether the content type is JSON.
    pub(super) json: bool,
    /// What the file starts with.
    pub(super) start: &'static [u8],
    pub(super) requests: RefCell<Vec<Option<Range<u64>>>>,
    /// Addresses of the requests, with their tokens.
    pub(super) addresses: RefCell<Vec<(String, Option<Token>)>>,
    pub(super) slept: RefCell<Vec<f64>>,
    pub(super) clock: Cell<f64>,
    pub(super) sent: Rc<Cell<u64>>,
    pub(super) open: Rc<Cell<usize>>,
    pub(super) most_open: Cell<usize>,
}

struct FakeBody {
    span: Range<u64>,
    /// Offset at which the file's own bytes end.
    announced: u64,
    /// Offset at which the connection breaks.
    breaks: Option<u64>,
    polls: u32,
    start: &'static [u8],
    sent: Rc<Cell<u64>>,
    open: Rc<Cell<usize>>,
}

impl Drop for FakeBody {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
    }
}

impl Body for FakeBody {
    fn next(&mut self) -> Pending<'_, Result<Option<Vec<u8>>, Broken>> {
        Box::pin(async move {
            pause(self.polls).await;
            if self.breaks == Some(self.span.start) {
                return Err(Broken("reset".into()));
            }
            let end = self.span.end.min(self.span.start + PIECE).min(self.breaks.unwrap_or(u64::MAX));
            let mut piece = content(self.span.start..end);
            let own = self.announced.saturating_sub(self.span.start).min(piece.len() as u64) as usize;
            piece[own..].iter_mut().for_each(|byte| *byte ^= 1);
            for (at, byte) in self.start.iter().enumerate().skip(self.span.start as usize) {
                piece.get_mut(at - self.span.start as usize).into_iter().for_each(|there| *there = *byte);
            }
            self.span.start = end;
            self.sent.set(self.sent.get() + piece.len() as u64);
            Ok((!piece.is_empty()).then_some(piece))
        })
    }
}

/// Stays pending for this many polls.
async fn pause(mut polls: u32) {
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Transport for Fake {
    fn send(&self, request: HttpRequest) -> Pending<'_, Result<HttpResponse, Broken>> {
        Box::pin(async move {
            self.requests.borrow_mut().push(request.range.clone());
            self.addresses.borrow_mut().push((request.url.clone(), request.token.clone()));
            pause(1).await;
            let habit = self.habits.borrow_mut().pop_front().unwrap_or(Habit::Good);
            if matches!(habit, Habit::Silent) || (self.refuses_ranges && request.range.is_some()) {
                return Err(Broken("no answer".into()));
            }
            let asked = request.range.filter(|_| !self.ignores_ranges && !matches!(habit, Habit::Whole));
            let mut span = asked.as_ref().map_or(0..self.size, |range| range.start..range.end.min(self.size));
            let mut status = if asked.is_some() { 206 } else { 200 };
            match &habit {
                Habit::Shifted if asked.is_some() => span.start += 1,
                Habit::Less(bytes) | Habit::Junk(bytes) if asked.is_some() => {
                    span.end = span.end.min(span.start + bytes)
                }
                _ => {}
            }
            let mut headers = vec![("etag".into(), "\"one\"".into())];
            if self.json {
                headers.push(("content-type".into(), "application/json".into()));
            }
            if !self.untold {
                headers.push(("content-length".into(), (span.end - span.start).to_string()));
            }
            if asked.is_some_and(|range| range.start >= self.size) {
                (status, span) = (416, 0..0);
                headers.push(("content-range".into(), format!("bytes */{}", self.size)));
            } else if status == 206 {
                headers.push(("content-range".into(), format!("bytes {}-{}/{}", span.start, span.end - 1, self.size)));
            }
            if let Habit::Status(other, more) = &habit {
                (status, span) = (*other, 0..0);
                headers = more.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
            }
            if let Habit::Header(key, value) = habit {
                headers.retain(|(other, _)| other != key);
                headers.push((key.to_owned(), value.to_owned()));
            }
            if let Habit::End(bytes) = habit {
                span.end = span.end.min(span.start + bytes);
            }
            let announced = span.end;
            if let Habit::Junk(bytes) = habit
                && status == 206
            {
                span.end += bytes;
            }
            let breaks = match habit {
                Habit::Break(bytes) => Some(span.start + bytes).filter(|place| *place < span.end),
                _ => None,
            };
            let polls = if let Habit::Slow(polls) = habit { polls } else { 0 };
            self.open.set(self.open.get() + 1);
            self.most_open.set(self.most_open.get().max(self.open.get()));
            let (sent, open) = (self.sent.clone(), self.open.clone());
            Ok(HttpResponse {
                status,
                headers,
                body: Box::new(FakeBody { span, announced, breaks, polls, start: self.start, sent, open }),
            })
        })
    }

    fn sleep(&self, time: Duration) -> Pending<'_, ()> {
        self.slept.borrow_mut().push(time.as_secs_f64());
        let end = self.clock.get() + time.as_secs_f64() * 1000.0;
        Box::pin(async move {
            pause(5).await;
            self.clock.set(end.max(self.clock.get()));
        })
    }

    fn now(&self) -> f64 {
        self.clock.get()
    }
}

/// Collects what arrives, in order or not; `polls` makes it slow.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) spans: Vec<(usize, Vec<u8>)>,
    pub(super) bytes: Rc<Cell<u64>>,
    pub(super) polls: u32,
}

impl Sink for Taken {
    fn take(&mut self, index: usize, bytes: Vec<u8>) -> Pending<'_, Result<()>> {
        Box::pin(async move {
            pause(self.polls).await;
            self.bytes.set(self.bytes.get() + bytes.len() as u64);
            self.spans.push((index, bytes));
            Ok(())
        })
    }
}

pub(super) struct Bench {
    pub(super) fake: Rc<Fake>,
    pub(super) web: Web,
    pub(super) notices: Rc<RefCell<Vec<String>>>,
}

pub(super) fn bench(fake: Fake) -> Bench {
    let fake = Rc::new(fake);
    let notices = Rc::new(RefCell::new(Vec::new()));
    let hear = notices.clone();
    let web = Web::new(fake.clone(), Rc::new(move |notice: &str| hear.borrow_mut().push(notice.to_owned())));
    Bench { fake, web, notices }
}

impl Bench {
    pub(super) fn try_open(&self) -> Result<Option<Remote>> {
        block_on(Remote::open(&self.web, "https://host.example/a/model.gguf?x=1", "model.gguf"))
    }

    pub(super) fn open(&self) -> Remote {
        self.try_open().expect("an answer").expect("a file")
    }

    pub(super) fn plan(&self, habits: impl IntoIterator<Item = Habit>) {
        self.fake.habits.borrow_mut().extend(habits);
    }
}

//! Files over a misbehaving transport: difficult sequences, breaks in the worst places, and when to give up.

#![allow(clippy::single_range_in_vec_init, reason = "spans of a file, and sometimes there is one")]

use std::cell::Cell;
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;

use pollster::block_on;

use super::fake::{Fake, Habit, PIECE, Taken, bench, content};
use super::remote::{Remote, page};
use crate::error::{Error, Result};
use crate::source::file::File;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Streams `spans` and compares every byte.
fn stream(remote: &Remote, spans: &[Range<u64>]) -> Result<()> {
    let mut taken = Taken::default();
    block_on(remote.stream(spans, &mut taken))?;
    let expected: Vec<_> = spans.iter().map(|span| content(span.clone())).enumerate().collect();
    assert!(taken.spans == expected, "other bytes than the file's for {spans:?}");
    Ok(())
}

fn file(size: u64) -> Fake {
    Fake { size, ..Fake::default() }
}

#[test]
fn a_small_file_takes_one_request() {
    let bench = bench(file(1000));
    let remote = bench.open();
    assert_eq!((remote.bytes(), &remote.version()[..]), (1000, "one"));
    assert_eq!(block_on(remote.read(10..1000)).expect("bytes"), content(10..1000));
    stream(&remote, &[0..5, 5..5, 700..1000]).expect("bytes");
    assert_eq!(*bench.fake.requests.borrow(), [Some(0..256 * KIB)]);
    assert!(block_on(remote.read(900..1001)).is_err());
}

#[test]
fn late_answers_are_delivered_in_order_and_few_bytes_are_held() {
    let bench = bench(file(100 * MIB));
    let remote = bench.open();
    bench.plan([400, 2, 1, 3, 1, 1, 1].map(Habit::Slow));
    let spans: Vec<_> = (0..25).map(|i| i * 4 * MIB..(i + 1) * 4 * MIB).collect();
    let (sent, delivered) = (bench.fake.sent.clone(), Rc::new(Cell::new(0)));
    let mut taken = Taken { polls: 300, bytes: delivered.clone(), ..Taken::default() };
    let mut most = 0;
    let mut streaming = remote.stream(&spans, &mut taken);
    block_on(poll_fn(|context| {
        let poll = streaming.as_mut().poll(context);
        most = most.max(sent.get() - delivered.get());
        poll
    }))
    .expect("bytes");
    drop(streaming);
    assert!(taken.spans.iter().enumerate().all(|(i, (index, _))| i == *index) && taken.spans.len() == 25);
    assert!(taken.spans[24].1 == content(96 * MIB..100 * MIB));
    assert_eq!(bench.fake.most_open.get(), 4);
    assert!(most <= 64 * MIB + 256 * KIB, "{most} bytes were held");
    assert!(most >= 40 * MIB, "the others wait while the sink is busy");
    assert_eq!(bench.fake.requests.borrow().len(), 1 + 7, "of 16 MiB");
    assert_eq!(sent.get(), 100 * MIB, "the first 256 KiB are not fetched again");
}

#[test]
fn a_break_costs_nothing_but_a_request() {
    let bench = bench(file(40 * MIB));
    let remote = bench.open();
    bench.plan((0..20).map(|i| Habit::Break(100_000 * (i + 1))));
    stream(&remote, &[MIB..17 * MIB, 20 * MIB..30 * MIB]).expect("bytes");
    assert_eq!(bench.fake.sent.get(), 26 * MIB + 256 * KIB);
    // Progress in between resets the delay.
    assert!(bench.fake.slept.borrow().iter().all(|time| *time == 0.5), "{:?}", bench.fake.slept);
    let notices = bench.notices.borrow();
    assert!(notices[0].starts_with("The connection broke; going on with model.gguf at 1 MB"), "{notices:?}");
    assert!(notices.len() <= 3, "a person is told once in a while: {notices:?}");
}

#[test]
fn short_parts_and_long_bodies() {
    let bench = bench(file(40 * MIB));
    bench.plan([Habit::Junk(1000)]);
    let remote = bench.open();
    bench.plan([Habit::Less(100_000), Habit::Junk(70_000), Habit::Less(1), Habit::Good]);
    stream(&remote, &[5..9, 900..5000, MIB..2 * MIB]).expect("bytes");
    assert_eq!(bench.fake.requests.borrow().len(), 2 + 4);
    assert!(bench.fake.slept.borrow().is_empty(), "nothing broke");
    // Small parts, far from each other: at most four requests at a time.
    bench.plan(vec![Habit::Slow(9); 30]);
    stream(&remote, &Vec::from_iter((1..30).map(|i| i * MIB..i * MIB + 9))).expect("bytes");
    assert_eq!(bench.fake.most_open.get(), 4);
}

#[test]
fn gives_up_after_six_tries_without_progress() {
    let bench = bench(file(MIB));
    let remote = bench.open();
    bench.plan(vec![Habit::Silent; 5]);
    stream(&remote, &[500 * KIB..600 * KIB]).expect("the sixth try brings it");
    assert_eq!(*bench.fake.slept.borrow(), [0.5, 1.0, 2.0, 4.0, 8.0]);
    bench.plan(vec![Habit::Status(500, vec![]); 6]);
    let error = stream(&remote, &[500 * KIB..600 * KIB]).expect_err("six failures").to_string();
    assert_eq!(
        error,
        "model.gguf could not be loaded in 6 tries: host.example answers 500. Check the network and try again."
    );
}

#[test]
fn waits_as_long_as_the_server_asks() {
    let bench = bench(file(MIB));
    let remote = bench.open();
    let waits = [
        (429, vec![("retry-after", "12")], Some(12.0)),
        (503, vec![("ratelimit", "\"resolvers\";r=0;t=33")], Some(33.0)),
        (429, vec![("retry-after", "86400")], Some(300.0)),
        (429, vec![], None),
    ];
    for (status, headers, wait) in waits {
        bench.fake.slept.borrow_mut().clear();
        bench.notices.borrow_mut().clear();
        bench.plan([Habit::Status(status, headers)]);
        stream(&remote, &[500 * KIB..600 * KIB]).expect("bytes");
        assert_eq!(*bench.fake.slept.borrow(), [wait.unwrap_or(0.5)]);
        let told = wait.map(|wait| format!("host.example asks to wait {wait} s."));
        assert_eq!(*bench.notices.borrow(), Vec::from_iter(told));
    }
    // All four requests in flight are refused: one notice, and no retry before its time.
    bench.notices.borrow_mut().clear();
    let other = self::bench(file(100 * MIB));
    let remote = other.open();
    other.plan(vec![Habit::Status(429, vec![("retry-after", "20")]); 4]);
    stream(&remote, &[MIB..17 * MIB, 20 * MIB..36 * MIB, 40 * MIB..56 * MIB, 60 * MIB..76 * MIB]).expect("bytes");
    assert_eq!(other.notices.borrow().len(), 1);
    assert_eq!(other.fake.requests.borrow().len(), 9);
}

#[test]
fn refusals_are_sentences() {
    let code = |code| vec![("x-error-code", code)];
    let cases = [
        (401, code("GatedRepo"), 1, "without signing in (host.example answers 401): sign in there"),
        (403, code("GatedRepo"), 1, "use an address that needs no login"),
        (401, vec![], 1, "without signing in"),
        (404, code("RevisionNotFound"), 1, "answers 404"),
        (410, vec![], 1, "answers 410"),
        (400, vec![], 1, "answers 400"),
        (403, vec![], 3, "refuses it (403)"),
    ];
    for (status, headers, requests, words) in cases {
        let bench = bench(file(MIB));
        bench.plan(vec![Habit::Status(status, headers); 9]);
        let error = bench.try_open().err().expect("an error").to_string();
        assert!(error.contains(words) && error.starts_with("model.gguf"), "{status}: {error}");
        assert_eq!(bench.fake.requests.borrow().len(), requests, "{status}");
    }
    let bench = bench(file(MIB));
    bench.plan([Habit::Status(404, vec![]), Habit::Status(404, code("EntryNotFound"))]);
    bench.plan([Habit::Header("content-type", "text/html; charset=utf-8")]);
    for _ in 0..3 {
        assert!(bench.try_open().expect("an answer").is_none());
    }
    let remote = bench.open();
    bench.plan([Habit::Status(403, vec![])]);
    stream(&remote, &[500 * KIB..600 * KIB]).expect("a new signature");
}

#[test]
fn a_changed_file_is_told() {
    let changes = [
        Habit::Header("etag", "\"two\""),
        Habit::Header("content-range", "bytes 512000-614399/1048577"),
        Habit::Status(416, vec![("content-range", "bytes */7")]),
    ];
    for change in changes {
        let bench = bench(file(MIB));
        let remote = bench.open();
        bench.plan([Habit::Break(50_000), change.clone()]);
        let error = stream(&remote, &[500 * KIB..600 * KIB]).expect_err("another file");
        assert!(matches!(error, Error::Changed(_)), "{error}");
    }
    let bench = bench(Fake { ignores_ranges: true, ..file(MIB) });
    let remote = bench.open();
    bench.plan([Habit::Header("content-length", "99")]);
    stream(&remote, &[500 * KIB..600 * KIB]).expect("from the body that is open");
    let error = stream(&remote, &[500 * KIB..600 * KIB]).expect_err("another length");
    assert!(matches!(error, Error::Changed(_)), "{error}");
}

#[test]
fn a_server_without_ranges_is_read_in_order() {
    for refuses_ranges in [false, true] {
        let bench = bench(Fake { ignores_ranges: !refuses_ranges, refuses_ranges, ..file(20 * MIB) });
        let remote = bench.open();
        assert_eq!(remote.bytes(), 20 * MIB);
        assert!(bench.fake.sent.get() <= 256 * KIB + PIECE, "no more than the prefix is read");
        stream(&remote, &[3..90, MIB..2 * MIB, 2 * MIB + 5..9 * MIB]).expect("bytes");
        let requests = bench.fake.requests.borrow().len();
        assert_eq!(requests, if refuses_ranges { 3 } else { 1 });
        assert!(bench.fake.sent.get() <= 9 * MIB + PIECE);
        assert_eq!(block_on(remote.read(9 * MIB..10 * MIB)).expect("bytes"), content(9 * MIB..10 * MIB));
        assert_eq!(bench.fake.requests.borrow().len(), requests, "still the same body");
        // Backwards: this takes a new request.
        assert_eq!(block_on(remote.read(MIB..MIB + 1)).expect("bytes"), content(MIB..MIB + 1));
        assert!(bench.fake.requests.borrow().len() > requests);
        assert_eq!(bench.fake.most_open.get(), 1);
    }
}

#[test]
fn ranges_that_come_and_go() {
    let bench = bench(file(80 * MIB));
    let remote = bench.open();
    bench.plan([Habit::Good, Habit::Whole, Habit::Whole, Habit::Good]);
    let spans: Vec<_> = (0..40).map(|i| i * 2 * MIB..i * 2 * MIB + MIB).collect();
    stream(&remote, &spans).expect("bytes");
    // One range request gets no response by chance: later requests are range requests again.
    let bench = self::bench(file(80 * MIB));
    bench.plan([Habit::Silent]);
    let remote = bench.open();
    stream(&remote, &spans).expect("bytes");
    assert_eq!(bench.fake.requests.borrow().len(), 2 + 40);
    // One response with the whole file, then parts again for a position that has been passed.
    let bench = self::bench(file(80 * MIB));
    bench.plan([Habit::Whole]);
    let remote = bench.open();
    stream(&remote, &[MIB..2 * MIB]).expect("bytes");
    bench.plan([Habit::Good]);
    assert_eq!(block_on(remote.read(0..MIB)).expect("bytes"), content(0..MIB));
    assert_eq!(bench.fake.requests.borrow()[1], Some(256 * KIB..80 * MIB));
    stream(&remote, &spans).expect("bytes");
    assert_eq!(bench.fake.requests.borrow().len(), 2 + 40, "one for every part");
}

#[test]
fn sizes_that_nobody_tells() {
    for (size, twice) in [(0, false), (1000, false), (5 * MIB, false), (40 * MIB, true)] {
        let bench = bench(Fake { ignores_ranges: true, untold: true, ..file(size) });
        bench.plan([Habit::Break(700), Habit::Break(1_000_000)]);
        let remote = bench.open();
        assert_eq!(remote.bytes(), size);
        let told = bench.notices.borrow().iter().any(|notice| notice.contains("read twice"));
        assert_eq!(told, twice);
        assert!(!twice || remote.prefix.len() as u64 <= 256 * KIB, "no memory for everything");
        stream(&remote, &[size / 3..size / 2, size / 2..size]).expect("bytes");
    }
    // CORS hides `Content-Range`: the size is that of the whole file.
    let bench = bench(file(5 * MIB));
    bench.plan([Habit::Header("content-range", "hidden")]);
    let remote = bench.open();
    assert_eq!(remote.bytes(), 5 * MIB);
    stream(&remote, &[MIB..5 * MIB]).expect("bytes");
    assert_eq!(*bench.fake.requests.borrow(), [Some(0..256 * KIB), None, Some(MIB..5 * MIB)]);
    // An empty file has no first byte.
    assert_eq!(self::bench(file(0)).open().bytes(), 0);
    // `Content-Length` is that of the compressed bytes.
    for (size, json) in [(90_000, false), (900_000, true)] {
        let zipped = self::bench(Fake { ignores_ranges: true, json, ..file(size) });
        zipped.plan([Habit::Header("content-length", if json { "300000" } else { "30000" })]);
        let remote = zipped.open();
        assert_eq!(remote.bytes(), size);
        stream(&remote, &[0..size]).expect("bytes");
    }
}

#[test]
fn documents_are_read_whole() {
    let bench = bench(file(300_000));
    bench.plan([Habit::Silent, Habit::Break(1000), Habit::Good]);
    let (text, next) = block_on(page(&bench.web, "https://host.example/list", "list")).expect("text").expect("text");
    assert!(text == content(0..300_000) && next.is_none());
    let bench = self::bench(file(100 * MIB));
    assert!(block_on(page(&bench.web, "https://host.example/list", "list")).is_err(), "no memory for everything");
}

/// Any sequence of faults yields the file's own bytes or an error, never other bytes.
#[test]
fn troubles_in_any_order() {
    let mut state = 7u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut whole = 0;
    for round in 0..100 {
        let size = 1 + next(2 * MIB);
        let (ignores_ranges, untold) = (next(4) == 0, next(5) == 0);
        let bench = bench(Fake { ignores_ranges, untold, ..file(size) });
        for _ in 0..12 {
            let bytes = next(400_000);
            let habit = match next(12) {
                0 => Habit::Silent,
                1 => Habit::Status(503, vec![]),
                2 | 3 => Habit::Break(bytes),
                // A body that ends early is detected by its length, so the length must be announced.
                4 if !untold => Habit::End(bytes),
                5 => Habit::Less(1 + bytes),
                11 if !untold => Habit::Junk(1 + bytes),
                6 => Habit::Shifted,
                7 => Habit::Whole,
                8 => Habit::Slow(5),
                _ => Habit::Good,
            };
            bench.plan([habit]);
        }
        let Ok(Some(remote)) = bench.try_open() else { continue };
        assert_eq!(remote.bytes(), size, "round {round}");
        let mut spans = Vec::new();
        let mut at = next(size);
        while at < size && spans.len() < 30 {
            let end = (at + next(300_000)).min(size);
            spans.push(at..end);
            at = end + next(2) * next(200_000);
        }
        match stream(&remote, &spans) {
            Ok(()) => whole += 1,
            Err(error) => assert!(matches!(error, Error::File(_)), "round {round}: {error}"),
        }
        let back = size / 2..size;
        if let Ok(bytes) = block_on(remote.read(back.clone())) {
            assert!(bytes == content(back), "round {round}");
        }
    }
    assert!(whole > 75, "{whole} of 100 were brought, for all the troubles");
}

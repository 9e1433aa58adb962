//! Files over HTTP from a local server that behaves like the Hub (tests/hub/server.js): what is fetched, how often, and
//! what happens when the server misbehaves.

#![allow(clippy::single_range_in_vec_init, reason = "spans of a file, and sometimes there is one")]

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{fs, thread};

use pollster::block_on;
use serde_json::{Value, json};
use styleid::weights::source::file::{File, Listed, Pending, Sink, Source};
use styleid::weights::source::http::native::Native;
use styleid::weights::source::http::{Broken, HttpRequest, HttpResponse, Transport, UrlFolder, Web};
use styleid::weights::source::hub::HubRepo;
use styleid::weights::{Error, Result};

use crate::support::{HubServer, Scratch};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The bytes in `span` of the files that the tests serve. All 8-byte words differ, so bytes of a wrong place are
/// noticed.
fn content(span: Range<u64>) -> Vec<u8> {
    let words = span.start / 8..span.end.div_ceil(8);
    let skip = (span.start - words.start * 8) as usize;
    let bytes: Vec<_> = words.flat_map(|word| (word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    bytes[skip..skip + (span.end - span.start) as usize].to_vec()
}

/// Sends real requests but sleeps at most 5 ms. Its clock is ahead by the time that it was asked to sleep.
struct Hasty {
    native: Native,
    slept: RefCell<Vec<f64>>,
    ahead: Cell<f64>,
}

impl Transport for Hasty {
    fn send(&self, request: HttpRequest) -> Pending<'_, Result<HttpResponse, Broken>> {
        self.native.send(request)
    }

    fn sleep(&self, time: Duration) -> Pending<'_, ()> {
        self.slept.borrow_mut().push(time.as_secs_f64().round());
        self.ahead.set(self.ahead.get() + time.as_secs_f64() * 1000.0);
        self.native.sleep(time.min(Duration::from_millis(5)))
    }

    fn now(&self) -> f64 {
        self.native.now() + self.ahead.get()
    }
}

/// A server with a folder of its own, and a client.
struct Hub {
    _server: HubServer,
    /// Dropped after `_server`: the folder is removed when the server has ended.
    _root: Scratch,
    hub: String,
    transport: Rc<Hasty>,
    web: Web,
    notices: Rc<RefCell<Vec<String>>>,
}

impl Hub {
    /// Starts a server with the repository `o/r`. `files` are the names and sizes of its files.
    fn start(files: &[(&str, u64)]) -> Self {
        let root = Scratch::new();
        for (path, bytes) in files {
            let path = root.path("o/r").join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, content(0..*bytes)).expect("a file");
        }
        let server = HubServer::start(&root.0);
        let hub = server.address.clone();
        let transport = Rc::new(Hasty { native: Native::new(), slept: RefCell::default(), ahead: Cell::new(0.0) });
        let notices = Rc::new(RefCell::new(Vec::new()));
        let hear = notices.clone();
        let web = Web::new(transport.clone(), Rc::new(move |notice: &str| hear.borrow_mut().push(notice.to_owned())));
        Self { _server: server, _root: root, hub, transport, web, notices }
    }

    fn repo(&self) -> HubRepo {
        HubRepo::new(&self.web, &self.hub, "o/r", "main", "")
    }

    fn try_open(&self, path: &str) -> Result<Option<Rc<dyn File>>> {
        block_on(self.repo().open(path))
    }

    fn open(&self, path: &str) -> Rc<dyn File> {
        self.try_open(path).expect("an answer").expect("a file")
    }

    fn control(&self, settings: &Value) {
        ureq::post(format!("{}/_control", self.hub)).send(settings.to_string()).expect("settings that exist");
    }

    /// The server's log of requests so far, without those that it redirected.
    fn log(&self) -> Vec<Value> {
        let text = ureq::get(format!("{}/_log", self.hub)).call().expect("a log").body_mut().read_to_string();
        let log: Vec<Value> = serde_json::from_str(&text.expect("text")).expect("JSON");
        log.into_iter().filter(|entry| entry["status"] != 302).collect()
    }

    /// Bytes of response bodies that the server has sent.
    fn sent(&self) -> u64 {
        self.log().iter().filter_map(|entry| entry["bytes"].as_u64()).sum()
    }
}

struct Taken(Vec<(usize, Vec<u8>)>);

impl Sink for Taken {
    fn take(&mut self, index: usize, bytes: Vec<u8>) -> Pending<'_, Result<()>> {
        self.0.push((index, bytes));
        Box::pin(async { Ok(()) })
    }
}

/// Streams `spans` and compares every byte.
fn stream(file: &Rc<dyn File>, spans: &[Range<u64>]) -> Result<()> {
    let mut taken = Taken(Vec::new());
    block_on(file.stream(spans, &mut taken))?;
    let expected: Vec<_> = spans.iter().map(|span| content(span.clone())).enumerate().collect();
    assert!(taken.0 == expected, "other bytes than the file's");
    Ok(())
}

fn pieces(span: Range<u64>, bytes: u64) -> Vec<Range<u64>> {
    span.clone().step_by(bytes as usize).map(|start| start..(start + bytes).min(span.end)).collect()
}

#[test]
fn files_of_a_repository() {
    let name = "ein Ordner/größe #1?.gguf";
    let hub = Hub::start(&[("config.json", 900), (name, 2 * MIB)]);
    let config = hub.open("config.json");
    assert_eq!((config.name(), config.bytes()), ("config.json", 900));
    assert_eq!(block_on(config.read(100..900)).expect("bytes"), content(100..900));
    let file = hub.open(name);
    assert_eq!(file.bytes(), 2 * MIB);
    assert_eq!(block_on(file.read(MIB..MIB + 10)).expect("bytes"), content(MIB..MIB + 10));
    assert_eq!(hub.web.received(), 900 + 256 * KIB + 10);
    let log = hub.log();
    let seen: Vec<_> = log.iter().map(|entry| (entry["status"].as_u64(), entry["range"].as_str())).collect();
    let ranges = ["bytes=0-262143", "bytes=0-262143", "bytes=1048576-1048585"];
    assert_eq!(seen, ranges.map(|range| (Some(206), Some(range))));
    assert!(hub.try_open("missing.json").expect("an answer").is_none());
    assert!(hub.try_open("../../secret").expect("an answer").is_none());
}

/// The spans are like those of a UNet in a GGUF file: many short ones with padding between them, some of a few MiB, and
/// a part that is not wanted.
#[test]
fn few_requests_and_hardly_a_byte_too_many() {
    let hub = Hub::start(&[("model.gguf", 64 * MIB)]);
    let mut spans = Vec::new();
    let mut at = 100_003;
    while at < 60 * MIB {
        for bytes in [640, 1280, 3_686_400, 640, 409_600, 1280, 2560] {
            spans.push(at..at + bytes);
            at = (at + bytes).next_multiple_of(32) + 32;
        }
        if (30 * MIB..35 * MIB).contains(&at) {
            at += 6 * MIB;
        }
    }
    let wanted: u64 = spans.iter().map(|span| span.end - span.start).sum();
    let file = hub.open("model.gguf");
    stream(&file, &spans).expect("bytes");
    let (sent, requests) = (hub.sent(), hub.log().len() - 1);
    assert!(sent * 100 <= wanted * 102, "{sent} bytes for {wanted}");
    assert_eq!(hub.web.received(), sent);
    assert!((4..=6).contains(&requests), "{requests} requests for {} MiB in {} spans", wanted / MIB, spans.len());
}

#[test]
fn cut_again_and_again() {
    let hub = Hub::start(&[("model.gguf", 24 * MIB)]);
    hub.control(&json!({ "dropEvery": 1_000_003 }));
    let file = hub.open("model.gguf");
    stream(&file, &pieces(0..24 * MIB, 3 * MIB)).expect("bytes");
    let log = hub.log();
    assert!(log.len() > 24, "{} requests", log.len());
    // Every byte that was sent is used: a broken connection costs one request and nothing else.
    assert_eq!((hub.sent(), hub.web.received()), (24 * MIB, 24 * MIB));
    assert!(hub.transport.slept.borrow().iter().all(|time| *time <= 1.0), "progress resets the wait");
    // A connection that is reset loses only the bytes that were on their way.
    hub.control(&json!({ "abrupt": true }));
    stream(&file, &pieces(0..24 * MIB, 3 * MIB)).expect("bytes");
    assert_eq!(hub.web.received(), 2 * 24 * MIB - 256 * KIB);
}

#[test]
fn busy_servers_are_waited_for() {
    let hub = Hub::start(&[("model.gguf", MIB)]);
    let cases = [
        (json!({ "times": 1, "status": 429, "headers": { "retry-after": "7" } }), vec![7.0]),
        (json!({ "times": 1, "status": 429, "headers": { "ratelimit": "\"resolvers\";r=0;t=42" } }), vec![42.0]),
        (json!({ "times": 4, "status": 503 }), vec![1.0, 1.0, 2.0, 4.0]),
        (json!({ "times": 3, "status": 500, "on": "cdn" }), vec![1.0, 1.0, 2.0]),
        // The signature of a redirect has expired: the original address gives a new one.
        (json!({ "times": 1, "status": 403, "on": "cdn" }), vec![1.0]),
    ];
    for (fail, slept) in cases {
        hub.transport.slept.borrow_mut().clear();
        hub.control(&json!({ "fail": fail }));
        let file = hub.open("model.gguf");
        stream(&file, &[0..MIB]).expect("bytes");
        assert_eq!(*hub.transport.slept.borrow(), slept, "{fail}");
    }
    assert!(hub.notices.borrow()[0].ends_with("asks to wait 7 s."), "{:?}", hub.notices);
    hub.control(&json!({ "fail": { "times": 99, "status": 502 } }));
    let error = hub.try_open("model.gguf").err().expect("an error").to_string();
    assert!(error.contains("in 6 tries") && error.contains("answers 502"), "{error}");
}

#[test]
fn signatures_expire() {
    let hub = Hub::start(&[("model.gguf", 3 * MIB)]);
    hub.control(&json!({ "life": 0.5, "rate": 1_500_000, "dropEvery": 600_000 }));
    let (file, start) = (hub.open("model.gguf"), Instant::now());
    stream(&file, &pieces(MIB..3 * MIB, MIB)).expect("every request has its own signature");
    assert!(start.elapsed() > Duration::from_secs(1));
    hub.control(&json!({ "life": -1, "dropEvery": null, "rate": null }));
    let error = hub.try_open("model.gguf").err().expect("an error").to_string();
    assert!(error.contains("o/r cannot be had") && error.contains("answers 403"), "{error}");
}

#[test]
fn another_file_by_now() {
    let hub = Hub::start(&[("model.gguf", 40 * MIB)]);
    let file = hub.open("model.gguf");
    hub.control(&json!({ "changeAfter": 1, "version": 0 }));
    let error = stream(&file, &pieces(MIB..40 * MIB, 4 * MIB)).expect_err("another file");
    assert!(matches!(error, Error::Changed(_)), "{error}");
    // When the changed file is opened again, it can be read.
    let file = hub.open("model.gguf");
    let bytes = block_on(file.read(MIB..MIB + 99)).expect("bytes");
    assert_eq!(bytes, content(MIB..MIB + 99).iter().map(|byte| byte ^ 1).collect::<Vec<_>>());
}

#[test]
fn lengths_that_are_wrong() {
    let hub = Hub::start(&[("model.gguf", 2 * MIB), ("small.json", 5000)]);
    let file = hub.open("model.gguf");
    // Content-Length is too large: all bytes that were asked for arrive anyway.
    hub.control(&json!({ "wrongLength": 1000 }));
    stream(&file, &[MIB..2 * MIB]).expect("bytes");
    // Every answer lacks the same bytes: the end never comes, which is an error and not the end of the file.
    for wrong in [json!({ "wrongLength": -1000 }), json!({ "wrongLength": 0, "truncate": 1000 })] {
        hub.control(&wrong);
        let error = stream(&file, &[MIB..2 * MIB]).expect_err("it is short");
        assert!(matches!(error, Error::File(_)), "{error}");
        assert!(hub.try_open("small.json").is_err());
    }
    hub.control(&json!({ "truncate": 0, "wrongLength": 1000, "ignoreRange": true }));
    assert!(hub.try_open("small.json").is_err());
    let error = block_on(hub.open("model.gguf").read(MIB..2 * MIB + 1000)).expect_err("not that long");
    assert!(matches!(error, Error::File(_)), "{error}");
    // The server sends another part than was asked for: the client asks again.
    hub.control(&json!({ "wrongLength": 0, "ignoreRange": false, "shift": 2 }));
    stream(&file, &[MIB..2 * MIB]).expect("bytes");
}

#[test]
fn servers_without_ranges() {
    let hub = Hub::start(&[("model.gguf", 40 * MIB), ("small.json", 5000)]);
    for (habit, opening) in [("ignoreRange", 1), ("breakRange", 3)] {
        hub.control(&json!({ "ignoreRange": false, habit: true }));
        let (requests, received) = (hub.log().len(), hub.web.received());
        let file = hub.open("model.gguf");
        assert_eq!(file.bytes(), 40 * MIB);
        assert!(hub.web.received() - received <= 256 * KIB + 64 * KIB, "the body is not read ahead");
        stream(&file, &pieces(0..40 * MIB, 4 * MIB)).expect("bytes");
        assert_eq!((hub.log().len() - requests, hub.web.received() - received), (opening, 40 * MIB));
        let small = hub.open("small.json");
        assert_eq!(block_on(small.read(0..5000)).expect("bytes"), content(0..5000));
    }
    hub.control(&json!({ "breakRange": false, "ignoreRange": true, "noLength": true }));
    let small = hub.open("small.json");
    assert_eq!((small.bytes(), hub.open("model.gguf").bytes()), (5000, 40 * MIB));
    assert_eq!(block_on(small.read(10..5000)).expect("bytes"), content(10..5000));
    // CORS hides Content-Range: a request without Range gives the size of the file.
    hub.control(&json!({ "ignoreRange": false, "noLength": false, "hide": ["content-range"] }));
    let file = hub.open("model.gguf");
    assert_eq!(file.bytes(), 40 * MIB);
    stream(&file, &[5 * MIB..6 * MIB, 30 * MIB..40 * MIB]).expect("bytes");
}

#[test]
fn a_dropped_stream_stops_the_download() {
    let hub = Hub::start(&[("model.gguf", 64 * MIB)]);
    let file = hub.open("model.gguf");
    hub.control(&json!({ "rate": 10_000_000 }));
    let mut taken = Taken(Vec::new());
    let spans = pieces(0..64 * MIB, 4 * MIB);
    {
        let mut streaming = file.stream(&spans, &mut taken);
        let enough = Instant::now() + Duration::from_millis(300);
        block_on(std::future::poll_fn(|context| {
            let poll = streaming.as_mut().poll(context).map(|result| result.expect("bytes"));
            if Instant::now() < enough { poll } else { Poll::Ready(()) }
        }));
    }
    thread::sleep(Duration::from_millis(300));
    let sent = hub.sent();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(hub.sent(), sent);
    assert!(sent < 40 * MIB);
}

#[test]
fn listings() {
    let sizes = [("README.md", 5), ("a/b/c.gguf", 70), ("a/x.json", 7), ("unet/d.safetensors", 99), ("z.json", 0)];
    let hub = Hub::start(&sizes);
    let listed = |files: &[(&str, u64)]| -> Vec<_> {
        files.iter().map(|&(path, bytes)| Listed { path: path.into(), bytes }).collect()
    };
    for page in [1000, 2] {
        hub.control(&json!({ "page": page }));
        assert_eq!(block_on(hub.repo().list()).expect("an answer"), Some(listed(&sizes)));
    }
    let folder = HubRepo::new(&hub.web, &hub.hub, "o/r", "refs/pr/1", "a");
    assert_eq!(folder.name(), "o/r@refs/pr/1/a");
    assert_eq!(block_on(folder.list()).expect("an answer"), Some(listed(&[("b/c.gguf", 70), ("x.json", 7)])));
    assert_eq!(block_on(folder.open("b/c.gguf")).expect("an answer").expect("a file").bytes(), 70);
    for (repo, folder) in [("o/other", ""), ("o/r", "nowhere")] {
        let error = block_on(HubRepo::new(&hub.web, &hub.hub, repo, "main", folder).list()).expect_err("none");
        assert!(matches!(error, Error::Model(_)), "{error}");
    }
    hub.control(&json!({ "gated": ["o/r"] }));
    let error = hub.try_open("z.json").err().expect("an error").to_string();
    assert!(error.contains("licence"), "{error}");
}

#[test]
fn plain_folders() {
    let hub = Hub::start(&[("model_index.json", 50), ("unet/a b.safetensors", 2 * MIB)]);
    for url in ["/files/o/r", "/files/o/r/", "/files/o/r?token=1"] {
        let folder = UrlFolder::new(&hub.web, &format!("{}{url}", hub.hub));
        assert_eq!(block_on(folder.list()).expect("an answer"), None);
        let file = block_on(folder.open("unet/a b.safetensors")).expect("an answer").expect("a file");
        stream(&file, &[1..5, MIB..2 * MIB]).expect("bytes");
        // Some servers answer with a web page for every file that they do not have.
        for pages in [false, true] {
            hub.control(&json!({ "pages": pages }));
            assert!(block_on(folder.open("nothing.json")).expect("an answer").is_none());
        }
    }
}

/// Checks the test server itself: what it does to files, which other tests rely on.
#[test]
fn the_servers_own_habits() {
    let hub = Hub::start(&[("model.gguf", 1000), ("a.json", 3000)]);
    let get = |path: &str| ureq::get(format!("{}{path}", hub.hub)).call().expect("an answer");
    let pointer = get("/o/r/raw/main/model.gguf").body_mut().read_to_string().expect("text");
    let lines: Vec<_> = pointer.lines().map(|line| line.split_once(' ').expect("a key").0).collect();
    assert_eq!(lines, ["version", "oid", "size"]);
    hub.control(&json!({ "corrupt": 500 }));
    let bytes = get("/o/r/resolve/main/model.gguf").body_mut().read_to_vec().expect("bytes");
    let wrong: Vec<_> = (0..1000).filter(|i| bytes[*i] != content(0..1000)[*i]).collect();
    assert_eq!(wrong, [500]);
    let zipped = ureq::get(format!("{}/o/r/resolve/main/a.json", hub.hub)).header("accept-encoding", "gzip").call();
    assert_eq!(zipped.expect("an answer").headers()["content-encoding"], "gzip");
    let head = get("/o/r/resolve/main/a.json");
    assert!(head.headers()["access-control-expose-headers"].to_str().expect("text").contains("Content-Range"));
    assert_eq!(head.headers()["access-control-allow-origin"], "*");
    ureq::post(format!("{}/_reset", hub.hub)).send_empty().expect("an answer");
    assert!(hub.log().is_empty());
    let preflight = || ureq::options(format!("{}/o/r/resolve/main/a.json", hub.hub)).call();
    assert_eq!(preflight().expect("an answer").status(), 204);
    hub.control(&json!({ "refusePreflight": true }));
    assert!(preflight().is_err());
}

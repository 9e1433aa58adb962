//! Parsed response headers.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::HttpResponse;

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Status and headers of a response, as far as they are understood. A browser hides headers that CORS does not allow, so
/// everything except the status may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Head {
    pub status: u16,
    /// Bytes of the body, unless it is compressed.
    pub length: Option<u64>,
    /// The byte range that a 206 response contains.
    pub part: Option<Range<u64>>,
    /// The file's total size, from the `Content-Range` of a 206 or a 416.
    pub total: Option<u64>,
    /// Which version of the file this is.
    pub version: Version,
    /// Whether it is a web page.
    pub html: bool,
    /// Whether the content type is one that servers often compress.
    pub text: bool,
    /// How long to wait before the next request.
    pub wait: Option<Duration>,
    /// The Hub's error code.
    pub code: Option<String>,
    /// `Content-Disposition`, which may contain the file's name.
    pub disposition: Option<String>,
    /// Address of the next page of a listing.
    pub next: Option<String>,
}

/// Identifies a version of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Version {
    /// Checksum of a large file on the Hub.
    linked: Option<String>,
    etag: Option<String>,
    modified: Option<String>,
}

impl Version {
    /// Whether `other` is certainly another version. The first identifier that both have decides.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let marks = [(&self.linked, &other.linked), (&self.etag, &other.etag), (&self.modified, &other.modified)];
        marks.iter().find_map(|(ours, theirs)| Some(ours.as_ref()? != theirs.as_ref()?)).unwrap_or(false)
    }

    /// The most reliable identifier available.
    pub(super) fn mark(&self) -> Option<&str> {
        [&self.linked, &self.etag, &self.modified].into_iter().find_map(|mark| mark.as_deref())
    }
}

impl Head {
    pub(super) fn of(response: &HttpResponse) -> Self {
        let get = |name: &str| response.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        let encoded = get("content-encoding").is_some_and(|encoding| encoding != "identity");
        let kind = get("content-type").unwrap_or_default().to_ascii_lowercase();
        let (part, total) = get("content-range").map_or((None, None), content_range);
        Self {
            status: response.status,
            length: get("content-length").filter(|_| !encoded).and_then(|length| length.parse().ok()),
            part,
            total,
            version: Version {
                linked: get("x-linked-etag").map(bare_etag),
                etag: get("etag").map(bare_etag),
                modified: get("last-modified").map(str::to_owned),
            },
            html: kind.starts_with("text/html"),
            text: kind.starts_with("text/") || kind.contains("json"),
            wait: get("retry-after")
                .and_then(|after| retry_after(after, get("date")))
                .or_else(|| get("ratelimit").and_then(rate_limit))
                .map(|wait| wait.min(LONGEST_WAIT)),
            code: get("x-error-code").map(str::to_owned),
            disposition: get("content-disposition").map(str::to_owned),
            next: get("link").and_then(next_page),
        }
    }
}

/// Parses `bytes 0-99/1234`, with `*` for an unknown value. Invalid parts become `None`.
fn content_range(value: &str) -> (Option<Range<u64>>, Option<u64>) {
    let Some((part, total)) = value.strip_prefix("bytes").and_then(|rest| rest.trim().split_once('/')) else {
        return (None, None);
    };
    let part = part.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
        (first <= last).then_some(first..last.checked_add(1)?)
    });
    (part, total.trim().parse().ok())
}

/// An `ETag` without its quotes and without the suffixes that servers add when they compress.
fn bare_etag(value: &str) -> String {
    let value = value.strip_prefix("W/").unwrap_or(value).trim_matches('"');
    let mut value = value;
    for suffix in ["--gzip", "-gzip", ";gzip", "-br", ";br"] {
        value = value.strip_suffix(suffix).unwrap_or(value);
    }
    value.to_owned()
}

/// `Retry-After`: seconds, or a date. A date is relative to the response's own `Date` if that is visible.
fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).or_else(clock)?;
    Some(then.duration_since(now).unwrap_or_default())
}

/// The time of day. The standard library has no clock in a browser.
fn clock() -> Option<SystemTime> {
    if cfg!(target_arch = "wasm32") { None } else { Some(SystemTime::now()) }
}

/// The seconds until the rate limit resets: `"name";r=0;t=12`, or `reset=12` in older drafts.
fn rate_limit(value: &str) -> Option<Duration> {
    let seconds = value.split([';', ',']).filter_map(|part| {
        let (key, seconds) = part.trim().split_once('=')?;
        matches!(key.trim(), "t" | "reset").then(|| seconds.trim().parse::<u64>().ok()).flatten()
    });
    seconds.max().map(Duration::from_secs)
}

/// The address in `<…>; rel="next"`.
fn next_page(value: &str) -> Option<String> {
    value.split(',').find_map(|link| {
        let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Body, Broken};
    use super::*;
    use crate::source::file::Pending;

    struct Nothing;

    impl Body for Nothing {
        fn next(&mut self) -> Pending<'_, Result<Option<Vec<u8>>, Broken>> {
            Box::pin(async { Ok(None) })
        }
    }

    fn head(headers: &[(&str, &str)]) -> Head {
        let headers = headers.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Head::of(&HttpResponse { status: 206, headers, body: Box::new(Nothing) })
    }

    #[test]
    fn ranges() {
        let cases = [
            ("bytes 0-99/1234", (Some(0..100), Some(1234))),
            ("bytes 5-5/*", (Some(5..6), None)),
            ("bytes */77", (None, Some(77))),
            ("bytes 9-3/77", (None, Some(77))),
            ("bytes 0-18446744073709551615/5", (None, Some(5))),
            ("lines 0-9/10", (None, None)),
            ("bytes", (None, None)),
        ];
        for (text, expected) in cases {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }

    #[test]
    fn waits() {
        let wait = |headers: &[(&str, &str)]| head(headers).wait.map(|wait| wait.as_secs());
        assert_eq!(wait(&[("retry-after", "7")]), Some(7));
        assert_eq!(wait(&[("retry-after", "7"), ("ratelimit", "\"resolvers\";r=0;t=55")]), Some(7));
        assert_eq!(wait(&[("ratelimit", "\"resolvers\";r=0;t=55")]), Some(55));
        assert_eq!(wait(&[("ratelimit", "limit=100, remaining=0, reset=50")]), Some(50));
        assert_eq!(wait(&[("retry-after", "99999")]), Some(300));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:42 GMT"), date]), Some(42));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"), date]), Some(0));
    }

    #[test]
    fn versions() {
        let version = |headers: &[(&str, &str)]| head(headers).version;
        let first = version(&[("etag", "\"abc\"")]);
        assert!(!first.differs(&version(&[("etag", "W/\"abc-gzip\"")])));
        assert!(!first.differs(&version(&[])));
        assert!(first.differs(&version(&[("etag", "\"abd\"")])));
        // The storage's own `ETag` may differ between mirrors; the checksum decides.
        let linked = version(&[("etag", "\"1\""), ("x-linked-etag", "\"sum\"")]);
        assert!(!linked.differs(&version(&[("etag", "\"2\""), ("x-linked-etag", "\"sum\"")])));
        assert!(version(&[("last-modified", "a")]).differs(&version(&[("last-modified", "b")])));
    }

    #[test]
    fn lengths_and_links() {
        assert_eq!(head(&[("content-length", "12")]).length, Some(12));
        assert_eq!(head(&[("content-length", "12"), ("content-encoding", "gzip")]).length, None);
        let link = "<https://h/first>; rel=\"first\", <https://h/tree?cursor=b%3D>; rel=\"next\"";
        assert_eq!(head(&[("link", link)]).next.as_deref(), Some("https://h/tree?cursor=b%3D"));
        assert_eq!(head(&[("link", "<https://h/first>; rel=\"prev\"")]).next, None);
    }
}

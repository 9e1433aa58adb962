//! A folder on a plain web server.

use std::rc::Rc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::remote::Remote;
use super::{Web, address};
use crate::error::Result;
use crate::source::file::{File, Listed, Pending, Source};

/// Characters that must be percent-encoded in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A folder at an address. It cannot be listed. A web page in place of a file counts as a missing file.
pub struct UrlFolder {
    web: Web,
    /// Address with a trailing slash.
    base: String,
    /// The same for messages, without secrets.
    name: String,
    /// The query string, which may contain a token.
    query: String,
}

impl UrlFolder {
    /// The folder at `url`, with or without a trailing slash. A query is repeated for every file.
    pub fn new(web: &Web, url: &str) -> Self {
        let url = url.split('#').next().unwrap_or(url);
        let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let base = format!("{}/", path.trim_end_matches('/'));
        Self { web: web.clone(), name: address::shown(&base), base, query: query.to_owned() }
    }
}

impl Source for UrlFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>> {
        Box::pin(async { Ok(None) })
    }

    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>> {
        Box::pin(async move {
            let url = format!("{}{}{}", self.base, encode(path), self.query);
            let file = Remote::open(&self.web, &url, path).await?;
            Ok(file.map(|file| Rc::new(file) as Rc<dyn File>))
        })
    }
}

/// Percent-encodes a path, except for its slashes.
pub(crate) fn encode(path: &str) -> String {
    let parts: Vec<_> = path.split('/').map(encode_part).collect();
    parts.join("/")
}

/// Percent-encodes one path segment, slashes included.
pub(crate) fn encode_part(part: &str) -> String {
    utf8_percent_encode(part, SEGMENT).to_string()
}

//! Parts of an address: what may be shown, what identifies a file, and what the file is called.
//!
//! The query of an address often contains a secret: a token, or a signature that grants access for a while. It is sent only
//! to the host that it is meant for. Messages, listings and cache keys contain only what [`shown`] and [`identity`] return.

use percent_encoding::percent_decode_str;

/// Query parameters of download sites that identify a file and are not secret. All others (tokens, signatures, dates,
/// parameters that a site invents) are left out of cache keys. The file is then identified by its address, and its version
/// by its size and its `ETag` or date.
const TELLING: [&str; 17] = [
    "export",
    "file",
    "filename",
    "filepath",
    "format",
    "fp",
    "id",
    "modelversionid",
    "name",
    "path",
    "ref",
    "rev",
    "revision",
    "size",
    "type",
    "variant",
    "versionid",
];

/// The longest value of such a parameter; a longer one is something else.
const LONGEST_VALUE: usize = 200;

/// The longest name of a file.
const LONGEST_NAME: usize = 200;

/// Scheme, host and path of an address, without credentials, query and fragment.
pub fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or(url);
    let Some((scheme, rest)) = plain.split_once("://") else { return plain.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}{path}")
}

/// What identifies a file at an address in the cache: the shown part, and the query parameters that identify files.
pub fn identity(url: &str) -> String {
    let mut kept = shown(url);
    let mut mark = '?';
    for parameter in query(url).split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if TELLING.contains(&key.to_ascii_lowercase().as_str()) && value.len() <= LONGEST_VALUE {
            kept.push(mark);
            kept.push_str(parameter);
            mark = '&';
        }
    }
    kept
}

/// Host name and port.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    host.rsplit('@').next().unwrap_or(host)
}

/// Whether two addresses have the same scheme, host and port.
pub(super) fn same_server(one: &str, other: &str) -> bool {
    let server = |url: &str| {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())?;
        let port = if scheme == "https" { ":443" } else { ":80" };
        let host = host(url).to_ascii_lowercase();
        Some((scheme, host.strip_suffix(port).map(str::to_owned).unwrap_or(host)))
    };
    server(one).is_some_and(|one| Some(one) == server(other))
}

/// Whether data sent to an address is private: encrypted, or not leaving this computer.
pub(super) fn is_private(url: &str) -> bool {
    let host = host(url).to_ascii_lowercase();
    let name = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&name.unwrap_or_default());
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.as_deref() == Some("https") || is_here
}

/// The target of a redirect.
#[cfg(all(feature = "native-http", not(target_arch = "wasm32")))]
pub(super) fn resolved(from: &str, to: &str) -> Option<String> {
    let (scheme, rest) = from.split_once("://")?;
    let (path, _) = from.split_at(from.find(['?', '#']).unwrap_or(from.len()));
    let server = &from[..scheme.len() + 3 + rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    Some(if to.contains("://") && !to.starts_with(['/', '?', '.']) {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if to.starts_with('/') {
        format!("{server}{to}")
    } else if to.starts_with('?') {
        format!("{path}{to}")
    } else {
        let folder = path.get(..path.rfind('/')?).filter(|folder| folder.len() >= server.len()).unwrap_or(server);
        format!("{folder}/{to}")
    })
}

fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or(url);
    url.split_once('?').map_or("", |(_, query)| query)
}

/// Name of the file at an address: from the response's `Content-Disposition`, else from the one that the address asks the
/// server to send, else the last segment of its path.
pub fn file_name(url: &str, disposition: Option<&str>) -> String {
    let named = disposition.and_then(named_in).or_else(|| named_in(&asked_disposition(url)?));
    named.unwrap_or_else(|| {
        let path = shown(url);
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        plain(&percent_decode_str(last).decode_utf8_lossy()).unwrap_or_else(|| "model".into())
    })
}

/// The `Content-Disposition` that an address asks its storage to send.
pub(super) fn asked_disposition(url: &str) -> Option<String> {
    query(url).split('&').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let is_asked = ["response-content-disposition", "rscd"].contains(&key.to_ascii_lowercase().as_str());
        let value = value.replace('+', " ");
        is_asked.then(|| percent_decode_str(&value).decode_utf8_lossy().into_owned())
    })
}

/// The file name in a `Content-Disposition` (RFC 6266). The form with an explicit encoding takes precedence.
fn named_in(disposition: &str) -> Option<String> {
    let (mut named, mut encoded) = (None, None);
    let mut rest = disposition;
    while let Some((_, after)) = split_parameter(rest) {
        let end = split_parameter(after).map_or(after.len(), |(before, _)| before.len());
        let (parameter, following) = after.split_at(end);
        rest = following;
        let Some((key, value)) = parameter.split_once('=') else { continue };
        match key.trim().to_ascii_lowercase().as_str() {
            "filename" => named = named.or_else(|| plain(&unquoted(value.trim()))),
            "filename*" => encoded = encoded.or_else(|| plain(&decoded(value.trim())?)),
            _ => {}
        }
    }
    encoded.or(named)
}

/// Cuts at the first `;` outside of quotes.
fn split_parameter(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let (mut text, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => break,
            _ => {
                text.push(c);
                escaped = false;
            }
        }
    }
    text
}

/// `charset'language'percent-encoded`.
fn decoded(value: &str) -> Option<String> {
    let (charset, rest) = value.trim_matches('"').split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    let bytes: Vec<u8> = percent_decode_str(encoded).collect();
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// A file name without folders or control characters.
fn plain(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let name: String = last.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    let name = name.trim();
    (!matches!(name, "" | "." | "..")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let url = "https://me:pass@civitai.com:8443/api/download/models/12?type=Model&token=SECRET&fp=fp16#top";
        assert_eq!(shown(url), "https://civitai.com:8443/api/download/models/12");
        assert_eq!(identity(url), "https://civitai.com:8443/api/download/models/12?type=Model&fp=fp16");
        assert_eq!(host(url), "civitai.com:8443");
        for secret in [
            "X-Amz-Signature=S",
            "X-Amz-Credential=S",
            "Signature=S",
            "sig=S",
            "se=S",
            "sp=S",
            "Expires=1",
            "Policy=S",
            "Key-Pair-Id=S",
            "access_token=S",
            "apikey=S",
            "whatever=S",
            "e=1&st=S",
        ] {
            assert_eq!(identity(&format!("https://h/x.gguf?{secret}")), "https://h/x.gguf");
        }
        let long = format!("https://h/x?id={}", "a".repeat(500));
        assert_eq!(identity(&long), "https://h/x");
        let scope = "https://modelscope.cn/api/v1/models/a/b/repo?Revision=master&FilePath=c.safetensors";
        assert_eq!(identity(scope), scope);
    }

    #[test]
    fn servers_are_told_apart() {
        assert!(same_server("https://huggingface.co", "HTTPS://HuggingFace.co:443/a/b?c"));
        assert!(same_server("http://localhost:80/", "http://localhost/x"));
        for other in [
            "https://huggingface.co.evil.org/",
            "https://evil.org/huggingface.co",
            "http://huggingface.co/",
            "https://huggingface.co:444/",
            "https://huggingface.co@evil.org/",
            "https://evil.org?huggingface.co",
            "",
        ] {
            assert!(!same_server("https://huggingface.co", other), "{other}");
        }
        for private in ["https://h/", "http://localhost:1/x", "http://127.0.0.1", "http://[::1]:8/"] {
            assert!(is_private(private), "{private}");
        }
        assert!(
            !is_private("http://h/") && !is_private("http://localhost.evil.org/") && !is_private("http://localhost@h/")
        );
    }

    #[cfg(feature = "native-http")]
    #[test]
    fn redirects() {
        let from = "https://h:8/a/b?c=d";
        for (to, expected) in [
            ("https://x/y?z=://", "https://x/y?z=://"),
            ("//x/y", "https://x/y"),
            ("/x?y=http://z", "https://h:8/x?y=http://z"),
            ("?x", "https://h:8/a/b?x"),
            ("x", "https://h:8/a/x"),
        ] {
            assert_eq!(resolved(from, to).as_deref(), Some(expected), "{to}");
        }
        assert_eq!(resolved("https://h", "x").as_deref(), Some("https://h/x"));
    }

    #[test]
    fn names_of_files() {
        let name = |disposition: &str| file_name("https://h/api/download/models/12?token=S", Some(disposition));
        assert_eq!(name("attachment; filename=a.safetensors"), "a.safetensors");
        assert_eq!(name("attachment; filename=\"a b; c.safetensors\"; size=7"), "a b; c.safetensors");
        assert_eq!(name("attachment;filename=\"a \\\"b\\\".gguf\""), "a \"b\".gguf");
        assert_eq!(name("attachment; filename=x; filename*=UTF-8''na%C3%AFve%20v1.gguf"), "naïve v1.gguf");
        assert_eq!(name("attachment; FILENAME*=utf-8'en'a.gguf; filename=\"b.gguf\""), "a.gguf");
        assert_eq!(name("attachment; filename*=iso-8859-1''na%EFve.gguf"), "naïve.gguf");
        assert_eq!(name("attachment; filename*=utf-8''%FF; filename=b.gguf"), "b.gguf");
        assert_eq!(name("attachment; filename=\"../../etc/passwd\""), "passwd");
        assert_eq!(name("attachment; filename=\"C:\\\\x\\\\a.gguf\""), "a.gguf");
        for none in
            ["attachment", "inline;", "attachment; filename=\"\"", "attachment; filename=..", "filename=x", ";;=;"]
        {
            assert_eq!(name(none), "12", "{none}");
        }
        let asked =
            "https://h/k?X-Amz-Expires=1&response-content-disposition=attachment%3B%20filename%3D%22v%2B.ckpt%22";
        assert_eq!(file_name(asked, None), "v+.ckpt");
        assert_eq!(file_name("https://h/a%20b.gguf?x", None), "a b.gguf");
        assert_eq!(file_name("https://h", None), "h");
        assert_eq!(file_name("https://h/%2e%2e", None), "model");
        assert_eq!(name(&format!("a; filename={}", "n".repeat(999))).len(), 200);
    }
}

//! Repositories of the Hugging Face Hub: how users name them, and what they contain.

mod choice;
mod retired;

use std::rc::Rc;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::file::{File, Listed, Pending, Source};
use super::http::Web;
use super::http::folder::{encode, encode_part};
use super::http::remote::{Remote, page};
use crate::error::{Error, Result};

pub use super::token::{ENDPOINT, Token};
pub use choice::{Choice, candidates, is_part_of_layout};
pub use retired::successor;

/// Most pages of a listing that are read. A page has about a thousand files.
const PAGES: usize = 100;

/// A model that is not on this computer, as named by the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A repository of the Hub.
    Hub {
        /// `owner/name`.
        repo: String,
        /// A branch, a tag or a commit.
        revision: String,
        /// A file (as defined by [`is_weights`]) or a folder in it.
        path: Option<String>,
    },
    /// The address of a file.
    File(String),
    /// The address of a folder, or of a file without a known extension.
    Folder(String),
}

/// Whether a path or an address has the extension of a weights file.
pub fn is_weights(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    [".gguf", ".safetensors", ".ckpt", ".pt", ".pth", ".bin"].iter().any(|ending| path.ends_with(ending))
}

impl Reference {
    /// Parses `owner/repo[@revision][/path]`, the address of a page or file on the Hub, or any other address.
    ///
    /// # Errors
    /// One sentence that says how to name a model.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let nonsense = || {
            Error::Settings(format!(
                "\"{text}\" names no model: give owner/repository as on huggingface.co, with @revision and /path if \
                 need be, or an address that starts with https://."
            ))
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let address = rest.split(['?', '#']).next().unwrap_or(rest);
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        let is_hub = ["huggingface.co", "www.huggingface.co", "hf.co"].contains(&host.to_ascii_lowercase().as_str());
        match scheme.to_ascii_lowercase().as_str() {
            "" | "http" | "https" if is_hub => Self::of_page(path).ok_or_else(nonsense),
            "" => Self::of_name(text).ok_or_else(nonsense),
            "http" | "https" if !host.is_empty() && !text.contains(char::is_whitespace) => {
                let text = text.split('#').next().unwrap_or(text).to_owned();
                Ok(if is_weights(address) { Self::File(text) } else { Self::Folder(text) })
            }
            _ => Err(nonsense()),
        }
    }

    /// Parses `owner/repo[@revision][/path]`.
    fn of_name(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (owner, name) = (parts.next()?, parts.next()?);
        let Some((name, revision)) = name.split_once('@') else {
            return Self::of_parts(owner, name, "main".into(), parts);
        };
        let revision = full_revision(revision, &mut parts)?;
        Self::of_parts(owner, name, revision, parts)
    }

    /// Parses `owner/repo[/(tree|blob|resolve|raw)/revision[/path]]`, percent-encoded.
    fn of_page(path: &str) -> Option<Self> {
        let parts: Option<Vec<_>> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8().ok())
            .collect();
        let parts = parts?;
        let mut parts = parts.iter().map(AsRef::as_ref);
        let (owner, name) = (parts.next()?, parts.next()?);
        if ["api", "blog", "collections", "datasets", "docs", "models", "papers", "spaces"].contains(&owner) {
            return None;
        }
        let revision = match parts.next() {
            None => "main".into(),
            Some("tree" | "blob" | "resolve" | "raw") => full_revision(parts.next()?, &mut parts)?,
            Some(_) => return None,
        };
        Self::of_parts(owner, name, revision, parts)
    }

    fn of_parts<'a>(owner: &str, name: &str, revision: String, path: impl Iterator<Item = &'a str>) -> Option<Self> {
        let is_name = |name: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !name.is_empty() && name.len() <= 96 && name.chars().all(is_plain) && !name.starts_with(['.', '-'])
        };
        let is_path = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0', '\n']);
        let path: Vec<_> = path.collect();
        // One trailing slash is allowed.
        let path = path.strip_suffix(&[""]).unwrap_or(&path);
        if !is_name(owner) || !is_name(name) || !revision.split('/').all(is_name) || !path.iter().all(|p| is_path(p)) {
            return None;
        }
        let path = (!path.is_empty()).then(|| path.join("/"));
        Some(Self::Hub { repo: format!("{owner}/{name}"), revision, path })
    }
}

/// A revision's name. Those of pull requests (`refs/pr/7`) span several path segments.
fn full_revision<'a>(first: &str, rest: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    Some(if first == "refs" { format!("refs/{}/{}", rest.next()?, rest.next()?) } else { first.to_owned() })
}

/// A repository of the Hub, or a folder in it.
pub struct HubRepo {
    web: Web,
    endpoint: String,
    repo: String,
    revision: String,
    /// Ends with a slash unless it is empty.
    folder: String,
    name: String,
}

impl HubRepo {
    /// `repo` ("owner/name") at `revision`, on the Hub at `endpoint` (see [`ENDPOINT`]). An empty `folder` means the whole
    /// repository.
    pub fn new(web: &Web, endpoint: &str, repo: &str, revision: &str, folder: &str) -> Self {
        let folder = folder.trim_matches('/');
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let at = if revision == "main" { String::new() } else { format!("@{revision}") };
        Self {
            web: web.clone().with_hub(endpoint).with_repo(repo),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            name: format!("{repo}{at}/{folder}").trim_end_matches('/').to_owned(),
            folder,
        }
    }

    /// The error, or where the repository moved if it is known to be retired.
    fn explained(&self, error: Error) -> Error {
        match (error, retired::sentence(&self.repo)) {
            (Error::Model(_), Some(sentence)) => Error::Model(sentence),
            (error, _) => error,
        }
    }

    async fn files(&self) -> Result<Vec<Listed>> {
        let Self { endpoint, repo, folder, name, .. } = self;
        let (revision, within) = (encode_part(&self.revision), encode(folder.trim_end_matches('/')));
        let mut next = Some(
            format!("{endpoint}/api/models/{}/tree/{revision}/{within}", encode(repo)).trim_end_matches('/').to_owned()
                + "?recursive=1",
        );
        let mut files = Vec::new();
        for _ in 0..PAGES {
            let Some(url) = next.take() else { break };
            let missing = || Error::Model(format!("{name} is not on {endpoint}; check its name and revision."));
            let (text, following) = page(&self.web, &url, name).await?.ok_or_else(missing)?;
            let entries: Vec<Node> = serde_json::from_slice(&text).map_err(|error| {
                Error::Model(format!("The list of files of {name} cannot be understood ({error})."))
            })?;
            files.extend(entries.into_iter().filter(|node| node.kind == "file").filter_map(|node| {
                Some(Listed { path: node.path.strip_prefix(folder.as_str())?.to_owned(), bytes: node.size })
            }));
            next = following.filter(|next| next.starts_with("http"));
        }
        Ok(files)
    }
}

/// An entry of a listing.
#[derive(Deserialize)]
struct Node {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
}

impl Source for HubRepo {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>> {
        Box::pin(async { self.files().await.map(Some).map_err(|error| self.explained(error)) })
    }

    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>> {
        Box::pin(async move {
            let Self { endpoint, repo, folder, .. } = self;
            let path = format!("{folder}{path}");
            let revision = encode_part(&self.revision);
            let url = format!("{endpoint}/{}/resolve/{revision}/{}", encode(repo), encode(&path));
            let file = Remote::open(&self.web, &url, &path).await.map_err(|error| self.explained(error))?;
            Ok(file.map(|file| Rc::new(file) as Rc<dyn File>))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let hub = |repo: &str, revision: &str, path: Option<&str>| {
            Some(Reference::Hub { repo: repo.into(), revision: revision.into(), path: path.map(Into::into) })
        };
        let file = |url: &str| Some(Reference::File(url.into()));
        let folder = |url: &str| Some(Reference::Folder(url.into()));
        let sd = "stable-diffusion-v1-5/stable-diffusion-v1-5";
        let cases = [
            (sd, hub(sd, "main", None)),
            ("  o/r \n", hub("o/r", "main", None)),
            ("o/r@v1.0", hub("o/r", "v1.0", None)),
            ("o/r@refs/pr/7", hub("o/r", "refs/pr/7", None)),
            ("o/r@refs/pr/7/unet/a.safetensors", hub("o/r", "refs/pr/7", Some("unet/a.safetensors"))),
            ("o/r/a b/c.gguf", hub("o/r", "main", Some("a b/c.gguf"))),
            ("o/r@main/x.gguf", hub("o/r", "main", Some("x.gguf"))),
            ("o/r/", hub("o/r", "main", None)),
            ("https://huggingface.co/o/r", hub("o/r", "main", None)),
            ("http://HuggingFace.co/o/r/", hub("o/r", "main", None)),
            ("huggingface.co/o/r", hub("o/r", "main", None)),
            ("https://hf.co/o/r/tree/fp16", hub("o/r", "fp16", None)),
            ("https://huggingface.co/o/r/tree/main/unet", hub("o/r", "main", Some("unet"))),
            ("https://huggingface.co/o/r/blob/main/x-Q8_0.gguf", hub("o/r", "main", Some("x-Q8_0.gguf"))),
            ("https://huggingface.co/o/r/resolve/main/a%20b.gguf?download=true", hub("o/r", "main", Some("a b.gguf"))),
            ("https://huggingface.co/o/r/tree/refs%2Fpr%2F7/vae", hub("o/r", "refs/pr/7", Some("vae"))),
            ("https://example.org/m/x.GGUF?k=1#top", file("https://example.org/m/x.GGUF?k=1")),
            ("http://localhost:8000/x.safetensors", file("http://localhost:8000/x.safetensors")),
            ("https://example.org/m/v1-5.ckpt", file("https://example.org/m/v1-5.ckpt")),
            ("https://h/api/download/models/1?type=Model", folder("https://h/api/download/models/1?type=Model")),
            ("o/r/unet/a.bin", hub("o/r", "main", Some("unet/a.bin"))),
            ("https://example.org/models/sd15/", folder("https://example.org/models/sd15/")),
            ("https://example.org", folder("https://example.org")),
            ("", None),
            ("model", None),
            ("./models/sd15", None),
            ("../o/r", None),
            ("/home/me/model", None),
            ("C:\\models\\sd15", None),
            ("o/r@", None),
            ("o/r@refs/pr", None),
            ("o/r/../../secret", None),
            ("o//r", None),
            ("o r/x", None),
            ("ftp://example.org/x.gguf", None),
            ("https://", None),
            ("https:///x.gguf", None),
            ("https://huggingface.co/o", None),
            ("https://huggingface.co/datasets/o/r", None),
            ("https://huggingface.co/o/r/discussions/1", None),
            ("https://huggingface.co/o/r/tree", None),
            ("https://huggingface.co/o/r/blob/main/%2e%2e/x", None),
        ];
        for (text, expected) in cases {
            match Reference::parse(text) {
                Ok(reference) => assert_eq!(Some(reference), expected, "{text:?}"),
                Err(error) => {
                    assert_eq!(None, expected, "{text:?}: {error}");
                    assert!(error.to_string().starts_with(&format!("\"{text}\" names no model")), "{error}");
                }
            }
        }
    }
}

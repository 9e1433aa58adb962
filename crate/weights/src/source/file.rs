//! Files that are read by byte range, wherever they are, and the folders that they are in.

use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;

use crate::error::Result;

/// The future returned by a method of a trait object. It need not be `Send`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A file of known size that is read by byte range.
pub trait File {
    /// What to call it in messages.
    fn name(&self) -> &str;

    /// Its size in bytes.
    fn bytes(&self) -> u64;

    /// Identifies the file's version in addition to its size, such as an `ETag`. Empty if unknown.
    fn version(&self) -> String {
        String::new()
    }

    /// The bytes of `span`, which lies inside the file.
    ///
    /// # Errors
    /// One sentence if the bytes cannot be read; [`crate::error::Error::Changed`] if the file has been replaced by now.
    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>>;

    /// Passes the bytes of every span to `sink` in order. Spans are ascending, disjoint and at most a few MiB each. Remote
    /// implementations join neighbouring spans, keep several requests in flight and buffer little.
    ///
    /// # Errors
    /// As [`File::read`], and what `sink` fails with.
    fn stream<'a>(&'a self, spans: &'a [Range<u64>], sink: &'a mut dyn Sink) -> Pending<'a, Result<()>> {
        Box::pin(async move {
            for (index, span) in spans.iter().enumerate() {
                sink.take(index, self.read(span.clone()).await?).await?;
            }
            Ok(())
        })
    }
}

/// Takes what [`File::stream`] reads.
pub trait Sink {
    /// Takes the bytes of `spans[index]`.
    ///
    /// # Errors
    /// Whatever ends the stream.
    fn take(&mut self, index: usize, bytes: Vec<u8>) -> Pending<'_, Result<()>>;
}

/// A file in a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its path in the folder, with `/` between the parts.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// A folder of files: on this computer, on the Hub, at a URL, or picked by a visitor.
pub trait Source {
    /// What to call it in messages.
    fn name(&self) -> &str;

    /// All files in the folder, or `None` if it cannot be listed (a plain web server).
    ///
    /// # Errors
    /// One sentence if the folder does not exist or does not respond.
    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>>;

    /// The file at `path`, or `None` if there is none.
    ///
    /// # Errors
    /// One sentence if the file exists but cannot be opened.
    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>>;
}

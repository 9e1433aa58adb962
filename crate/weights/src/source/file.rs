//! Files that are read by byte range, wherever they are, and the folders that they are in.

use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;

use crate::error::Result;

/// A future of a trait object's method. Nothing here is sent between threads.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A file of known size that is read by byte range.
pub trait File {
    /// What to call it in messages.
    fn name(&self) -> &str;

    /// Its size in bytes.
    fn bytes(&self) -> u64;

    /// What changes when the file does, such as an `ETag`, beside its size; nothing where nobody knows.
    fn version(&self) -> String {
        String::new()
    }

    /// The bytes of `span`, which lies inside the file.
    ///
    /// # Errors
    /// One sentence where they cannot be had; [`crate::error::Error::Changed`] where the file is another one by now.
    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>>;

    /// Hands the bytes of every one of `spans` (ascending, disjoint, a few MiB each at most) to `sink`, in this order.
    /// Whoever fetches from afar joins neighbours, keeps several requests in flight and few bytes in memory.
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

    /// All files in it, or `None` where nobody can say (a plain web server).
    ///
    /// # Errors
    /// One sentence where the folder is not there or does not answer.
    fn list(&self) -> Pending<'_, Result<Option<Vec<Listed>>>>;

    /// The file at `path`, or `None` where there is none.
    ///
    /// # Errors
    /// One sentence where it is there but cannot be opened.
    fn open<'a>(&'a self, path: &'a str) -> Pending<'a, Result<Option<Rc<dyn File>>>>;
}

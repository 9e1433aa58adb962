//! The one error type. Every message is a sentence for the person who sees it: what is wrong and what to do.

use crate::weights;

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, grouped by its source (picture, model, device, …). `Display` is one plain sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked to stop; nothing is wrong.
    #[error("The run was cancelled.")]
    Cancelled,
    /// A picture cannot be read, or cannot be used.
    #[error("{0}")]
    Picture(String),
    /// A model's files are missing, incomplete or not of a kind this crate runs.
    #[error("{0}")]
    Model(String),
    /// A file changed while it was being read; what was read from it so far is invalid.
    #[error("{0}")]
    Changed(String),
    /// A setting is invalid.
    #[error("{0}")]
    Settings(String),
    /// The device failed while running; another try, with the device opened anew, may well work.
    #[error("{0}")]
    Device(String),
    /// There is no device that can run this, or the device rejects something that the run needs, and would do so again.
    #[error("{0}")]
    Unsupported(String),
    /// The GPU's memory, or this program's, ran out.
    #[error("{0}")]
    Memory(String),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
}

impl Error {
    /// All values of [`Error::kind`].
    pub const KINDS: [&'static str; 8] =
        ["cancelled", "picture", "model", "settings", "device", "unsupported", "memory", "file"];

    /// The kind as one stable lowercase word, for callers that act on it; the sentence is for people alone.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Picture(_) => "picture",
            Self::Model(_) | Self::Changed(_) => "model",
            Self::Settings(_) => "settings",
            Self::Device(_) => "device",
            Self::Unsupported(_) => "unsupported",
            Self::Memory(_) => "memory",
            Self::File(_) => "file",
        }
    }
}

impl From<weights::Error> for Error {
    fn from(error: weights::Error) -> Self {
        match error {
            weights::Error::Cancelled => Self::Cancelled,
            weights::Error::Model(sentence) => Self::Model(sentence),
            weights::Error::Changed(sentence) => Self::Changed(sentence),
            weights::Error::Settings(sentence) => Self::Settings(sentence),
            weights::Error::File(sentence) => Self::File(sentence),
            // An error of this crate's own receivers of tensors comes back unchanged.
            weights::Error::Outside(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => Self::File(error.to_string()),
            },
        }
    }
}

impl From<Error> for weights::Error {
    fn from(error: Error) -> Self {
        Self::Outside(Box::new(error))
    }
}

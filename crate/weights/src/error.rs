//! The crate's error type. Every message is a sentence for the user that says what is wrong and what to do.

/// Result of every fallible function in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, grouped by its source (picture, model, device, …). `Display` is one plain sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked to stop; nothing is wrong.
    #[error("The run was cancelled.")]
    Cancelled,
    /// A model's files are missing, incomplete or of an unsupported kind.
    #[error("{0}")]
    Model(String),
    /// A file was replaced while it was being read. Everything read from it so far is invalid.
    #[error("{0}")]
    Changed(String),
    /// A setting is out of range.
    #[error("{0}")]
    Settings(String),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// An error from the caller's own code (a [`crate::checkpoint::stream::Receiver`], say), passed through unchanged.
    #[error(transparent)]
    Outside(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error from the caller's own code as [`Error::Outside`].
    pub fn outside(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Outside(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_from_outside_comes_back_as_it_went_in() {
        let error = Error::outside(std::fmt::Error);
        assert_eq!(error.to_string(), std::fmt::Error.to_string());
        let Error::Outside(inner) = error else { panic!("{error:?}") };
        assert_eq!(*inner.downcast::<std::fmt::Error>().expect("the same type"), std::fmt::Error);
    }
}

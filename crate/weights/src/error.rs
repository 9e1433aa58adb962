//! The one error type. Every message is a sentence for the person who sees it: what is wrong and what to do.

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, grouped by its source (picture, model, device, …). `Display` is one plain sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked to stop; nothing is wrong.
    #[error("The run was cancelled.")]
    Cancelled,
    /// A model's files are missing, incomplete or not of a kind that is known here.
    #[error("{0}")]
    Model(String),
    /// A file became another one while it was being read; whatever came from it so far is void.
    #[error("{0}")]
    Changed(String),
    /// A setting is outside what makes sense.
    #[error("{0}")]
    Settings(String),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// What the caller's own code failed with (a [`crate::checkpoint::stream::Receiver`], say), handed through unchanged.
    #[error(transparent)]
    Outside(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of the caller's own, which comes back as it is in [`Error::Outside`].
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

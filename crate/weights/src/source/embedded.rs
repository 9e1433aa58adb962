//! A file embedded in the program.

use std::ops::Range;

use super::file::{File, Pending};
use crate::error::{Error, Result};

/// Bytes embedded in the program.
#[derive(Debug)]
pub struct Embedded {
    /// The file's name in messages.
    pub name: &'static str,
    /// The file's content.
    pub bytes: &'static [u8],
}

impl File for Embedded {
    fn name(&self) -> &str {
        self.name
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let inside = || self.bytes.get(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?);
            let bytes = inside().ok_or_else(|| Error::Model(format!("{} ends too early.", self.name)))?;
            Ok(bytes.to_vec())
        })
    }
}

//! What must hold of the parsers whatever they are given.

mod memory;

use std::cell::Cell;
use std::ops::Range;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use styleid_weights::format::pickle::{Pickle, tensors};
use styleid_weights::format::{Header, Parsed, TensorEntry, archive};
use styleid_weights::{File, Pending, Result};

/// A parser: the file's name, its first bytes, its size.
pub type Parser = fn(&str, &[u8], u64) -> Result<Parsed>;

/// Calls a parser and checks its answer: how much memory it took, what it asks for, where its tensors are.
pub fn checked(parser: Parser, prefix: &[u8], file_bytes: u64) -> Result<Parsed> {
    let before = memory::watch();
    let answer = parser("a file", prefix, file_bytes);
    let most = memory::peak() - before;
    assert!(most <= 64 * prefix.len() + 4096, "{most} bytes taken for {}", prefix.len());
    match &answer {
        Ok(Parsed::Needs(bytes)) => {
            assert!(*bytes > prefix.len() as u64 && *bytes <= file_bytes, "{bytes} after {}", prefix.len());
        }
        Ok(Parsed::Archive) => {}
        Ok(Parsed::Header(header)) => sound(header, file_bytes),
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with("a file ") && message.len() < 2000, "{message}");
        }
    }
    answer
}

/// Tensors are in order, apart and inside the file, of different names, and as long as their shapes have it.
fn sound(header: &Header, file_bytes: u64) {
    let mut end = 0;
    let mut names = std::collections::HashSet::new();
    for TensorEntry { name, dtype, shape, span, .. } in &header.tensors {
        assert!(span.start >= end && span.end >= span.start && span.end <= file_bytes, "{name:?} at {span:?}");
        end = span.end;
        assert!(names.insert(name), "two of {name:?}");
        if !dtype.is_read() {
            continue;
        }
        let values = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
        assert_eq!(values.and_then(|values| dtype.bytes(values)), Some(span.end - span.start), "{name:?}");
        assert!(shape.last().unwrap_or(&1).is_multiple_of(dtype.block()), "{name:?} of {dtype:?} {shape:?}");
    }
}

/// Fuzzing of one format's parser: `input` is a file's first bytes, but for the last byte, which tells the file's size.
pub fn one(parser: Parser, input: &[u8]) -> Option<Parsed> {
    let (last, prefix) = input.split_last()?;
    let bytes = prefix.len() as u64;
    let file_bytes = match last % 8 {
        // The whole input is the file.
        0 => bytes + 1,
        1 => bytes,
        2 => bytes / 2,
        3 => bytes + 1000,
        4 => bytes + (1 << 20),
        5 => 1 << 34,
        6 => 1 << 50,
        _ => u64::MAX,
    };
    let prefix = if *last % 8 == 0 { input } else { prefix };
    checked(parser, prefix, file_bytes).ok()
}

/// Reads a pickle, and checks how much memory that took.
pub fn pickle(bytes: &[u8]) {
    let before = memory::watch();
    let found = Pickle::read(bytes).map(|pickle| tensors(&pickle).len());
    let most = memory::peak() - before;
    assert!(most <= 512 * bytes.len() + (64 << 10), "{most} bytes taken for {}", bytes.len());
    if let Err(why) = found {
        assert!(!why.is_empty() && why.len() < 200, "{why}");
    }
}

/// A file in memory that counts how often it is read.
struct Memory<'a> {
    bytes: &'a [u8],
    reads: Cell<usize>,
}

impl File for Memory<'_> {
    fn name(&self) -> &str {
        "a file"
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        assert!(span.start <= span.end && span.end <= self.bytes(), "{span:?} of {}", self.bytes());
        self.reads.set(self.reads.get() + 1);
        Box::pin(async move { Ok(self.bytes[span.start as usize..span.end as usize].to_vec()) })
    }
}

/// Reads an archive, and checks its answer: how much memory it took, how often it read, where its tensors are.
pub fn archive(bytes: &[u8]) {
    let file = Memory { bytes, reads: Cell::new(0) };
    let before = memory::watch();
    let Poll::Ready(found) = pin!(archive::read(&file)).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing is waited for")
    };
    let most = memory::peak() - before;
    assert!(most <= 512 * bytes.len() + (64 << 10), "{most} bytes taken for {}", bytes.len());
    assert!(file.reads.get() <= 8 + 2 * bytes.len() / 46, "{} reads of {} bytes", file.reads.get(), bytes.len());
    match found {
        Err(error) => {
            let message = error.to_string();
            assert!(message.starts_with("a file ") && message.len() < 2000, "{message}");
        }
        // Tensors may share their bytes.
        Ok(header) => {
            for TensorEntry { name, dtype, shape, span, .. } in &header.tensors {
                assert!(span.start <= span.end && span.end <= bytes.len() as u64, "{name:?} at {span:?}");
                let values = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
                let fits = values.and_then(|values| dtype.bytes(values)) == Some(span.end - span.start);
                assert!(fits || !dtype.is_read(), "{name:?}");
            }
        }
    }
}

//! What must hold of the parsers whatever they are given.

mod memory;

use styleid_weights::Result;
use styleid_weights::format::{Header, Parsed, TensorEntry};

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
    for TensorEntry { name, dtype, shape, span } in &header.tensors {
        assert!(span.start >= end && span.end >= span.start && span.end <= file_bytes, "{name:?} at {span:?}");
        end = span.end;
        assert!(names.insert(name), "two of {name:?}");
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

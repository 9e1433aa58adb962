//! Tests against files made by the formats' own writers, and blocks encoded and decoded by PyPI's `gguf`
//! (`tests/fixtures/formats/make.py`).

mod archives;
mod blocks;
mod containers;
mod damage;
mod types;
mod writer;

use super::*;

const BLOCKS: &[u8] = include_bytes!("../../../../tests/fixtures/formats/blocks.safetensors");
const GGUF: &[u8] = include_bytes!("../../../../tests/fixtures/formats/parsed.gguf");
const PLANNED: &[u8] = include_bytes!("../../../../tests/fixtures/formats/planned.gguf");
const SAFETENSORS: &[u8] = include_bytes!("../../../../tests/fixtures/formats/parsed.safetensors");

/// The header of a whole file.
fn header(bytes: &[u8]) -> Header {
    match parse("a file", bytes, bytes.len() as u64) {
        Ok(Parsed::Header(header)) => header,
        other => panic!("not read: {other:?}"),
    }
}

/// The bytes of a tensor.
fn data<'a>(file: &'a [u8], header: &Header, name: &str) -> &'a [u8] {
    let tensor = header.tensors.iter().find(|tensor| tensor.name == name).expect("a tensor that the fixture has");
    &file[tensor.span.start as usize..tensor.span.end as usize]
}

/// Reads a header as a loader does: first `first` bytes, then as many as are requested. Checks what callers rely on,
/// whatever the bytes are.
fn read(file: &[u8], first: usize) -> Result<Header> {
    let mut given = first;
    loop {
        match parse("a file", &file[..given], file.len() as u64)? {
            Parsed::Needs(bytes) => {
                assert!(bytes > given as u64 && bytes <= file.len() as u64, "{bytes} after {given} of {}", file.len());
                given = bytes as usize;
            }
            Parsed::Archive => panic!("no archive"),
            Parsed::Header(header) => {
                let mut end = 0;
                for TensorEntry { name, dtype, shape, span, .. } in &header.tensors {
                    assert!(span.start >= end && span.end <= file.len() as u64, "{name} at {span:?}");
                    let values: u64 = shape.iter().map(|&dim| dim as u64).product();
                    let bytes = span.end - span.start;
                    assert!(!dtype.is_read() || dtype.bytes(values) == Some(bytes), "{name}");
                    end = span.end;
                }
                return Ok(header);
            }
        }
    }
}

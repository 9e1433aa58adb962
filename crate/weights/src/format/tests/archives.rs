//! PyTorch checkpoints. PyTorch itself wrote the valid ones (`tests/fixtures/formats/make_checkpoints.py`).

use std::cell::RefCell;
use std::ops::Range;

use pollster::block_on;

use super::*;
use crate::source::file::{File, Pending};

const NESTED: &[u8] = include_bytes!("../../../../../tests/fixtures/formats/nested.ckpt");
const PLAIN: &[u8] = include_bytes!("../../../../../tests/fixtures/formats/plain.bin");
const OLD: &[u8] = include_bytes!("../../../../../tests/fixtures/formats/old.pt");
const VALUES: &[u8] = include_bytes!("../../../../../tests/fixtures/formats/checkpoints.safetensors");

/// An in-memory file that records its reads.
struct Memory {
    bytes: Vec<u8>,
    reads: RefCell<Vec<Range<u64>>>,
}

impl File for Memory {
    fn name(&self) -> &str {
        "a file"
    }

    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        assert!(span.start <= span.end && span.end <= self.bytes(), "{span:?} of {}", self.bytes());
        self.reads.borrow_mut().push(span.clone());
        Box::pin(async move { Ok(self.bytes[span.start as usize..span.end as usize].to_vec()) })
    }
}

fn memory(bytes: impl Into<Vec<u8>>) -> Memory {
    Memory { bytes: bytes.into(), reads: RefCell::default() }
}

fn open(bytes: impl Into<Vec<u8>>) -> Result<Header> {
    block_on(archive::read(&memory(bytes)))
}

/// Compares every tensor with the same tensor in the safetensors file.
fn compare(file: &[u8], prefix: &str) {
    let (found, expected) = (open(file).expect("a checkpoint"), header(VALUES));
    let mut compared = 0;
    for tensor in &expected.tensors {
        let Some(name) = tensor.name.strip_prefix(prefix) else { continue };
        let Some(found) = found.tensors.iter().find(|found| found.name == name) else { panic!("no {name}") };
        assert_eq!((found.dtype, &found.shape), (tensor.dtype, &tensor.shape), "{name}");
        let data = |file: &[u8], span: &Range<u64>| file[span.start as usize..span.end as usize].to_vec();
        assert_eq!(data(file, &found.span), data(VALUES, &tensor.span), "{name}");
        compared += 1;
    }
    assert!(compared > 1);
}

#[test]
fn what_pytorch_wrote_is_read_as_written() {
    compare(PLAIN, "plain.");
    assert_eq!(open(PLAIN).expect("a checkpoint").tensors.len(), 2);
    let nested = open(NESTED).expect("a checkpoint");
    assert_eq!(nested.tensors.len(), 14);
    // `plain.…` is not in this file, and its names have no prefix to strip.
    let values = header(VALUES);
    for tensor in values.tensors.iter().filter(|tensor| tensor.name.starts_with("model.")) {
        let found = nested.tensors.iter().find(|found| found.name == tensor.name).expect("written");
        assert_eq!((found.dtype, &found.shape), (tensor.dtype, &tensor.shape), "{}", tensor.name);
        assert_eq!(data(NESTED, &nested, &tensor.name), data(VALUES, &values, &tensor.name), "{}", tensor.name);
    }
    for (name, dtype) in [("model.transposed", "values in another order"), ("model.uint16", "UInt16")] {
        let found = nested.tensors.iter().find(|found| found.name == name).expect("written");
        assert!(!found.dtype.is_read() && [dtype, "uint16", "another type"].contains(&found.dtype.name()), "{found:?}");
    }
}

#[test]
fn few_requests_tell_where_all_tensors_are() {
    let file = memory(NESTED);
    block_on(archive::read(&file)).expect("a checkpoint");
    // The tail, the pickle, the byte order, and the first and last local headers.
    assert_eq!(file.reads.borrow().len(), 5);
}

/// An archive as other programs write it: without padding, and with or without data descriptors.
fn archive_of(entries: &[(&str, &[u8])], descriptor: bool, extra: usize) -> Vec<u8> {
    let (mut file, mut index) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let at = file.len() as u32;
        let flags = if descriptor { 8u16 } else { 0 };
        let fixed = |sizes: [u32; 3]| -> Vec<u8> {
            let method_and_time = [0u8; 6];
            [&flags.to_le_bytes()[..], &method_and_time, &sizes.map(u32::to_le_bytes).concat()].concat()
        };
        let size = bytes.len() as u32;
        let local = if descriptor { [0, 0, 0] } else { [0, size, size] };
        file.extend([b"PK\x03\x04\x14\0", &fixed(local)[..]].concat());
        file.extend([(name.len() as u16).to_le_bytes(), (extra as u16).to_le_bytes()].concat());
        file.extend([name.as_bytes(), &vec![0; extra], bytes].concat());
        if descriptor {
            file.extend([b"PK\x07\x08", &[0; 4][..], &size.to_le_bytes(), &size.to_le_bytes()].concat());
        }
        index.extend([b"PK\x01\x02\x14\0\x14\0", &fixed([0, size, size])[..]].concat());
        index.extend([&(name.len() as u16).to_le_bytes()[..], &[0; 12]].concat());
        index.extend([&at.to_le_bytes()[..], name.as_bytes()].concat());
    }
    let (at, bytes, count) = (file.len() as u32, index.len() as u32, entries.len() as u16);
    file.extend(index);
    file.extend([b"PK\x05\x06\0\0\0\0", &count.to_le_bytes()[..], &count.to_le_bytes()].concat());
    file.extend([&bytes.to_le_bytes()[..], &at.to_le_bytes(), &[0, 0]].concat());
    file
}

/// A pickle of `{"w": tensor}`, with these arguments after the storage.
fn pickle_of(storage: &str, arguments: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\n".to_vec();
    pickle.extend([storage.as_bytes(), b"\nU\x010U\x03cpuK\x04tQ", arguments, b"\x89NtRs."].concat());
    pickle
}

/// Offset 0, shape 2×2.
const SQUARE: &[u8] = b"K\0K\x02K\x02\x86K\x02K\x01\x86";

#[test]
fn archives_of_other_programs_are_read_too() {
    let values: Vec<u8> = (0..16).collect();
    let pickle = pickle_of("FloatStorage", SQUARE);
    for (descriptor, extra) in [(false, 0), (false, 7), (true, 0), (true, 9), (false, 64), (true, 31)] {
        for folder in ["", "archive/", "deep/er/"] {
            let names = ["data.pkl", "data/0"].map(|name| format!("{folder}{name}"));
            let file = archive_of(&[(&names[0], &pickle), (&names[1], &values)], descriptor, extra);
            let found = open(&*file).expect("a checkpoint");
            assert_eq!(data(&file, &found, "w"), values, "{descriptor} {extra} {folder}");
            assert_eq!(found.tensors[0].shape, [2, 2]);
        }
    }
}

#[track_caller]
fn refused(file: Vec<u8>, why: &str) {
    let message = open(file).expect_err(why).to_string();
    assert!(message.starts_with("a file ") && message.contains(why), "{message} instead of: {why}");
}

#[test]
fn what_is_wrong_is_said() {
    let values = [7; 16];
    let with = |pickle: &[u8]| archive_of(&[("a/data.pkl", pickle), ("a/data/0", &values)], false, 0);
    let tensor = |arguments: &[u8]| with(&pickle_of("FloatStorage", arguments));
    refused(archive_of(&[("unet/config.json", b"{}")], false, 0), "ZIP archive without a checkpoint");
    refused(with(b"\x80\x02}."), "holds no model's weights");
    refused(with(b"\x80\x02N."), "holds no model's weights");
    refused(with(b"\x80\x02"), "ends too early");
    refused(with(b"\x80\x02cos\nsystem\n"), "it would run \"os.system\"");
    refused(with(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93."), "it would run \"builtins.eval\"");
    refused(with(b"(iposix\nsystem\n."), "the instruction INST");
    refused(with(b"I7\n."), "the instruction INT");
    refused(with(b"\xff"), "the instruction 0xff");
    refused(with(b"))t"), "makes no sense");
    refused(with(b"0"), "makes no sense");
    refused(with(b"h\x01."), "makes no sense");
    refused(tensor(b"K\x01K\x02K\x02\x86K\x02K\x01\x86"), "\"w\" is nowhere in it");
    refused(tensor(b"K\0K\x02K\x03\x86K\x03K\x01\x86"), "\"w\" is nowhere in it");
    let huge = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
    refused(tensor(&[b"K\0", &huge[..], b"K\x02\x86K\x02K\x01\x86"].concat()), "\"w\" is too large");
    refused(tensor(&[&huge[..], SQUARE.get(2..).expect("longer")].concat()), "\"w\" is nowhere in it");
    refused(archive_of(&[("a/data.pkl", &pickle_of("FloatStorage", SQUARE))], false, 0), "it lacks \"data/0\"");
    let mut big = vec![("a/data.pkl", PLAIN), ("a/byteorder", b"big".as_slice())];
    big[0].1 = b"\x80\x02}.";
    refused(archive_of(&big, false, 0), "big-endian");
    // Compressed, as other programs do: not readable by range.
    let mut packed = tensor(SQUARE);
    let entry = packed.windows(4).rposition(|four| four == b"PK\x01\x02").expect("an entry");
    packed[entry + 10] = 8;
    refused(packed, "is compressed");
    let message = parse("a file", OLD, OLD.len() as u64).expect_err("old").to_string();
    assert!(message.contains("is a pickle of the old kind"), "{message}");
}

#[test]
fn what_is_made_by_calls_is_left_alone() {
    // A dict with an object, its state, and an unknown class; then the tensor.
    let mut pickle = b"\x80\x02}(U\x01ocmine\nThing\n)\x81}U\x01sK\x01sbU\x01fcmine\nfunction\n(K\x01tR".to_vec();
    pickle.extend(&pickle_of("HalfStorage", SQUARE)[3..]);
    let at = pickle.len() - 2;
    assert_eq!(&pickle[at..], b"s.");
    pickle[at] = b'u';
    let file = archive_of(&[("a/data.pkl", &pickle), ("a/data/0", &[1; 8])], false, 0);
    let found = open(file).expect("a checkpoint");
    assert_eq!((found.tensors.len(), found.tensors[0].dtype), (1, Dtype::F16));
}

#[test]
fn hostile_pickles_take_little() {
    let with = |pickle: Vec<u8>| archive_of(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 16])], false, 0);
    // Nested dicts that contain themselves many times.
    let mut nested = b"}q\0".to_vec();
    for i in 0..2000 {
        nested.extend(format!("U\x04{i:04}h\0s").into_bytes());
    }
    nested.push(b'.');
    refused(with(nested), "holds no model's weights");
    refused(with([vec![b'('; 1 << 20], vec![b'('; 2]].concat()), "holds too much");
    refused(with(vec![b')'; (1 << 20) + 1]), "holds too much");
    refused(with(b"X\xff\xff\xff\xff".to_vec()), "ends too early");
    refused(with(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()), "ends too early");
    refused(with(b"\x8b\xff\xff\xff\xff".to_vec()), "ends too early");
    // Thousands of tensors in one storage.
    let mut many = b"\x80\x02}(".to_vec();
    let one = pickle_of("FloatStorage", SQUARE);
    let tensor = &one[6..one.len() - 2];
    many.extend([b"U\x01a", tensor, b"q\x01"].concat());
    for i in 0..100_000 {
        many.extend(format!("U\x06{i:06}h\x01").into_bytes());
    }
    many.extend(b"u.");
    assert_eq!(open(with(many)).expect("strange but sound").tensors.len(), 1 << 16);
}

#[test]
fn truncated_and_changed_archives_do_no_harm() {
    for (file, step) in [(NESTED, 5), (PLAIN, 2)] {
        for bytes in (0..file.len()).step_by(7) {
            assert!(open(&file[..bytes]).is_err(), "{bytes} bytes");
        }
        let mut file = file.to_vec();
        for at in (0..file.len()).step_by(step) {
            let old = file[at];
            for new in [0, 0xff, old ^ 1, old ^ 0x80] {
                file[at] = new;
                let Ok(header) = open(&*file) else { continue };
                for tensor in header.tensors {
                    let inside = tensor.span.start <= tensor.span.end && tensor.span.end <= file.len() as u64;
                    assert!(inside, "{} at {:?} with byte {at} as {new}", tensor.name, tensor.span);
                }
            }
            file[at] = old;
        }
    }
}

//! Invalid files: each is rejected with the reason, and none does harm.

use super::*;

/// A GGUF file of `tensors`: name, dimensions innermost first, type, offset.
struct Gguf {
    version: u32,
    metadata: Vec<u8>,
    pairs: u64,
    tensors: Vec<(&'static str, Vec<u64>, u32, u64)>,
    bytes: usize,
}

/// Two tensors of 32 bytes.
fn sound() -> Gguf {
    let tensors = vec![("a", vec![8], 0, 0), ("b", vec![2, 8], 1, 32)];
    Gguf { version: 3, metadata: Vec::new(), pairs: 0, tensors, bytes: 64 }
}

impl Gguf {
    /// Adds metadata: the key, the type, the rest.
    fn with(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.metadata.extend((key.len() as u64).to_le_bytes());
        self.metadata.extend(key.as_bytes());
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
        self.pairs += 1;
        self
    }

    fn file(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend(self.pairs.to_le_bytes());
        file.extend(&self.metadata);
        for (name, dims, kind, offset) in &self.tensors {
            file.extend((name.len() as u64).to_le_bytes());
            file.extend(name.as_bytes());
            file.extend((dims.len() as u32).to_le_bytes());
            file.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend(offset.to_le_bytes());
        }
        file.resize(file.len().next_multiple_of(32) + self.bytes, 0);
        file
    }
}

/// A safetensors file with this header and `bytes` bytes of data.
fn safetensors(json: impl AsRef<[u8]>, bytes: usize) -> Vec<u8> {
    let json = json.as_ref();
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json);
    file.resize(file.len() + bytes, 0);
    file
}

#[track_caller]
fn refused(file: &[u8], why: &str) {
    for first in [0, file.len()] {
        let message = read(file, first).expect_err(why).to_string();
        assert!(message.starts_with("a file ") && message.contains(why), "{message} instead of: {why}");
    }
}

#[test]
fn gguf_tensors_lie_inside_the_file_and_apart() {
    assert_eq!(read(&sound().file(), 0).expect("sound").tensors[1].shape, [8, 2]);
    let with = |change: fn(&mut Gguf)| {
        let mut gguf = sound();
        change(&mut gguf);
        gguf.file()
    };
    refused(&with(|gguf| gguf.bytes = 63), "truncated");
    refused(&with(|gguf| gguf.tensors[1].3 = 0), "\"a\" and \"b\" overlap");
    refused(&with(|gguf| gguf.tensors[0].1 = vec![9]), "\"a\" and \"b\" overlap");
    refused(&with(|gguf| gguf.tensors[1].3 = 48), "\"b\" is not aligned to 32");
    refused(&with(|gguf| gguf.tensors[1].3 = u64::MAX - 31), "\"b\" is too large");
    refused(&with(|gguf| gguf.tensors[1] = ("b", vec![0], 0, u64::MAX - 31)), "\"b\" is nowhere in it");
    refused(&with(|gguf| gguf.tensors[1].1 = vec![1 << 32, 1 << 32]), "\"b\" is too large");
    refused(&with(|gguf| gguf.tensors[1].1 = vec![1; 9]), "\"b\" has 9 dimensions");
    refused(&with(|gguf| gguf.tensors[1].0 = "a"), "two tensors named \"a\"");
    refused(&with(|gguf| gguf.tensors[1] = ("b", vec![16, 2], 8, 32)), "\"b\" are not whole blocks of 32, as Q8_0");
    refused(&with(|gguf| gguf.tensors[1] = ("b", vec![], 12, 32)), "\"b\" are not whole blocks of 256, as Q4_K");
    // A tensor of an unsupported type extends to the next tensor or to the end.
    for (tensor, span) in [(0, 0..32), (1, 32..64)] {
        let mut gguf = sound();
        gguf.tensors[tensor].2 = 23;
        let read = read(&gguf.file(), 0).expect("only what is needed must be read");
        let (first, found) = (read.tensors[0].span.start, &read.tensors[tensor]);
        assert_eq!((found.dtype.name(), found.span.start - first..found.span.end - first), ("IQ4_XS", span));
    }
    refused(&with(|gguf| gguf.version = 1), "of GGUF version 1,");
    refused(&with(|gguf| gguf.version = 3 << 24), "a big-endian GGUF file,");
    refused(&with(|gguf| gguf.version = 0), "of GGUF version 0,");
}

#[test]
fn gguf_metadata_is_sound() {
    let strings = |texts: &[&str]| -> Vec<u8> {
        texts.iter().flat_map(|text| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()).collect()
    };
    let array = |kind: u32, count: u64| [kind.to_le_bytes().as_slice(), &count.to_le_bytes()].concat();
    assert_eq!(read(&sound().with("k", 8, &strings(&["v"])).file(), 0).expect("sound").metadata["k"], "v");
    refused(&sound().with("k", 0, &[1]).with("k", 0, &[1]).file(), "two values of \"k\"");
    refused(&sound().with("k", 13, &[]).file(), "unknown type 13");
    refused(&sound().with("k", 9, &array(13, 0)).file(), "unknown type 13");
    refused(&sound().with("k", 9, &[array(9, 1), array(0, 0)].concat()).file(), "arrays in arrays");
    for alignment in [0u32, 3, 48, u32::MAX] {
        refused(&sound().with("general.alignment", 4, &alignment.to_le_bytes()).file(), "no power of two");
    }
    refused(&sound().with("general.alignment", 10, &(1u64 << 40).to_le_bytes()).file(), "no power of two");
    refused(&sound().with("general.alignment", 8, &strings(&["32"])).file(), "no power of two");
    refused(&sound().with("general.alignment", 4, &64u32.to_le_bytes()).file(), "\"b\" is not aligned to 64");
    // Counts that exceed the size of the file.
    for count in [1 << 20, 1 << 40, u64::MAX] {
        refused(&sound().with("k", 9, &array(0, count)).file(), "truncated");
        refused(&sound().with("k", 9, &array(8, count)).file(), "truncated");
        refused(&sound().with("k", 9, &array(12, count)).file(), "truncated");
        refused(&sound().with("k", 8, &count.to_le_bytes()).file(), "truncated");
        let mut file = sound().file();
        file[8..16].copy_from_slice(&count.to_le_bytes());
        refused(&file, "truncated");
        file[16..24].copy_from_slice(&count.to_le_bytes());
        refused(&file, "truncated");
    }
}

#[test]
fn no_header_is_longer_than_64_mib() {
    let limit = 64u64 << 20;
    let with = |length: u64| sound().with("k", 8, &length.to_le_bytes()).file();
    let large = 4 << 30;
    // The text begins at byte 45.
    assert_eq!(parse("a file", &with(limit - 45), large).expect("to be read on"), Parsed::Needs(limit));
    let message = parse("a file", &with(limit - 44), large).expect_err("too long").to_string();
    assert!(message.contains("more than 64 MiB"), "{message}");
    // The same if all of it is present.
    let text = [limit.to_le_bytes().as_slice(), &vec![b' '; limit as usize]].concat();
    refused(&sound().with("k", 8, &text).file(), "more than 64 MiB");
}

#[test]
fn of_many_arrays_not_all_are_kept() {
    let array = [0u32.to_le_bytes().as_slice(), &256u64.to_le_bytes(), &[1; 256]].concat();
    let mut gguf = sound();
    for i in 0..300 {
        gguf = gguf.with(&i.to_string(), 9, &array);
    }
    assert_eq!(read(&gguf.file(), 0).expect("sound").metadata.len(), 256);
}

#[test]
fn safetensors_lie_inside_the_file_and_apart() {
    let a = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let with = |b: &str, bytes| safetensors(format!("{{{a},{b}}}"), bytes);
    let whole = with(r#""b":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]}"#, 12);
    assert_eq!(read(&whole, 0).expect("sound").tensors.len(), 2);

    let b = |dtype: &str, shape: &str, offsets: &str| {
        with(&format!(r#""b":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#), 12)
    };
    refused(&whole[..whole.len() - 1], "truncated");
    refused(&[&whole, [0].as_slice()].concat(), "bytes instead of");
    refused(&b("U8", "[4]", "[4,8]"), "\"a\" and \"b\" overlap");
    refused(&b("U8", "[3]", "[9,12]"), "no tensor takes the bytes before \"b\"");
    refused(&b("U8", "[5]", "[8,12]"), "the bytes of \"b\" do not fit its shape");
    refused(&b("U8", "[4]", "[12,8]"), "the bytes of \"b\" do not fit its shape");
    refused(&b("U8", "[4294967296,4294967296]", "[8,12]"), "\"b\" is too large");
    refused(&b("U8", "[0]", "[18446744073709551615,18446744073709551615]"), "\"b\" is nowhere in it");
    refused(&b("U8", "[4]", "[8,18446744073709551615]"), "do not fit its shape");
    refused(&b("C64", "[4]", "[12,8]"), "\"b\" is nowhere in it");
    refused(&b("C64", "[4]", "[4,12]"), "\"a\" and \"b\" overlap");
    refused(&b("C64", "[4]", "[9,12]"), "no tensor takes the bytes before \"b\"");
    refused(&b("U8", "[-4]", "[8,12]"), "makes no sense");
    refused(&b("U8", "[4.0]", "[8,12]"), "makes no sense");
    refused(&b("U8", "[4]", "[8]"), "makes no sense");
    refused(&with(a, 8), "overlap");
    refused(&with(r#""a":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}"#, 12), "two tensors named \"a\"");
    refused(&with(r#""__metadata__":{"k":1}"#, 8), "makes no sense");
    refused(&with(r#""__metadata__":{},"__metadata__":{}"#, 8), "makes no sense");
    refused(&safetensors("{\"\u{ff}\":", 0)[..], "makes no sense");
    refused(&safetensors(b"{\"\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0), "makes no sense");
    refused(&safetensors("{", 0), "makes no sense");
    refused(&safetensors("[]", 0), "neither safetensors nor GGUF");
    let mut long = whole.clone();
    long[0] = 0xff;
    refused(&long, "truncated");
}

#[test]
fn each_format_takes_anything() {
    for file in
        [b"".as_slice(), b"G", b"GGU_", b"\0\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0[", b"\xff\xff\xff\xff\xff\xff\xff\xff{"]
    {
        assert!(gguf::parse("a file", file, file.len() as u64).is_err());
        assert!(safetensors::parse("a file", file, file.len() as u64).is_err());
    }
    // A file with a stated size below what was read of it.
    let file = GGUF;
    assert!(parse("a file", file, 100).is_err());
    assert!(parse("a file", file, 0).is_err());
}

#[test]
fn long_names_are_cut_in_messages() {
    let long: &str = "n\n".repeat(100_000).leak();
    let mut gguf = sound();
    gguf.tensors[0] = (long, vec![8], 0, 1);
    let message = read(&gguf.file(), 0).expect_err("not aligned").to_string();
    assert!(message.len() < 500 && message.contains("\\n"), "{message}");
}

#[test]
fn truncated_files_are_refused() {
    for file in [GGUF, SAFETENSORS] {
        for bytes in 0..file.len() {
            assert!(read(&file[..bytes], 0).is_err(), "{bytes} bytes");
        }
    }
}

#[test]
fn no_changed_byte_does_harm() {
    for file in [GGUF, PLANNED, SAFETENSORS] {
        let mut file = file.to_vec();
        for at in 0..file.len().min(7000) {
            let old = file[at];
            for new in [0, 1, b'"', 0x7f, 0xff, old ^ 1, old ^ 0x80] {
                file[at] = new;
                // It may be accepted or rejected; `read` checks what holds in both cases.
                let _ = read(&file, 30);
            }
            file[at] = old;
        }
    }
}

#[test]
fn texts_from_files_are_shown_at_a_length_to_read() {
    assert_eq!(shown("it's"), "\"it's\"");
    assert_eq!(shown("a\"b\n"), "\"a\\\"b\\n\"");
    assert_eq!(shown(&"x".repeat(100)).len(), 102);
    for odd in ["\u{4}", "\u{10fffe}", "語", "\u{301}", "\\"] {
        let short = shown(&odd.repeat(5000));
        assert!(short.starts_with('"') && short.ends_with("\"…") && short.len() <= 105, "{short}");
    }
    // A rejected function's name is also shortened for display.
    let pickle = [&b"\x80\x02cnt\nsys"[..], &[4; 5000], b"tem\n."].concat();
    let why = pickle::Pickle::read(&pickle).expect_err("harmful");
    assert!(why.starts_with("it would run \"nt.sys") && why.len() < 200, "{why}");
}

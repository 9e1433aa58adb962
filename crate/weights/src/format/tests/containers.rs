//! Whole files, and files that are not models.

use serde_json::json;

use super::*;

#[test]
fn a_gguf_file_reads_as_written() {
    let file = GGUF;
    let header = header(file);
    let types = "F32 F16 BF16 F64 I8 I16 I32 I64 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K";
    assert_eq!(header.tensors.len(), 20);
    for (i, name) in types.split(' ').enumerate() {
        let tensor = &header.tensors[i];
        assert_eq!((tensor.name.as_str(), tensor.dtype.name()), (name.to_lowercase().as_str(), name));
        assert_eq!(tensor.shape, [1, 2, 256], "{name}");
        assert!(data(file, &header, &tensor.name).iter().all(|&byte| usize::from(byte) == i + 1), "{name}");
    }
    assert_eq!(header.tensors[18].shape, [7]);
    assert_eq!(data(file, &header, "row"), [99; 28]);
    assert_eq!(header.tensors[19].shape, [0, 4]);
    assert!(header.tensors[19].span.is_empty());

    let metadata = json!({
        "general.architecture": "sd", "general.alignment": 64, "a.u8": 200, "a.i8": -100, "a.u16": 60000, "a.i16": -30000,
        "a.u32": 4_000_000_000_u32, "a.i32": -2_000_000_000, "a.u64": 9_223_372_036_854_775_809_u64,
        "a.i64": -4_611_686_018_427_387_904_i64, "a.f32": 0.15625, "a.f64": 0.1, "a.nan": null, "a.bool": true,
        "a.string": "naïve", "b.i16s": [-1, 2], "b.strings": ["x", "yz"], "b.kept": (0..256).collect::<Vec<_>>(),
    });
    assert_eq!(json!(header.metadata), metadata);
}

#[test]
fn version_2_of_gguf_reads_the_same() {
    let mut file = GGUF.to_vec();
    let third = header(&file);
    file[4] = 2;
    assert_eq!(header(&file), third);
}

#[test]
fn a_safetensors_file_reads_as_written() {
    let file = SAFETENSORS;
    let header = header(file);
    let ones: [(&str, Dtype, &[u8]); 10] = [
        ("float64", Dtype::F64, &1f64.to_le_bytes()),
        ("float32", Dtype::F32, &1f32.to_le_bytes()),
        ("float16", Dtype::F16, &[0x00, 0x3c]),
        ("bfloat16", Dtype::BF16, &[0x80, 0x3f]),
        ("int64", Dtype::I64, &1i64.to_le_bytes()),
        ("int32", Dtype::I32, &1i32.to_le_bytes()),
        ("int16", Dtype::I16, &1i16.to_le_bytes()),
        ("int8", Dtype::I8, &[1]),
        ("uint8", Dtype::U8, &[1]),
        ("bool", Dtype::Bool, &[1]),
    ];
    assert_eq!(header.tensors.len(), 13);
    for (name, dtype, one) in ones {
        let tensor = header.tensors.iter().find(|tensor| tensor.name == name).expect("written");
        assert_eq!((tensor.dtype, tensor.shape.as_slice()), (dtype, [2, 3].as_slice()), "{name}");
        assert_eq!(data(file, &header, name), one.repeat(6), "{name}");
    }
    assert_eq!(data(file, &header, "scalar"), 1f32.to_le_bytes());
    assert_eq!(data(file, &header, "quote \" and ü"), 1f32.to_le_bytes());
    assert!(data(file, &header, "none").is_empty());
    let shape = |name| &header.tensors.iter().find(|tensor| tensor.name == name).expect("written").shape;
    assert_eq!((shape("scalar").as_slice(), shape("none").as_slice()), ([].as_slice(), [0, 4].as_slice()));
    assert_eq!(json!(header.metadata), json!({"text": "naïve"}));
}

#[test]
fn headers_are_read_from_any_first_bytes() {
    for file in [GGUF, PLANNED, SAFETENSORS] {
        let whole = header(file);
        for first in 0..=file.len() {
            assert_eq!(read(file, first).expect("a good file"), whole, "from {first} bytes");
        }
    }
}

#[test]
fn few_bytes_are_asked_for() {
    let needs = |prefix: &[u8], bytes| parse("a file", prefix, bytes).expect("a good start");
    let large = 4 << 30;
    assert_eq!(needs(b"", large), Parsed::Needs(64 << 10));
    assert_eq!(needs(b"", 100), Parsed::Needs(100));
    // Safetensors files state the length of their header; for GGUF, twice as many bytes are requested.
    let mut safetensors = 1_000_000u64.to_le_bytes().to_vec();
    safetensors.push(b'{');
    assert_eq!(needs(&safetensors, large), Parsed::Needs(1_000_008));
    let mut gguf = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    assert_eq!(needs(&gguf, large), Parsed::Needs(64 << 10));
    gguf.extend(300_000u64.to_le_bytes());
    gguf.extend([b'k'; 8]);
    assert_eq!(needs(&gguf, large), Parsed::Needs(300_032));
    gguf.resize(200_000, b'k');
    assert_eq!(needs(&gguf, large), Parsed::Needs(400_000));
    assert_eq!(needs(&gguf, 390_000), Parsed::Needs(390_000));
}

#[test]
fn lengths_that_read_like_pickles_are_lengths() {
    for magic in [b"PK\x03\0".as_slice(), b"\x80\x02\0\0"] {
        let mut file = [magic, &[0; 4], b"{}"].concat();
        let length = u64::from_le_bytes(*file.first_chunk().expect("8 bytes"));
        file.resize(8 + length as usize, b' ');
        assert_eq!(header(&file), Header::default());
    }
}

#[test]
fn what_is_no_model_is_named() {
    assert_eq!(parse("a file", b"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl", 100).expect("a start"), Parsed::Archive);
    let no_models: [(&[u8], &str); 9] = [
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "is a pickle of the old kind"),
        (b"\x80\x02}q\0(X\x01{\0\0\0", "is a pickle of the old kind"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "is a Git LFS pointer"),
        (b"\n <!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"", "truncated"),
        (b"GGUF", "truncated"),
        (b"{\"a\": 1}", "truncated"),
        (b"\xff\xff\xff\xff\0\0\0\0{\"a\": 1}", "more than 64 MiB"),
        (b"Entry not found, or so it says", "neither safetensors nor GGUF"),
    ];
    for (file, what) in no_models {
        let message = read(file, 0).expect_err("no model").to_string();
        assert!(message.starts_with("a file ") && message.contains(what), "{message}");
    }
}

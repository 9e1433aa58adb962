//! Rare types: 8-bit floats, their scales, and unsupported types.

use super::*;

/// A safetensors file with these tensors: name, type, shape, bytes.
fn safetensors(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let (mut index, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        index.insert((*name).into(), serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend_from_slice(bytes);
    }
    let json = serde_json::Value::Object(index).to_string();
    [&(json.len() as u64).to_le_bytes(), json.as_bytes(), &data].concat()
}

/// The value of an 8-bit float by its definition.
fn float8(bits: u8, exponent_bits: u32) -> f64 {
    let fraction_bits = 7 - exponent_bits;
    let (bias, most) = ((1 << (exponent_bits - 1)) - 1, (1 << exponent_bits) - 1);
    let exponent = i32::from(bits & 0x7f) >> fraction_bits;
    let fraction = f64::from(bits & ((1 << fraction_bits) - 1)) / f64::from(1 << fraction_bits);
    let sign = if bits < 0x80 { 1.0 } else { -1.0 };
    let is_nan = if exponent_bits == 4 { bits & 0x7f == 0x7f } else { exponent == most && fraction > 0.0 };
    match exponent {
        _ if is_nan => f64::NAN,
        _ if exponent_bits == 5 && exponent == most => sign * f64::INFINITY,
        0 => sign * fraction * 2f64.powi(1 - bias),
        _ => sign * (1.0 + fraction) * 2f64.powi(exponent - bias),
    }
}

#[test]
fn all_8_bit_floats_are_exact() {
    let all: Vec<u8> = (0..=255).collect();
    for (dtype, exponent_bits) in [(Dtype::F8_E4M3, 4), (Dtype::F8_E5M2, 5)] {
        let mut values = Vec::new();
        super::super::blocks::dequantise(dtype, &all, &mut values).expect("floats");
        for (bits, value) in values.iter().enumerate() {
            let exact = float8(bits as u8, exponent_bits) as f32;
            let same = value.to_bits() == exact.to_bits() || value.is_nan() && exact.is_nan();
            assert!(same, "{dtype:?} {bits:#x}: {value} instead of {exact}");
        }
        // The same in the lossless storage type.
        assert_eq!(compact::kept_as(compact::WeightType::Exact, "w", dtype, &[2, 2]), Dtype::F16);
        let finite: Vec<u8> = all.iter().copied().filter(|bits| float8(*bits, exponent_bits).is_finite()).collect();
        let mut converter = compact::Converter::new(dtype, Dtype::F16, finite.len());
        converter.push(&finite).expect("finite");
        let halves = converter.finish();
        for (bits, half) in finite.iter().zip(halves.as_chunks().0) {
            assert_eq!(half::f16::from_le_bytes(*half).to_f64(), float8(*bits, exponent_bits), "{dtype:?} {bits:#x}");
        }
    }
    assert_eq!(float8(0x7e, 4), 448.0);
    assert_eq!(float8(0x7b, 5), 57344.0);
}

#[test]
fn types_that_are_not_read_do_no_harm() {
    let one = 1f32.to_le_bytes();
    for kind in ["F8_E8M0", "C64", "F4", "U16", "F6_E2M3", "F8_E4M3FNUZ", "naïve \" type"] {
        let file = safetensors(&[("a", "F32", &[], &one), ("b", kind, &[3, 5], &[7; 6]), ("c", "F32", &[1], &one)]);
        let header = read(&file, 0).expect("only what is needed must be read");
        let find = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name).expect("listed");
        // Few unknown names are stored, so this one may have come too late.
        let name = find("b").dtype.name();
        assert!(name == kind || kind.contains("type") && name == "another type", "{name}");
        assert_eq!(find("b").shape, [3, 5]);
        assert!(!find("b").dtype.is_read() && find("b").dtype.bytes(15).is_none());
        assert_eq!(data(&file, &header, "b"), [7; 6]);
        assert_eq!(data(&file, &header, "c"), one);
    }
    // However many types a file names, few names are stored.
    for i in 0..1000 {
        assert!(Dtype::unread(&format!("type {i}")).name().len() < 20);
    }
    assert!(Dtype::unread(&"n".repeat(1000)).name().len() < 50);
}

#[test]
fn scales_belong_to_their_weights() {
    let one = 1f32.to_le_bytes();
    let file = safetensors(&[
        ("a.q.weight", "F8_E4M3", &[2, 2], &[0x38; 4]),
        ("a.q.bias", "F32", &[1], &one),
        ("a.q.scale_weight", "F32", &[], &one),
        ("a.q.scale_input", "F32", &[], &one),
        ("a.k.weight", "F8_E5M2", &[2, 2], &[0x3c; 4]),
        ("a.k.weight_scale", "F32", &[2, 1], &[one, one].concat()),
        ("a.k.comfy_quant", "U8", &[2], b"{}"),
        ("a.scaled_fp8", "F8_E4M3", &[0], &[]),
        ("other.scale_weight", "F32", &[1], &one),
    ]);
    let header = read(&file, 0).expect("sound");
    let names: Vec<_> = header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["a.q.weight", "a.q.bias", "a.k.weight", "other.scale_weight"]);
    let scale = |i: usize| header.tensors[i].scale.as_ref().expect("a scale");
    assert_eq!((scale(0).count(), scale(0).dtype), (1, Dtype::F32));
    assert_eq!((scale(2).count(), scale(2).shape.as_slice()), (2, [2, 1].as_slice()));
    assert_eq!(scale(2).rows(1..2, 2).span, scale(2).span.start + 4..scale(2).span.end);
    assert_eq!(scale(0).rows(1..2, 2), *scale(0));
}

/// All types used for weights.
const READ: [Dtype; 16] = [
    Dtype::F64,
    Dtype::F32,
    Dtype::F16,
    Dtype::BF16,
    Dtype::F8_E4M3,
    Dtype::F8_E5M2,
    Dtype::Q8_0,
    Dtype::Q4_0,
    Dtype::Q4_1,
    Dtype::Q5_0,
    Dtype::Q5_1,
    Dtype::Q2_K,
    Dtype::Q3_K,
    Dtype::Q4_K,
    Dtype::Q5_K,
    Dtype::Q6_K,
];

/// Converts 1024 zeros of this type, with `bytes` at the start of block `bad`.
fn converted(from: Dtype, weights: compact::WeightType, bad: usize, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let values = 1024;
    let to = compact::kept_as(weights, "w", from, &[values / 64, 64]);
    let mut file = vec![0; values / from.block() * from.block_bytes()];
    file[bad * from.block_bytes()..][..bytes.len()].copy_from_slice(bytes);
    let mut converter = compact::Converter::new(from, to, values);
    converter.push(&file)?;
    Ok(converter.finish())
}

#[test]
fn what_is_no_number_is_kept_in_no_way() {
    let floats: [(Dtype, &[&[u8]]); 8] = [
        (Dtype::F64, &[&f64::NAN.to_le_bytes(), &f64::INFINITY.to_le_bytes(), &1e300f64.to_le_bytes()]),
        (Dtype::F32, &[&f32::NAN.to_le_bytes(), &f32::INFINITY.to_le_bytes(), &f32::NEG_INFINITY.to_le_bytes()]),
        (Dtype::F16, &[&[0x01, 0x7c], &[0x00, 0x7c], &[0x00, 0xfc]]),
        (Dtype::BF16, &[&[0xc0, 0x7f], &[0x80, 0x7f], &[0x80, 0xff]]),
        (Dtype::F8_E4M3, &[&[0x7f], &[0xff]]),
        (Dtype::F8_E5M2, &[&[0x7d], &[0x7c], &[0xfc]]),
        (Dtype::Q8_0, &[&[0x01, 0x7c, 1], &[0x00, 0x7c, 1], &[0x00, 0xfc, 1]]),
        (Dtype::Q4_0, &[&[0x01, 0x7c, 1], &[0x00, 0x7c, 1], &[0x00, 0xfc, 1]]),
    ];
    for weights in compact::WeightType::ALL {
        for dtype in READ {
            assert!(converted(dtype, weights, 0, &[]).is_ok(), "{dtype:?} {weights:?}");
            // Bits of all ones are not a finite number or scale in any type.
            let ones = vec![0xff; dtype.block_bytes()];
            let own = floats.iter().find(|(own, _)| *own == dtype).map_or(&[][..], |(_, bytes)| bytes);
            for bytes in own.iter().copied().chain([&ones[..]]) {
                for bad in [0, 1024 / dtype.block() / 2, 1024 / dtype.block() - 1] {
                    let refused = converted(dtype, weights, bad, bytes).expect_err("no number");
                    assert!(refused.contains("no numbers"), "{dtype:?} {weights:?} {bytes:?}: {refused}");
                }
            }
        }
    }
}

#[test]
fn what_has_no_room_in_its_type_is_told_so() {
    use compact::WeightType::{Exact, F16, F32, Q4, Q8};
    for (value, fits) in [
        (65504.0f32, &[Exact, F32, F16, Q8, Q4][..]),
        (65519.996, &[Exact, F32, F16, Q8, Q4]),
        (65520.0, &[Exact, F32, Q8, Q4]),
        (-524_100.0, &[Exact, F32, Q8, Q4]),
        (524_160.0, &[Exact, F32, Q8]),
        (8_321_039.0, &[Exact, F32, Q8]),
        (8_321_040.0, &[Exact, F32]),
        (f32::MAX, &[Exact, F32]),
    ] {
        for weights in compact::WeightType::ALL {
            let kept = converted(Dtype::F32, weights, 7, &value.to_le_bytes());
            assert_eq!(kept.is_ok(), fits.contains(&weights), "{value} {weights:?}");
            let Err(refused) = kept else {
                let (to, mut values) = (compact::kept_as(weights, "w", Dtype::F32, &[2, 32]), Vec::new());
                super::super::blocks::dequantise(to, &kept.unwrap_or_default(), &mut values)
                    .expect("kept types are read");
                assert!(values.iter().all(|value| value.is_finite()), "{value} {weights:?}");
                continue;
            };
            assert!(refused.contains("too large") && refused.contains("f32"), "{refused}");
        }
    }
}

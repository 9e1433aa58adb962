//! Blocks to values and back, bit for bit as in PyPI's `gguf`.

use half::f16;

use super::super::blocks::dequantise;
use super::super::compact::{quantise_q4, quantise_q8};
use super::*;

/// The f32 values of a fixture's tensor.
fn floats(file: &[u8], header: &Header, name: &str) -> Vec<f32> {
    let (values, []) = data(file, header, name).as_chunks() else { panic!("{name} is no f32") };
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

#[test]
fn every_type_decodes_bit_for_bit() {
    use Dtype::*;
    let file = BLOCKS;
    let header = header(file);
    for dtype in [Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, F16, BF16, F64] {
        let expected = floats(file, &header, &format!("{}.values", dtype.name()));
        let blocks = data(file, &header, &format!("{}.blocks", dtype.name()));
        // Values are appended to the existing ones.
        let mut values = vec![7.0];
        dequantise(dtype, blocks, &mut values).expect("whole blocks");
        assert_eq!(values.len(), 1 + expected.len(), "{dtype:?}");
        for (i, (value, expected)) in values[1..].iter().zip(&expected).enumerate() {
            assert_eq!(value.to_bits(), expected.to_bits(), "{dtype:?} value {i}: {value} instead of {expected}");
        }
        assert_eq!(values[0], 7.0);
    }
}

#[test]
fn every_f16_widens() {
    let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let mut values = Vec::new();
    dequantise(Dtype::F16, &halves, &mut values).expect("whole values");
    for (bits, value) in (0..=u16::MAX).zip(values) {
        let expected = f16::from_bits(bits).to_f32();
        let same = value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan();
        assert!(same, "{bits:#06x}: {value} instead of {expected}");
    }
}

#[test]
fn parts_of_blocks_and_integers_are_no_weights() {
    use Dtype::*;
    let mut values = vec![1.0];
    for dtype in [F64, F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K] {
        assert_eq!(dequantise(dtype, &[], &mut values), Some(()), "{dtype:?}");
        assert_eq!(dequantise(dtype, &vec![0; dtype.block_bytes() * 2 - 1], &mut values), None, "{dtype:?}");
    }
    for dtype in [I64, I32, I16, I8, U8, Bool] {
        assert_eq!(dequantise(dtype, &[0; 8], &mut values), None, "{dtype:?}");
    }
    assert_eq!(values, [1.0]);
}

#[test]
fn quantised_byte_for_byte() {
    let file = BLOCKS;
    let header = header(file);
    for (name, quantise) in [("Q8_0", quantise_q8 as fn(&[f32], &mut Vec<u8>)), ("Q4_0", quantise_q4)] {
        let values = floats(file, &header, &format!("quantise.{name}.values"));
        let expected = data(file, &header, &format!("quantise.{name}.blocks"));
        let mut blocks = Vec::new();
        quantise(&values, &mut blocks);
        assert_eq!(blocks.len(), expected.len());
        let size = expected.len() / (values.len() / 32);
        for (i, (block, expected)) in blocks.chunks(size).zip(expected.chunks(size)).enumerate() {
            assert_eq!(block, expected, "{name} of {:?}", &values[i * 32..][..32]);
        }
    }
}

//! Streaming the tensors of an in-memory file.

use std::collections::BTreeMap;
use std::rc::Rc;

use pollster::block_on;
use serde_json::Value;

use super::*;
use crate::checkpoint::read_header;
use crate::source::file::File;

struct Memory(Vec<u8>);

impl File for Memory {
    fn name(&self) -> &str {
        "a file"
    }

    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, span: Range<u64>) -> Pending<'_, Result<Vec<u8>>> {
        Box::pin(async move { Ok(self.0[span.start as usize..span.end as usize].to_vec()) })
    }
}

#[derive(Default)]
struct Kept(Vec<Compact>);

impl Receiver for Kept {
    fn receive<'a>(&'a mut self, tensor: Compact, _: &'a TensorRequest) -> Pending<'a, Result<()>> {
        self.0.push(tensor);
        Box::pin(async { Ok(()) })
    }

    fn progress(&mut self, _: u64, _: u64) -> Pending<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// A safetensors file of these tensors: name, type, shape, bytes.
fn checkpoint(tensors: &[(&str, &str, &[usize], &[u8])]) -> Checkpoint {
    let (mut index, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        index.insert((*name).into(), serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend_from_slice(bytes);
    }
    let json = Value::Object(index).to_string();
    let file = Memory([&(json.len() as u64).to_le_bytes(), json.as_bytes(), &data].concat());
    let header = block_on(read_header(&file)).expect("sound");
    let tensors = header.tensors.into_iter().map(|entry| {
        let crate::format::TensorEntry { name, dtype, shape, span, scale } = entry;
        (name, Located { file: 0, dtype, shape, span, scale })
    });
    Checkpoint {
        notes: Vec::new(),
        taken: BTreeMap::new(),
        name: "a file".into(),
        layout: "test",
        tensors: tensors.collect(),
        files: vec![Rc::new(file)],
        configs: Value::Null,
        prediction_by: String::new(),
        hashes: BTreeMap::new(),
        provenance: None,
    }
}

/// The values of matrix `w` in its storage type.
fn values(checkpoint: &Checkpoint, rows: Option<Vec<usize>>, weights: WeightType) -> Result<(Dtype, Vec<f32>)> {
    let shape = checkpoint.tensors["w.weight"].shape.clone();
    let request = TensorRequest { name: "w.weight".into(), shape, rows, is_weight: true };
    let wanted = [Wanted { name: "w.weight".into(), request: &request }];
    let mut kept = Kept::default();
    block_on(stream(checkpoint, &wanted, weights, &mut kept, &mut ByteProgress::default()))?;
    let mut values = Vec::new();
    blocks::dequantise(kept.0[0].dtype, &kept.0[0].bytes, &mut values).expect("kept types are read");
    Ok((kept.0[0].dtype, values))
}

const EIGHTS: (&str, &str, &[usize], &[u8]) = ("w.weight", "F8_E4M3", &[2, 2], &[0x38, 0x40, 0xb8, 0x30]);

#[test]
fn scales_multiply_every_value_or_row() {
    let f32s = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let plain = checkpoint(&[EIGHTS]);
    assert_eq!(values(&plain, None, WeightType::Exact).expect("values"), (Dtype::F16, vec![1.0, 2.0, -1.0, 0.5]));
    let scalar = f32s(&[0.1]);
    let all = checkpoint(&[EIGHTS, ("w.scale_weight", "F32", &[], &scalar)]);
    let expected = vec![0.1, 0.2, -0.1, 0.05];
    assert_eq!(values(&all, None, WeightType::Exact).expect("values"), (Dtype::F32, expected));
    let two = f32s(&[0.1, 3.0]);
    let rows = checkpoint(&[EIGHTS, ("w.weight_scale", "F32", &[2, 1], &two)]);
    let expected = vec![0.1, 0.2, -3.0, 1.5];
    assert_eq!(values(&rows, None, WeightType::Exact).expect("values"), (Dtype::F32, expected));
    assert_eq!(values(&rows, Some(vec![1]), WeightType::F32).expect("values").1, [-3.0, 1.5]);
    let brain = checkpoint(&[EIGHTS, ("w.scale_weight", "BF16", &[1], &[0x00, 0x40])]);
    assert_eq!(values(&brain, None, WeightType::F16).expect("values").1, [2.0, 4.0, -2.0, 1.0]);
}

#[test]
fn what_cannot_be_read_is_named_when_it_is_wanted() {
    let unread = checkpoint(&[("w.weight", "F8_E8M0", &[2, 2], &[0; 4])]);
    let error = values(&unread, None, WeightType::Exact).expect_err("not read").to_string();
    assert!(error.starts_with("a file holds w.weight as F8_E8M0, which can't be read;"), "{error}");
    for (dtype, shape, bytes) in [("F32", &[2, 2][..], &[0; 16][..]), ("F32", &[3], &[0; 12]), ("C64", &[1], &[0; 8])] {
        let blocks = checkpoint(&[EIGHTS, ("w.weight_scale_inv", dtype, shape, bytes)]);
        let error = values(&blocks, None, WeightType::Exact).expect_err("not read").to_string();
        assert!(error.starts_with("a file holds w.weight with scales of shape"), "{error}");
    }
    let integers = checkpoint(&[EIGHTS, ("w.scale_weight", "I32", &[1], &[1; 4])]);
    assert!(values(&integers, None, WeightType::Exact).is_err());
}

#[test]
fn weights_that_are_no_numbers_get_a_sentence_in_every_way_of_keeping() {
    let nan: [(&str, &[u8]); 6] = [
        ("F64", &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f]),
        ("F32", &[0, 0, 0xc0, 0x7f]),
        ("F16", &[0, 0x7e]),
        ("BF16", &[0xc0, 0x7f]),
        ("F8_E4M3", &[0x7f]),
        ("F8_E5M2", &[0x7e]),
    ];
    for (dtype, bytes) in nan {
        for weights in WeightType::ALL {
            // In a matrix, and in a vector, which is always kept as f32.
            let mut file = vec![0; 40 * 64 * bytes.len()];
            file[1234 * bytes.len()..][..bytes.len()].copy_from_slice(bytes);
            for shape in [&[40, 64][..], &[2560]] {
                let broken = checkpoint(&[("w.weight", dtype, shape, &file)]);
                let error = values(&broken, None, weights).expect_err("no numbers").to_string();
                assert!(
                    error.starts_with("Tensor w.weight of a file has values that are no numbers (NaN or infinity):")
                        && error.ends_with('.'),
                    "{dtype} {weights:?}: {error}"
                );
            }
        }
    }
}

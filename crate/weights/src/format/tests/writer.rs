//! File layouts: equal to those of Python's own writer, and readable.

use serde_json::json;

use super::super::gguf_writer::{GgufLayout, GgufTensor};
use super::*;

const LONG: &str = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.weight";

fn metadata(json: serde_json::Value) -> BTreeMap<String, serde_json::Value> {
    serde_json::from_value(json).expect("an object")
}

/// The fixture's layout and metadata.
fn planned() -> (GgufLayout, BTreeMap<String, serde_json::Value>) {
    let metadata = metadata(json!({
        "general.architecture": "sd", "bool": true, "double": 0.1, "doubles": [0.5, 0.1], "empty": "", "float": 0.5,
        "floats": [0.5, 2], "flags": [true, false], "int": 7, "ints": [1, 2, 300], "large": 1u64 << 40, "negative": -3,
        "signed": [1, -2], "strings": ["a", "bc"],
    }));
    let tensors = [
        GgufTensor { name: LONG, dtype: Dtype::Q8_0, shape: &[2, 64] },
        GgufTensor { name: "half", dtype: Dtype::F16, shape: &[3] },
        GgufTensor { name: "convolution", dtype: Dtype::F32, shape: &[2, 1, 5, 2] },
        GgufTensor { name: "scalar", dtype: Dtype::F32, shape: &[] },
        GgufTensor { name: "four", dtype: Dtype::Q4_0, shape: &[1, 32] },
    ];
    (GgufLayout::new(&metadata, &tensors).expect("a good plan"), metadata)
}

#[test]
fn a_planned_file_is_byte_for_byte_that_of_pythons_writer() {
    let (plan, _) = planned();
    let mut file = plan.header.clone();
    for (i, span) in plan.spans.iter().enumerate() {
        file.resize(span.start as usize, 0);
        file.resize(span.end as usize, i as u8 + 1);
    }
    file.resize(plan.bytes as usize, 0);
    assert_eq!(file, PLANNED);
}

#[test]
fn a_plan_reads_back() {
    let (plan, metadata) = planned();
    let Ok(Parsed::Header(header)) = parse("a file", &plan.header, plan.bytes) else { panic!("not read") };
    let mut expected = metadata;
    expected.insert("floats".into(), json!([0.5, 2.0]));
    assert_eq!(header.metadata, expected);
    let spans: Vec<_> = header.tensors.iter().map(|tensor| tensor.span.clone()).collect();
    assert_eq!(spans, plan.spans);
    assert_eq!((header.tensors[0].name.as_str(), header.tensors[0].dtype), (LONG, Dtype::Q8_0));
    assert_eq!(header.tensors[2].shape, [2, 1, 5, 2]);
}

#[test]
fn nothing_is_a_file_too() {
    let plan = GgufLayout::new(&BTreeMap::new(), &[]).expect("no tensors");
    let nothing = Header { container: Container::Gguf, ..Header::default() };
    assert_eq!(parse("a file", &plan.header, plan.bytes).expect("a file"), Parsed::Header(nothing));
    let empty = metadata(json!({"none": []}));
    let plan = GgufLayout::new(&empty, &[]).expect("no tensors");
    assert_eq!(header(&plan.header).metadata, empty);
}

#[test]
fn what_gguf_cannot_say_is_refused() {
    for value in
        [json!(null), json!({}), json!([[1]]), json!([1, "a"]), json!([1, true]), json!([null]), json!([u64::MAX, -1])]
    {
        let message = GgufLayout::new(&metadata(json!({ "k": value })), &[]).expect_err("no type").to_string();
        assert!(message.contains("\"k\""), "{message}");
    }
    assert!(GgufLayout::new(&metadata(json!({"general.alignment": 64})), &[]).is_err());
    let refused = |tensors: &[GgufTensor<'_>]| {
        let message = GgufLayout::new(&BTreeMap::new(), tensors).expect_err("no such tensor").to_string();
        assert!(message.contains("\"t\""), "{message}");
    };
    let fine = GgufTensor { name: "t", dtype: Dtype::Q8_0, shape: &[2, 32] };
    assert!(GgufLayout::new(&BTreeMap::new(), &[fine]).is_ok());
    refused(&[fine, fine]);
    refused(&[GgufTensor { shape: &[32, 2], ..fine }]);
    refused(&[GgufTensor { shape: &[], ..fine }]);
    refused(&[GgufTensor { shape: &[usize::MAX, 32], ..fine }]);
    refused(&[GgufTensor { dtype: Dtype::U8, ..fine }]);
    refused(&[GgufTensor { dtype: Dtype::Bool, ..fine }]);
}

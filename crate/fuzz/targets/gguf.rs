//! GGUF headers; what is read of one can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use styleid_fuzz::checked;
use styleid_weights::format::gguf_writer::{GgufLayout, GgufTensor};
use styleid_weights::format::{Parsed, gguf};

fuzz_target!(|input: &[u8]| {
    let Some(Parsed::Header(header)) = styleid_fuzz::one(gguf::parse, input) else { return };
    let tensors: Vec<GgufTensor<'_>> = header
        .tensors
        .iter()
        .map(|tensor| GgufTensor { name: &tensor.name, dtype: tensor.dtype, shape: &tensor.shape })
        .collect();
    // Not every header: the writer takes no alignment and no null, which NaN was read as.
    let Ok(layout) = GgufLayout::new(&header.metadata, &tensors) else { return };
    let Ok(Parsed::Header(again)) = checked(gguf::parse, &layout.header, layout.bytes) else {
        panic!("not read again")
    };
    assert_eq!(again.metadata, header.metadata);
    assert_eq!(again.tensors.len(), header.tensors.len());
    for (tensor, span) in header.tensors.iter().zip(&layout.spans) {
        // By name: empty tensors can be at the same place.
        let again = again.tensors.iter().find(|again| again.name == tensor.name).expect("a tensor of each name");
        assert_eq!((&again.span, again.dtype, &again.shape), (span, tensor.dtype, &tensor.shape));
    }
});

//! GGUF headers; what is read of one can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use styleid_fuzz::checked;
use styleid_fuzz::format::gguf_writer::{Plan, Tensor};
use styleid_fuzz::format::{Parsed, gguf};

fuzz_target!(|input: &[u8]| {
    let Some(Parsed::Header(header)) = styleid_fuzz::one(gguf::parse, input) else { return };
    let tensors: Vec<Tensor<'_>> = header
        .tensors
        .iter()
        .map(|tensor| Tensor { name: &tensor.name, dtype: tensor.dtype, shape: &tensor.shape })
        .collect();
    // Not every header: the writer takes no alignment and no null, which NaN was read as.
    let Ok(plan) = Plan::new(&header.metadata, &tensors) else { return };
    let Ok(Parsed::Header(again)) = checked(gguf::parse, &plan.header, plan.bytes) else { panic!("not read again") };
    assert_eq!(again.metadata, header.metadata);
    assert_eq!(again.tensors.len(), header.tensors.len());
    for (tensor, span) in header.tensors.iter().zip(&plan.spans) {
        // By name: empty tensors can be at the same place.
        let again = again.tensors.iter().find(|again| again.name == tensor.name).expect("a tensor of each name");
        assert_eq!((&again.span, again.dtype, &again.shape), (span, tensor.dtype, &tensor.shape));
    }
});

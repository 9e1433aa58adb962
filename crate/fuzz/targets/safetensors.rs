//! Safetensors headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    styleid_fuzz::one(styleid_weights::format::safetensors::parse, input);
});

//! Checkpoints of PyTorch: whole archives, and the pickles in them alone.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if input.starts_with(b"PK") {
        styleid_fuzz::archive(input);
    } else {
        styleid_fuzz::pickle(input);
    }
});

//! Whole files of any kind, read as a loader does: first some bytes (the last two of the input tell how many), then as
//! many as are asked for. The outcome is the same as with the whole file at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use styleid_fuzz::checked;
use styleid_weights::format::{Parsed, parse};

fuzz_target!(|input: &[u8]| {
    let Some((file, first)) = input.split_last_chunk() else { return };
    let bytes = file.len() as u64;
    let whole = checked(parse, file, bytes).ok();
    assert!(!matches!(whole, Some(Parsed::Needs(_))), "more than the whole file is needed");
    let mut given = usize::from(u16::from_le_bytes(*first)).min(file.len());
    loop {
        match checked(parse, &file[..given], bytes).ok() {
            Some(Parsed::Needs(bytes)) => given = bytes as usize,
            outcome => return assert_eq!(outcome, whole, "from {given} bytes"),
        }
    }
});

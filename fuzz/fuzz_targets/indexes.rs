//! See `fuzz_bodies::indexes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::indexes(data));

//! See `fuzz_bodies::expansions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::expansions(data));

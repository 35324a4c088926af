//! See `fuzz_bodies::decisions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::decisions(data));

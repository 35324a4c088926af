//! See `fuzz_bodies::tables`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::tables(data));

//! See `fuzz_bodies::service_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::service_files(data));

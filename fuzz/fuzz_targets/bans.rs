//! See `fuzz_bodies::ban_lists`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::ban_lists(data));

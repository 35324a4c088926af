//! See `fuzz_bodies::ident_replies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::ident_replies(data));

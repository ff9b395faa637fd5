//! The target `message` under coverage guidance.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| umbel_protocol_fuzz::targets::message(data));

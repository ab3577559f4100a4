//! Conditions and the data they are asked about.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::filters::check(data));

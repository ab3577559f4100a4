//! Configuration files: loaded or refused with a place, and what is printed reads back.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::configuration::check(data));

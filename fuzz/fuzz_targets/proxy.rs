//! The PROXY protocol's header, byte by byte.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::proxy::check(data));

//! Forwarding headers: nobody is believed who is not trusted.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::forwarding::check(data));

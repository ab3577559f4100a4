//! Bodies: read as a second reader reads them, with keys that hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::envelope::check(data));

//! What holds for every reader of what others wrote, whatever they wrote: a module for each reader.
//!
//! A module's `check` takes any bytes and panics when a promise is broken. The fuzzers look for bytes
//! that make it, and the tests hold it against seeds and against everything that was found before.

pub mod configuration;
pub mod envelope;
pub mod filters;
pub mod forwarding;
pub mod needle;
pub mod proxy;
mod push;
pub mod templates;

/// Panics when bytes break a promise.
pub type Check = fn(&[u8]);

/// Each reader by its name, which is also that of its fuzzer, its dictionary and its seeds.
pub const TARGETS: [(&str, Check); 7] = [
    ("configuration", configuration::check),
    ("envelope", envelope::check),
    ("filters", filters::check),
    ("forwarding", forwarding::check),
    ("needle", needle::check),
    ("proxy", proxy::check),
    ("templates", templates::check),
];

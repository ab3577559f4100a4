//! The http sink.

mod options;

pub use options::{Body, HttpOptions, Signature};

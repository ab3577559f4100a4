//! The file sink.

mod options;

pub use options::FileOptions;

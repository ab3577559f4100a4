//! The exec sink.

mod options;

pub use options::ExecOptions;

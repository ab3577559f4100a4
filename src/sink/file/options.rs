//! What a file sink is made of.

use std::path::PathBuf;
use std::time::Duration;

use crate::sink::line::LabelStyle;

/// What a file sink is made of.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// The file that is written to.
    pub path: PathBuf,
    /// How labels are written.
    pub labels: LabelStyle,
    /// A file that has so many bytes makes room for the next; zero: never.
    pub rotate_size: u64,
    /// A file that was begun so long ago makes room for the next; zero: never.
    pub rotate_every: Duration,
    /// Files kept beside the one that is written to.
    pub keep: usize,
}

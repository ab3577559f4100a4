//! A sink of type `file`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{duration, size};
use super::check::{Fault, Faults};
use super::labels;
use crate::sink::file::FileOptions;
use crate::sink::line::LabelStyle;

/// One line of a file for each event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileSink {
    /// The file that is written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-allowed" = "the path of a file in a folder this user may write to"))]
    pub path: Option<PathBuf>,
    /// How an event's labels are written.
    #[serde(with = "labels")]
    #[schemars(with = "labels::Labels")]
    pub labels: LabelStyle,
    /// A file that has so many bytes makes room for the next; 0: never.
    #[serde(with = "size")]
    #[schemars(with = "size::Text", extend("x-min" = "0", "x-max" = "1TiB"))]
    pub rotate_size: u64,
    /// A file that was begun so long ago makes room for the next; 0: never.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "3650d"))]
    pub rotate_every: Duration,
    /// Files kept beside the one that is written to.
    #[schemars(with = "u16", range(min = 0, max = 10_000))]
    pub keep: usize,
}

impl Default for FileSink {
    fn default() -> Self {
        Self {
            path: None,
            labels: LabelStyle::Object,
            rotate_size: 100 << 20,
            rotate_every: Duration::ZERO,
            keep: 10,
        }
    }
}

impl FileSink {
    /// What the sink is made of.
    ///
    /// # Errors
    /// Everything that is wrong with its keys.
    pub fn options(&self) -> Result<FileOptions, Vec<Fault>> {
        let mut faults = Faults::default();
        let path = self.path.clone().unwrap_or_default();
        if self.path.is_none() {
            faults.add("path", "is missing");
        } else if path.file_name().is_none() || path.to_string_lossy().ends_with('/') {
            faults.add("path", "names no file");
        }
        // Lines written together would be torn by files smaller than this.
        if (1..1 << 16).contains(&self.rotate_size) {
            faults.add("rotate_size", "is too small for a file of its own");
        }
        if !self.rotate_every.is_zero() && self.rotate_every < Duration::from_secs(1) {
            faults.add("rotate_every", "is too short for a file of its own");
        }
        if !faults.is_empty() {
            return Err(faults.into_list());
        }
        Ok(FileOptions {
            path,
            labels: self.labels.clone(),
            rotate_size: self.rotate_size,
            rotate_every: self.rotate_every,
            keep: self.keep,
        })
    }
}

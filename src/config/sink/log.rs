//! A sink of type `log`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::labels;
use crate::sink::line::LabelStyle;

/// One line on standard output for each event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogSink {
    /// How an event's labels are written.
    #[serde(with = "labels")]
    #[schemars(with = "labels::Labels")]
    pub labels: LabelStyle,
}

impl Default for LogSink {
    fn default() -> Self {
        Self {
            labels: LabelStyle::Object,
        }
    }
}

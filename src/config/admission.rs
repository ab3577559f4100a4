//! `[admission]` and `[envelope]`: how events are read and judged.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration, size};

/// How events are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Admission {
    /// Event types by which a person asks for something.
    #[schemars(extend("x-allowed" = "a list of event types, such as [\"i_custom\"]"))]
    pub commands: Vec<String>,
    /// A command older than this is not carried out any more.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "1s", "x-max" = "7d"))]
    pub command_max_age: Duration,
    /// An event further in the future does not make others stale.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text", extend("x-min" = "0s", "x-max" = "1d"))]
    pub max_clock_skew: Duration,
    /// How many pushes are kept that came from the sender but could not be read.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub keep_unreadable: u32,
    /// And how many bytes of them.
    #[serde(with = "size")]
    #[schemars(with = "size::Text", extend("x-min" = "0", "x-max" = "1TiB"))]
    pub keep_unreadable_bytes: u64,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            commands: vec!["i_custom".to_owned()],
            command_max_age: Duration::from_secs(10 * 60),
            max_clock_skew: Duration::from_secs(5 * 60),
            keep_unreadable: 1000,
            keep_unreadable_bytes: 64 << 20,
        }
    }
}

/// Where a push carries what is needed: JSON pointers, of which the first that finds something
/// wins, and literals (without a leading slash) for when none does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Envelope {
    /// The sender's id of the event.
    #[schemars(extend("x-allowed" = POINTERS))]
    pub event_id: Vec<String>,
    /// When it happened.
    #[schemars(extend("x-allowed" = POINTERS))]
    pub event_time: Vec<String>,
    /// What happened.
    #[schemars(extend("x-allowed" = POINTERS))]
    pub event_type: Vec<String>,
    /// The incident it happened to.
    #[schemars(extend("x-allowed" = POINTERS))]
    pub incident_id: Vec<String>,
    /// The alert it happened to.
    #[schemars(extend("x-allowed" = POINTERS))]
    pub alert_id: Vec<String>,
}

const POINTERS: &str =
    "a list of JSON pointers (RFC 6901), such as [\"/event_id\"], and of literals";

impl Default for Envelope {
    fn default() -> Self {
        let list = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect();
        Self {
            event_id: list(&["/event_id", "/incident/event_id", "/alert/event_id"]),
            event_time: list(&["/event_time"]),
            event_type: list(&["/event_type"]),
            incident_id: list(&["/incident/incident_id"]),
            alert_id: list(&["/alert/alert_id"]),
        }
    }
}

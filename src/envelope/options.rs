//! What the user may say about where a push carries its id, type, time and subject.

use thiserror::Error;

/// Where to look in a body, as the `[envelope]` section lists it, and which types are commands.
///
/// An entry that begins with `/` is a JSON pointer (RFC 6901); of a list's pointers the first that
/// finds something wins. Any other entry is a literal, used when no pointer found anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeOptions {
    /// `envelope.event_id`; pointers only.
    pub event_id: Vec<String>,
    /// `envelope.event_time`.
    pub event_time: Vec<String>,
    /// `envelope.event_type`; never empty.
    pub event_type: Vec<String>,
    /// `envelope.incident_id`.
    pub incident_id: Vec<String>,
    /// `envelope.alert_id`.
    pub alert_id: Vec<String>,
    /// `admission.commands`: event types by which a person asks for something.
    pub commands: Vec<String>,
}

impl Default for EnvelopeOptions {
    fn default() -> Self {
        let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        Self {
            event_id: list(&["/event_id", "/incident/event_id", "/alert/event_id"]),
            event_time: list(&["/event_time"]),
            event_type: list(&["/event_type"]),
            incident_id: list(&["/incident/incident_id"]),
            alert_id: list(&["/alert/alert_id"]),
            commands: list(&["i_custom"]),
        }
    }
}

/// An entry of [`EnvelopeOptions`] that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {entry:?} {problem}; allowed is {allowed}")]
pub struct EnvelopeOptionsError {
    /// The configuration key, such as `envelope.event_id`.
    pub key: &'static str,
    /// The entry as it was given; empty when the list is.
    pub entry: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// What could stand there instead.
    pub allowed: &'static str,
}

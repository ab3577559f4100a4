//! The words that label pushes and deliveries, spelled as they appear.

use std::fmt;

use prometheus_client::encoding::EncodeLabelValue;

use crate::event::Outcome;

/// What became of one request to the webhook path, by the answer given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the words of the log's `outcome` field")]
#[expect(
    non_camel_case_types,
    reason = "label values are spelled as they appear"
)]
pub enum PushOutcome {
    accepted,
    duplicate,
    stale,
    denied,
    unauthorized,
    invalid,
    too_large,
    timeout,
    aborted,
    overloaded,
    late,
}

impl PushOutcome {
    /// Every outcome, so that each is exported from the start.
    pub const ALL: [Self; 11] = [
        Self::accepted,
        Self::duplicate,
        Self::stale,
        Self::denied,
        Self::unauthorized,
        Self::invalid,
        Self::too_large,
        Self::timeout,
        Self::aborted,
        Self::overloaded,
        Self::late,
    ];

    /// The word used in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::accepted => "accepted",
            Self::duplicate => "duplicate",
            Self::stale => "stale",
            Self::denied => "denied",
            Self::unauthorized => "unauthorized",
            Self::invalid => "invalid",
            Self::too_large => "too_large",
            Self::timeout => "timeout",
            Self::aborted => "aborted",
            Self::overloaded => "overloaded",
            Self::late => "late",
        }
    }
}

impl From<Outcome> for PushOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::accepted,
            Outcome::Duplicate => Self::duplicate,
            Outcome::Stale => Self::stale,
        }
    }
}

impl fmt::Display for PushOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a delivery went on or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the delivery states of the documentation")]
#[expect(
    non_camel_case_types,
    reason = "label values are spelled as they appear"
)]
pub enum DeliveryOutcome {
    delivered,
    retried,
    dead,
    superseded,
    expired,
    dropped,
    replayed,
}

impl DeliveryOutcome {
    pub(super) const ALL: [Self; 7] = [
        Self::delivered,
        Self::retried,
        Self::dead,
        Self::superseded,
        Self::expired,
        Self::dropped,
        Self::replayed,
    ];

    /// The word used in traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::delivered => "delivered",
            Self::retried => "retried",
            Self::dead => "dead",
            Self::superseded => "superseded",
            Self::expired => "expired",
            Self::dropped => "dropped",
            Self::replayed => "replayed",
        }
    }
}

/// What became of a push that the sender's history gave; `elsewhere`: it was none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "the outcomes of the documentation")]
#[expect(
    non_camel_case_types,
    reason = "label values are spelled as they appear"
)]
pub enum RecoveredOutcome {
    accepted,
    stale,
    duplicate,
    unreadable,
    elsewhere,
}

impl RecoveredOutcome {
    pub(super) const ALL: [Self; 5] = [
        Self::accepted,
        Self::stale,
        Self::duplicate,
        Self::unreadable,
        Self::elsewhere,
    ];
}

/// Why the store did not take a transaction, or would not take one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(
    non_camel_case_types,
    reason = "label values are spelled as they appear"
)]
pub enum StoreFailure {
    /// It has no room.
    full,
    /// The database does not answer.
    away,
    /// It is broken, and the process ends.
    failed,
}

impl StoreFailure {
    pub(super) const ALL: [Self; 3] = [Self::full, Self::away, Self::failed];
}

//! What the inbox shows to people: rows, filters and pages. Serialised as the API gives them.

use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SinkId;
use crate::event::{Origin, Outcome, Route, Seq, Subject};

/// A page of a list, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A stored event without its body.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of `event::Event`, as stored")]
pub struct EventRow {
    pub seq: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    pub event_type: String,
    /// Milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub outcome: Outcome,
    pub command: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_ip: Option<IpAddr>,
    pub received_at: Timestamp,
    pub origin: Origin,
    pub body_bytes: u64,
    /// In the words of filters, read from the body for a list; so is the severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

/// Which events to list. Everything given must match.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of `EventRow`")]
pub struct EventFilter {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many rows; the caller has bounded it.
    pub limit: usize,
    pub event_id: Option<String>,
    pub event_type: Option<String>,
    pub subject: Option<Subject>,
    pub outcome: Option<Outcome>,
    pub route: Option<Route>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Whether `row` is meant, by all that is asked for.
    pub fn selects(&self, row: &EventRow) -> bool {
        let same = |wanted: Option<&str>, is: Option<&str>| wanted.is_none() || wanted == is;
        let subject = self.subject.as_ref().map(ToString::to_string);
        self.matches(row)
            && same(self.event_id.as_deref(), row.event_id.as_deref())
            && same(subject.as_deref(), row.subject.as_deref())
    }

    /// Whether `row` is meant by its time, type, outcome and route.
    pub(super) fn matches(&self, row: &EventRow) -> bool {
        self.since.is_none_or(|since| row.received_at >= since)
            && self.until.is_none_or(|until| row.received_at < until)
            && self
                .event_type
                .as_ref()
                .is_none_or(|wanted| *wanted == row.event_type)
            && self.outcome.is_none_or(|wanted| wanted == row.outcome)
            && self.route.as_ref().is_none_or(|route| {
                route.tag.as_deref() == row.tag.as_deref()
                    && route.query.as_deref() == row.query.as_deref()
            })
    }
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the delivery states of the documentation")]
pub enum DeliveryState {
    Pending,
    Leased,
    Delivered,
    Dead,
    Superseded,
    Expired,
    Dropped,
}

/// One event on its way to one sink.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the columns of the delivery table")]
pub struct DeliveryRow {
    pub seq: Seq,
    pub sink: String,
    pub state: DeliveryState,
    /// Attempts begun.
    pub attempts: u32,
    /// When the next attempt may begin; only while it waits at the head of its lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    pub replay: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    pub event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The attempts kept of it, oldest first; only when one delivery's event was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<AttemptRow>,
}

/// One attempt that was kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the columns of the attempt table")]
pub struct AttemptRow {
    /// Counted on from before where a person asked for the delivery again.
    pub n: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    pub ended: Timestamp,
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// The beginning of the answer, or of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// One change that a person made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the columns of the audit table")]
pub struct AuditRow {
    pub id: i64,
    pub at: Timestamp,
    pub who: String,
    pub action: String,
    pub selector: String,
    pub count: u64,
    pub reason: String,
}

/// Which changes to list. Everything given must match.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// The `next_cursor` of the page before.
    pub cursor: Option<i64>,
    /// At most so many rows; the caller has bounded it.
    pub limit: usize,
    /// Such as `replay`.
    pub action: Option<String>,
    /// Made at or after.
    pub since: Option<Timestamp>,
    /// Made before.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// The newest `limit`.
    pub fn newest(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }
}

/// Which deliveries to list. Everything given must match.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of `DeliveryRow`")]
pub struct DeliveryFilter {
    pub cursor: Option<String>,
    pub limit: usize,
    pub seq: Option<Seq>,
    pub sink: Option<String>,
    pub state: Option<DeliveryState>,
    pub subject: Option<Subject>,
    pub event_id: Option<String>,
    pub event_type: Option<String>,
    /// Of events received at or after.
    pub since: Option<Timestamp>,
    /// Of events received before.
    pub until: Option<Timestamp>,
    /// Of events at this position or before it.
    pub upto: Option<Seq>,
}

/// A delivery that a person may change, or an event that has none for the sink yet.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns of the delivery and the event table"
)]
pub struct Candidate {
    pub seq: Seq,
    pub sink: SinkId,
    pub name: String,
    /// Absent where there is no delivery.
    pub state: Option<DeliveryState>,
    /// When the lease of a leased one ends, or has ended without a new one.
    pub leased_until: Option<Timestamp>,
    pub event_id: Option<String>,
    pub event_type: String,
    pub command: bool,
    pub stale: bool,
}

/// One incident or alert, per route.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the columns of the subject table")]
pub struct SubjectRow {
    pub subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The mark: the newest accepted event time, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_time: Option<i64>,
    pub last_seq: Seq,
    pub last_received_at: Timestamp,
}

/// Which subjects to list.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of `SubjectRow`")]
pub struct SubjectFilter {
    pub cursor: Option<String>,
    pub limit: usize,
    pub subject: Option<Subject>,
}

/// A kept push that could not be used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of `Unreadable`")]
pub struct UnreadableRow {
    pub id: i64,
    pub received_at: Timestamp,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_ip: Option<IpAddr>,
    pub body_bytes: u64,
}

/// Which unreadable pushes to list. Everything given must match.
#[derive(Debug, Clone, Default)]
pub struct UnreadableFilter {
    /// The `next_cursor` of the page before, in the same order.
    pub cursor: Option<i64>,
    /// At most so many rows; the caller has bounded it.
    pub limit: usize,
    /// Oldest first; else newest first.
    pub oldest_first: bool,
    /// None that came in after the one with this id.
    pub upto: Option<i64>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// From this judged client address.
    pub source: Option<IpAddr>,
    /// Whose reason holds this; the case of ASCII letters does not count.
    pub reason: Option<String>,
    /// To this URL.
    pub route: Option<Route>,
}

impl UnreadableFilter {
    /// The newest `limit`.
    pub fn newest(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// The ids that a page looks at, the first and the last.
    pub(super) fn ids(&self) -> (i64, i64) {
        let upto = self.upto.unwrap_or(i64::MAX);
        match self.cursor {
            Some(from) if self.oldest_first => (from, upto),
            Some(from) => (0, from.min(upto)),
            None => (0, upto),
        }
    }

    /// Where the next page begins behind `items`; 0 where none does.
    pub(super) fn next(&self, items: &[UnreadableRow]) -> i64 {
        match items.last() {
            Some(row) if items.len() == self.limit => {
                row.id + if self.oldest_first { 1 } else { -1 }
            }
            _ => 0,
        }
    }
}

/// Numbers about the inbox.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Events stored.
    pub events: u64,
    /// The newest event's position.
    pub last_seq: Option<Seq>,
    /// Unreadable pushes kept.
    pub unreadable: u64,
    /// Per sink that ever had a delivery.
    pub sinks: Vec<SinkCounts>,
}

/// Numbers about one sink's deliveries.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SinkCounts {
    /// The sink's name.
    pub sink: String,
    /// Deliveries not settled.
    pub pending: u64,
    /// When the oldest of them was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_pending_at: Option<Timestamp>,
    /// Deliveries given up and kept.
    pub dead: u64,
    /// The sink takes nothing before this, because its other side asked for a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

//! Where a page ends and the next one begins, for every backend.

use std::cmp::Reverse;

use super::query::{EventRow, Page, SubjectRow};
use crate::event::Seq;

/// Where a page goes on: behind the delivery to this sink of the event at this position. Several
/// sinks share a position, so that a position alone would skip some or show them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: i64,
    pub(super) sink: i64,
}

impl Place {
    /// Behind this delivery.
    pub(super) fn of(seq: Seq, sink: i64) -> Self {
        Self { seq: seq.0, sink }
    }

    /// Before the first delivery of the event at `seq`.
    pub(super) fn before(seq: i64) -> Self {
        Self { seq, sink: 0 }
    }

    /// `None` for what no page ever gave out, rather than begin anew.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (seq, sink) = text.split_once('-').unwrap_or((text, "0"));
        match (seq.parse(), sink.parse()) {
            (Ok(seq), Ok(sink)) if seq >= 0 && sink >= 0 => Some(Self { seq, sink }),
            _ => None,
        }
    }

    pub(super) fn to_cursor(self) -> String {
        match self.sink {
            0 => self.seq.to_string(),
            sink => format!("{}-{sink}", self.seq),
        }
    }
}

impl SubjectRow {
    /// Where a list of subjects goes on behind this one; nowhere, when nothing can be.
    pub fn cursor_behind(&self) -> Option<String> {
        let next = self.last_seq.0 - 1;
        (next > 0).then(|| next.to_string())
    }
}

/// Cuts `found`, for which one row more than `limit` was asked for; where the next page begins if
/// there are more.
pub(super) fn cut<T>(
    found: &mut Vec<T>,
    limit: usize,
    end: impl FnOnce(&T) -> Place,
) -> Option<Place> {
    let more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| more).map(end)
}

/// A page of events; the next one begins at a position above zero.
pub(super) fn page<T>(items: Vec<T>, next: i64) -> Page<T> {
    Page {
        items,
        next_cursor: (next > 0).then(|| next.to_string()),
    }
}

/// A page of what was found of several chains of events, up to `limit` of each.
pub(super) fn newest_first(mut found: Vec<EventRow>, limit: usize) -> Page<EventRow> {
    found.sort_by_key(|row| Reverse(row.seq));
    found.truncate(limit);
    let next = match found.last() {
        Some(row) if found.len() == limit => row.seq.0 - 1,
        _ => 0,
    };
    page(found, next)
}

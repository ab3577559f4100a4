//! Where a page ends and the next one begins, for every backend.

use super::query::{Page, SubjectRow};
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

/// Where a list of a subject's events goes on: at these events, one of each of its chains that has
/// more. A position alone would be found in a chain only by a walk from its newest event, each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heads(pub(super) Vec<i64>);

impl Heads {
    /// `None` for what no page ever gave out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let heads = text.split('~').map(|seq| seq.parse().ok());
        heads.collect::<Option<Vec<i64>>>().map(Self)
    }

    /// `None` where all chains are at their end.
    pub(super) fn to_cursor(&self) -> Option<String> {
        let heads: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        (!heads.is_empty()).then(|| heads.join("~"))
    }
}

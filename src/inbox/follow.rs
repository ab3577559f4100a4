//! Following the events: how far they are complete, and a stretch of them at a time, oldest first.

use super::query::EventRow;
use crate::event::Seq;

/// How far the events are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// No event appears at or before this position any more: what is to be read there now is all
    /// there will ever be.
    pub complete: Seq,
    /// The newest position that was given out. Events between `complete` and this one may be on
    /// their way.
    pub drawn: Seq,
}

impl Horizon {
    /// Whether events that may be there already are held back, because others may come before them.
    pub fn waits(&self) -> bool {
        self.complete < self.drawn
    }
}

/// Positions behind `after`, up to and with `upto`. Followed in order, stretches that end at what was
/// complete when they were asked for show every event once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The last position that was dealt with.
    pub after: Seq,
    /// The last one that is meant.
    pub upto: Seq,
}

/// What there is of a stretch.
#[derive(Debug, Clone)]
pub struct Followed {
    /// Its events, oldest first.
    pub items: Vec<EventRow>,
    /// Up to here it was looked at: the next stretch begins behind it.
    pub upto: Seq,
    /// The last position whose event was removed, because it was past its time or for room. Before it
    /// events may be missing from any stretch.
    pub pruned: Seq,
}

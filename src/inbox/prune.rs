//! What leaves the inbox, and when.

use std::time::Duration;

use jiff::Timestamp;

use super::SinkId;
use super::query::DeliveryState;
use crate::event::Seq;

/// What one small step of pruning may remove, in the order in which loss hurts least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneWhat {
    /// Keys, subjects, records of the sender's history and unreadable pushes past their age, in one
    /// slice of all.
    Forgotten {
        /// Which slice; any number, taken modulo the number of slices.
        slice: u64,
    },
    /// Events whose last delivery settled before the retention.
    Aged,
    /// For room: settled events older than an hour.
    Settled,
    /// For room: dead letters, too.
    Dead,
    /// For room: waiting deliveries of these sinks, too.
    Waiting {
        /// Sinks that are parked or failing.
        sinks: Vec<SinkId>,
    },
}

/// One small step of pruning.
#[derive(Debug, Clone)]
pub struct Prune {
    /// What may go.
    pub what: PruneWhat,
    /// The time now.
    pub now: Timestamp,
    /// Settled events are kept this long.
    pub retention: Duration,
    /// Look at events behind this position only.
    pub after: Seq,
    /// Stop once bodies of so many bytes are gone; zero means no such bound.
    pub wanted_bytes: u64,
}

impl Prune {
    /// History younger than this stays even when room is short.
    pub const KEPT_FOR_SURE: Duration = Duration::from_secs(3600);
    /// De-duplication reaches back at least this far: the sender's own history, and a day.
    pub const REMEMBERED: Duration = Duration::from_secs(8 * 86_400);

    /// Events received after this are not touched.
    pub fn cutoff(&self) -> Timestamp {
        let age = match self.what {
            PruneWhat::Forgotten { .. } | PruneWhat::Aged => self.retention,
            PruneWhat::Settled => self.retention.min(Self::KEPT_FOR_SURE),
            PruneWhat::Dead | PruneWhat::Waiting { .. } => Duration::ZERO,
        };
        before(self.now, age)
    }

    /// Keys and subjects not seen since this are forgotten.
    pub fn forget_before(&self) -> Timestamp {
        before(self.now, self.retention.max(Self::REMEMBERED))
    }

    /// Records of the sender's history that were dealt with before this are forgotten: it does not
    /// have them any more.
    pub fn records_before(&self) -> Timestamp {
        before(self.now, Self::REMEMBERED)
    }

    /// Whether what waits for `sink` may be given up.
    pub(super) fn gives_up(&self, sink: SinkId) -> bool {
        matches!(&self.what, PruneWhat::Waiting { sinks } if sinks.contains(&sink))
    }

    /// What goes with an event received at `received`, if it may go at all: giving up a part of it
    /// would free nothing.
    pub(super) fn release(
        &self,
        received: i64,
        deliveries: impl IntoIterator<Item = Attached>,
    ) -> Option<Release> {
        let mut release = Release::default();
        let mut whole = true;
        for Attached {
            sink,
            state,
            settled,
        } in deliveries
        {
            match (&self.what, state) {
                (_, DeliveryState::Pending) if self.gives_up(sink) => release.dropped.push(sink),
                (_, DeliveryState::Pending | DeliveryState::Leased) => whole = false,
                (PruneWhat::Aged, _) => {
                    // Kept for the whole of its retention after the last delivery settled.
                    let cutoff = self.cutoff().as_microsecond();
                    whole &= settled.is_none_or(|at| at < cutoff);
                    release.dead += u64::from(state == DeliveryState::Dead);
                }
                (PruneWhat::Dead | PruneWhat::Waiting { .. }, DeliveryState::Dead) => {
                    release.dead += 1;
                }
                (_, DeliveryState::Dead) => whole = false,
                _ => {}
            }
        }
        // History younger than an hour goes only together with what was given up for room.
        let for_sure = self.now.checked_sub(Self::KEPT_FOR_SURE);
        let young = received >= for_sure.unwrap_or(self.now).as_microsecond();
        if young && !matches!(self.what, PruneWhat::Aged | PruneWhat::Settled) {
            whole &= release.dead > 0 || !release.dropped.is_empty();
        }
        whole.then_some(release)
    }

    /// Whether `bytes` are all that was wanted.
    pub fn enough(&self, bytes: u64) -> bool {
        self.wanted_bytes != 0 && bytes >= self.wanted_bytes
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

/// A delivery of an event that may have to go; times are microseconds, as they are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attached {
    pub(super) sink: SinkId,
    /// Whether it is leased need be known only of one that may be given up.
    pub(super) state: DeliveryState,
    pub(super) settled: Option<i64>,
}

/// What goes with an event that is removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Release {
    /// Waiting deliveries to give up.
    pub(super) dropped: Vec<SinkId>,
    /// Dead letters.
    pub(super) dead: u64,
}

/// What one step of pruning removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Whole events.
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Dead letters among them.
    pub dead: u64,
    /// Waiting deliveries given up, by sink.
    pub dropped: Vec<SinkId>,
    /// Keys, subjects, records of the sender's history and unreadable pushes.
    pub other: u64,
    /// Where the next step goes on; `None` when there is nothing behind.
    pub next: Option<Seq>,
}

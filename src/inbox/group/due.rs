//! When the task has something to do: what is claimed, and when it looks again.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Group, IDLE, MAX_SETTLED};
use crate::inbox::{Batch, Claim};

impl Group {
    pub(super) fn is_time(&self) -> bool {
        let now = Instant::now();
        if let Some(again_at) = self.again_at {
            return again_at <= now;
        }
        self.ride_by.is_some_and(|by| by <= now)
            || self.settled.len() >= MAX_SETTLED
            || !self.claims().is_empty()
    }

    /// The sinks that have both a free slot and something due.
    pub(super) fn claims(&self) -> Vec<Claim> {
        self.claims_while(!self.offers.is_empty() || !self.settled.is_empty())
    }

    /// As [`Group::claims`]; `working` when there is a transaction anyway.
    pub(super) fn claims_while(&self, working: bool) -> Vec<Claim> {
        if self.claims_at.is_some_and(|at| at > Instant::now()) {
            return Vec::new();
        }
        let now = self.options.clock.now();
        let slots = self.shared.slots();
        slots
            .iter()
            .filter(|slots| working || slots.due().is_some_and(|due| due <= now))
            .filter_map(|slots| slots.room())
            .collect()
    }

    /// When to look again if no message comes.
    pub(super) fn wake_at(&self) -> Instant {
        if let Some(again_at) = self.again_at {
            return again_at;
        }
        let at = self.claim_at();
        self.ride_by.map_or(at, |by| by.min(at))
    }

    /// When something to claim falls due.
    fn claim_at(&self) -> Instant {
        if let Some(at) = self.claims_at.filter(|at| *at > Instant::now()) {
            return at;
        }
        let now = self.options.clock.now();
        let slots = self.shared.slots();
        let next_due = slots
            .iter()
            .filter(|slots| slots.room().is_some())
            .filter_map(|slots| slots.due())
            .min()
            .map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
        Instant::now() + next_due.map_or(IDLE, |due| due.min(IDLE))
    }

    /// Sinks that had no free slot may have got deliveries that wait: to be claimed as soon as
    /// there is one.
    pub(super) fn note_unclaimed(&self, batch: &Batch) {
        for slots in self.shared.slots().iter() {
            if !batch.claims.iter().any(|claim| claim.sink == slots.sink()) {
                slots.set_due(Some(Timestamp::MIN));
            }
        }
    }
}

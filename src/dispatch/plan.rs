//! How one sink's deliveries are made.

use std::sync::Arc;
use std::time::Duration;

use super::Retry;
use crate::inbox::{ClaimOptions, Rate};
use crate::sink::Sink;

/// How one sink's deliveries are made. Changed by a reload, and read anew at each attempt.
#[derive(Clone)]
pub struct Plan {
    /// The destination.
    pub sink: Arc<dyn Sink>,
    /// Deliveries handed over at once.
    pub batch: usize,
    /// Hand-overs under way at the same time.
    pub concurrency: usize,
    /// Deliveries leased and not yet settled.
    pub slots: usize,
    /// How long a lease lasts: longer than any attempt.
    pub lease: Duration,
    /// How long an attempt may take; absent where the sink keeps the time itself.
    pub timeout: Option<Duration>,
    /// A hand-over that takes longer stands for a sink that takes nothing; absent where waiting
    /// for an answer is usual.
    pub stalls_after: Option<Duration>,
    /// How many attempts there may be.
    pub rates: Arc<[Rate]>,
    /// Whether what answers said is remembered for later attempts.
    pub remembers: bool,
    /// What is too old to be delivered.
    pub ages: Ages,
    /// When a failed delivery is tried again.
    pub retry: Retry,
    /// Whether an attempt whose end is unknown is the last one, for any event.
    pub once: bool,
}

impl Plan {
    /// What is claimed for it.
    pub fn claims(&self) -> ClaimOptions {
        ClaimOptions {
            rates: Arc::clone(&self.rates),
            remembered: self.remembers,
            ..ClaimOptions::new(self.slots, self.lease)
        }
    }
}

/// What is too old to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// A command older than this.
    pub command: Duration,
    /// Any event older than this.
    pub event: Option<Duration>,
}

//! Takes leases, hands them to a sink, settles them.
//!
//! A slow or dead sink holds up nothing but its own backlog: what it does not take waits in the
//! inbox. A command whose attempt may have begun is never begun again.

mod backoff;
mod janitor;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use self::backoff::Retry;
pub use self::janitor::{Janitor, JanitorOptions, Neglected};
use crate::clock::Clock;
use crate::inbox::{Claims, Committer, Lease, Settled, Settlement, SinkId, body_bytes};
use crate::metrics::{DeliveryOutcome, SinkMetrics};
use crate::sink::{Sink, SinkError};

/// A sink that takes nothing for this long is shown as paused.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// How one sink's deliveries are made.
#[derive(Debug, Clone)]
pub struct DispatchOptions {
    /// The sink's number in the store.
    pub sink: SinkId,
    /// Deliveries handed over at once.
    pub batch: usize,
    /// Deliveries leased and not yet settled.
    pub slots: usize,
    /// How long a lease lasts.
    pub lease: Duration,
    /// What is too old to be delivered; read anew at each attempt.
    pub ages: Arc<ArcSwap<Ages>>,
    /// When a failed delivery is tried again.
    pub retry: Retry,
}

/// What is too old to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// A command older than this.
    pub command: Duration,
    /// Any event older than this.
    pub event: Option<Duration>,
}

/// Delivers one sink's events.
pub struct Dispatcher {
    options: DispatchOptions,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    metrics: SinkMetrics,
    name: Arc<str>,
}

impl Dispatcher {
    /// Assembles a dispatcher for the sink called `name`.
    pub fn new(
        name: Arc<str>,
        options: DispatchOptions,
        sink: Arc<dyn Sink>,
        clock: Arc<dyn Clock>,
        metrics: SinkMetrics,
    ) -> Self {
        Self {
            options,
            sink,
            clock,
            metrics,
            name,
        }
    }

    /// Runs until `stop`. A block whose delivery has begun may then finish, unless the sink has
    /// stalled: then it keeps its leases and is found again later. What was not begun is given back.
    pub async fn run(self, committer: Committer, stop: CancellationToken) -> anyhow::Result<()> {
        let mut claims =
            committer.register(self.options.sink, self.options.slots, self.options.lease);
        let mut waiting: Vec<Lease> = Vec::new();
        while !stop.is_cancelled() {
            while let Some(more) = claims.more() {
                waiting.extend(more);
            }
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    leases = claims.next() => waiting.extend(leases.into_iter().flatten()),
                    () = stop.cancelled() => break,
                }
                continue;
            }
            let rest = waiting.split_off(waiting.len().min(self.options.batch));
            let block = std::mem::replace(&mut waiting, rest);
            if self.attempt(block, &claims, &stop).await {
                // Nothing more can be delivered: leases stay, and no more are taken.
                self.metrics.paused.set(1);
                claims.pause();
                stop.cancelled().await;
            }
        }
        self.metrics.paused.set(0);
        // What was not begun does not count as an attempt.
        claims.settle(
            waiting
                .into_iter()
                .map(|lease| lease.settle(Settlement::Released))
                .collect(),
        );
        Ok(())
    }

    /// Delivers one block and settles it. True when the destination is gone for good.
    async fn attempt(&self, block: Vec<Lease>, claims: &Claims, stop: &CancellationToken) -> bool {
        let (taken, bytes) = (block.len(), body_bytes(&block));
        let (wanted, mut settled) = self.sort_out(block);
        let begun = tokio::time::Instant::now();
        let results = self.deliver(&wanted, claims, stop).await;
        let seconds = begun.elapsed().as_secs_f64();
        let mut gone = false;
        for (lease, result) in wanted.into_iter().zip(results) {
            self.metrics.seconds.observe(seconds);
            let settlement = match result {
                Ok(()) => Settlement::Delivered,
                Err(SinkError::Refused(reason)) => Settlement::Dead(reason),
                Err(SinkError::Retry(reason)) => self.retry(&lease, reason),
                Err(SinkError::Gone(reason)) => {
                    if !gone {
                        tracing::error!(
                            sink = &*self.name,
                            "the sink is gone until a restart: {reason}"
                        );
                    }
                    gone = true;
                    continue;
                }
            };
            self.count(&settlement);
            settled.push(lease.settle(settlement));
        }
        claims.settle(settled);
        if !gone {
            // Only now: leases that ran out meanwhile are settled before they could be taken anew.
            claims.resume();
            claims.free(taken, bytes);
        }
        gone
    }

    /// Delivers under watch: a sink that stalls is shown as paused and is given no more. There are
    /// no results when it was given up at `stop`.
    async fn deliver(
        &self,
        wanted: &[Lease],
        claims: &Claims,
        stop: &CancellationToken,
    ) -> Vec<Result<(), SinkError>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let delivery = self.sink.deliver(wanted);
        tokio::pin!(delivery);
        if let Ok(results) = tokio::time::timeout(STALLED_AFTER, &mut delivery).await {
            return results;
        }
        self.metrics.paused.set(1);
        claims.pause();
        tracing::warn!(
            sink = &*self.name,
            "the sink has taken nothing for {STALLED_AFTER:?}"
        );
        let results = stop.run_until_cancelled(delivery).await;
        self.metrics.paused.set(0);
        results.unwrap_or_default()
    }

    /// Takes out what is not to be delivered, each with how it ends.
    fn sort_out(&self, block: Vec<Lease>) -> (Vec<Lease>, Vec<Settled>) {
        let now = self.clock.now();
        let mut settled = Vec::with_capacity(block.len());
        let mut wanted = Vec::with_capacity(block.len());
        for lease in block {
            match self.unwanted(&lease, now) {
                Some(settlement) => {
                    self.count(&settlement);
                    settled.push(lease.settle(settlement));
                }
                None => wanted.push(lease),
            }
        }
        (wanted, settled)
    }

    fn unwanted(&self, lease: &Lease, now: Timestamp) -> Option<Settlement> {
        if lease.time_left(now).is_zero() {
            // It waited too long: by now somebody else may hold it.
            return Some(Settlement::Released);
        }
        let command = lease.event.command && !lease.replay;
        if command && lease.interrupted {
            tracing::error!(
                sink = &*self.name,
                seq = lease.seq.0,
                "a command was interrupted and is not begun again; see `deliveries --state dead`"
            );
            return Some(Settlement::Dead("interrupted".to_owned()));
        }
        if lease.replay {
            return None;
        }
        let ages = self.options.ages.load();
        let limit = match (command, ages.event) {
            (true, Some(max)) => Some(max.min(ages.command)),
            (true, None) => Some(ages.command),
            (false, max) => max,
        };
        let born = lease
            .event
            .event_time
            .and_then(|time| Timestamp::from_millisecond(time).ok())
            .unwrap_or(lease.event.received_at);
        let age = Duration::try_from(now.duration_since(born)).unwrap_or_default();
        limit
            .is_some_and(|limit| age > limit)
            .then_some(Settlement::Expired)
    }

    fn retry(&self, lease: &Lease, reason: String) -> Settlement {
        let now = self.clock.now();
        let age = now.duration_since(lease.event.received_at);
        if Duration::try_from(age).unwrap_or_default() > self.options.retry.max_elapsed {
            return Settlement::Dead(reason);
        }
        // Jitter needs no secrecy: the position spreads retries well enough.
        let chance =
            f64::from(u8::try_from(lease.seq.0.wrapping_mul(151) & 0xFF).unwrap_or(255)) / 255.0;
        let delay = self.options.retry.delay(lease.attempt, chance);
        Settlement::RetryAt(now.checked_add(delay).unwrap_or(now), reason)
    }

    fn count(&self, settlement: &Settlement) {
        let outcome = match settlement {
            Settlement::Delivered => DeliveryOutcome::delivered,
            Settlement::RetryAt(..) => DeliveryOutcome::retried,
            Settlement::Dead(_) => DeliveryOutcome::dead,
            Settlement::Expired => DeliveryOutcome::expired,
            Settlement::Released => return,
        };
        self.metrics.count(outcome, 1);
    }
}

//! The one task that sends spans: in batches, with patience, and without anybody waiting for it.
//!
//! What it holds is bounded: one batch, and the queue. While a collector takes nothing, batches are given
//! up after a minute each, and what finds no room in the queue meanwhile is dropped by who made it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Span;
use super::destination::{Destination, Failure};
use super::encode::Rejected;
use crate::metrics::SpanMetrics;

/// Spans of one request.
pub(super) const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHERING: Duration = Duration::from_secs(1);
/// How long a batch is tried.
const GIVE_UP: Duration = Duration::from_secs(60);
/// The first wait for another try; doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Between two complaints, about trouble that lasts or that comes again and again.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(600);

/// Sends what a [`super::Tracer`] records.
#[derive(Debug)]
pub struct Exporter {
    waiting: mpsc::Receiver<Span>,
    to: watch::Receiver<Option<Arc<Destination>>>,
    finishing: CancellationToken,
    metrics: SpanMetrics,
    /// The collector asked to be left alone until then.
    held: Option<Instant>,
    /// When trouble was last complained of.
    complained: Option<Instant>,
    /// Whether that is still to be taken back.
    troubled: bool,
}

/// What is waited for before another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// It is over.
    Over,
    /// There may be another destination, or none.
    Changed,
    /// All is to end.
    Finishing,
}

impl Exporter {
    pub(super) fn new(
        waiting: mpsc::Receiver<Span>,
        to: watch::Receiver<Option<Arc<Destination>>>,
        finishing: CancellationToken,
        metrics: SpanMetrics,
    ) -> Self {
        Self {
            waiting,
            to,
            finishing,
            metrics,
            held: None,
            complained: None,
            troubled: false,
        }
    }

    /// Runs until the tracer finishes; what waits then is sent, once.
    pub async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            self.export(&batch).await;
        }
    }

    /// The next batch; empty once there will be none.
    async fn gather(&mut self) -> Vec<Span> {
        let Self {
            waiting, finishing, ..
        } = self;
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            _received = waiting.recv_many(&mut batch, BATCH) => {}
            () = finishing.cancelled() => {}
        }
        if batch.is_empty() {
            return batch;
        }
        let until = Instant::now() + GATHERING;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                received = waiting.recv_many(&mut batch, room) => {
                    if received == 0 {
                        break;
                    }
                }
                () = finishing.cancelled() => break,
                () = sleep_until(until) => break,
            }
        }
        batch
    }

    /// Sends one batch, or gives it up.
    async fn export(&mut self, batch: &[Span]) {
        let count = batch.len() as u64;
        let deadline = self.held.unwrap_or_else(Instant::now).max(Instant::now()) + GIVE_UP;
        let mut wait = FIRST_WAIT;
        loop {
            if let Some(held) = self.held {
                match self
                    .pause(held.saturating_duration_since(Instant::now()))
                    .await
                {
                    // Another destination has asked for nothing.
                    Pause::Over | Pause::Changed => self.held = None,
                    Pause::Finishing => break,
                }
            }
            let destination = self.to.borrow_and_update().clone();
            let Some(destination) = destination else {
                self.metrics.dropped.inc_by(count);
                return;
            };
            match destination.post(batch).await {
                Ok(rejected) => {
                    self.taken(&destination, count, &rejected);
                    return;
                }
                Err(failure) => {
                    self.complain(&destination, &failure);
                    let Some(asked) = failure.again else { break };
                    let now = Instant::now();
                    self.held = (!asked.is_zero()).then(|| now + asked);
                    let pause = asked.max(jittered(wait));
                    if now + pause > deadline {
                        break;
                    }
                    match self.pause(pause).await {
                        Pause::Over => {}
                        Pause::Changed => self.held = None,
                        Pause::Finishing => break,
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        self.metrics.failed.inc_by(count);
    }

    /// Waits, unless something happens before.
    async fn pause(&mut self, long: Duration) -> Pause {
        tokio::select! {
            biased;
            () = self.finishing.cancelled() => Pause::Finishing,
            // A tracer that is gone changes nothing any more.
            Ok(()) = self.to.changed() => Pause::Changed,
            () = sleep(long) => Pause::Over,
        }
    }

    /// A batch of so many was taken, but for those that were rejected.
    fn taken(&mut self, by: &Destination, count: u64, but: &Rejected) {
        let rejected = count.min(but.count);
        self.metrics.exported.inc_by(count - rejected);
        self.metrics.failed.inc_by(rejected);
        if rejected > 0 {
            if self.may_complain() {
                tracing::warn!(
                    rejected,
                    "the collector {} does not take all spans: {}",
                    by.host(),
                    but.reason
                );
            }
        } else if std::mem::take(&mut self.troubled) {
            tracing::info!("the collector {} takes spans again", by.host());
        }
    }

    fn complain(&mut self, of: &Destination, failure: &Failure) {
        if self.may_complain() {
            tracing::warn!(
                "the collector {} takes no spans, which changes nothing else: {}",
                of.host(),
                failure.reason
            );
        }
    }

    fn may_complain(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self
            .complained
            .is_none_or(|before| now >= before + COMPLAIN_AGAIN);
        if is_due {
            self.complained = Some(now);
            self.troubled = true;
        }
        is_due
    }
}

/// Between half of `wait` and all of it, so that receivers do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    let chance = u8::try_from(RandomState::new().hash_one(0_u8) & 0xFF).unwrap_or(u8::MAX);
    wait.mul_f64(0.5 + f64::from(chance) / 510.0)
}

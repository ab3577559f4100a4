//! Takes leases, hands them to a sink, settles them.
//!
//! A slow or dead sink holds up nothing but its own backlog: what it does not take waits in the
//! inbox. A command whose attempt may have begun is never begun again.

mod attempt;
mod backoff;
mod breaker;
mod janitor;
mod plan;
mod spans;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::attempt::Ended;
pub use self::backoff::Retry;
use self::breaker::{Breaker, Turn};
pub use self::janitor::{Janitor, JanitorOptions, Neglected};
pub use self::plan::{Ages, Plan};
use crate::clock::Clock;
use crate::inbox::{Committer, Desk, Lease, Settlement, SinkId, body_bytes};
use crate::metrics::{Pause, PauseReason, SinkMetrics};
use crate::trace::Tracer;

/// Delivers one sink's events.
pub struct Dispatcher {
    name: Arc<str>,
    sink: SinkId,
    /// Read anew at each attempt.
    plan: watch::Receiver<Arc<Plan>>,
    clock: Arc<dyn Clock>,
    metrics: SinkMetrics,
    tracer: Option<Tracer>,
}

impl Dispatcher {
    /// Assembles a dispatcher for the sink called `name`, which has the number `sink` in the store.
    pub fn new(
        (name, sink): (Arc<str>, SinkId),
        plan: watch::Receiver<Arc<Plan>>,
        clock: Arc<dyn Clock>,
        metrics: SinkMetrics,
    ) -> Self {
        Self {
            name,
            sink,
            plan,
            clock,
            metrics,
            tracer: None,
        }
    }

    /// The same, with spans for its attempts while the tracer is on.
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self {
            tracer: Some(tracer),
            ..self
        }
    }

    /// Runs until `stop`. What has begun by then may finish, unless the sink has stalled: then it
    /// keeps its leases and is found again later. What was not begun is given back.
    pub async fn run(self, committer: Committer, stop: CancellationToken) -> anyhow::Result<()> {
        let mut plans = self.plan.clone();
        let options = plans.borrow().claims();
        let mut claims = committer.register(self.sink, options, self.metrics.clone());
        let desk = claims.desk();
        let mut waiting: Vec<Lease> = Vec::new();
        let mut breaker = Breaker::default();
        let mut running = FuturesUnordered::new();
        loop {
            let plan = Arc::clone(&plans.borrow_and_update());
            desk.change(plan.claims());
            while running.len() < plan.concurrency && !waiting.is_empty() {
                let rest = waiting.split_off(waiting.len().min(plan.batch));
                let block = std::mem::replace(&mut waiting, rest);
                running.push(self.attempt(Arc::clone(&plan), block, &desk, &stop));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = running.next(), if !running.is_empty() => {
                    if ended.gone {
                        // Nothing more can be delivered: leases stay, and no more are taken.
                        self.pause(PauseReason::Gone, None);
                        desk.pause();
                        stop.cancelled().await;
                        break;
                    }
                    self.heed(&ended, &mut breaker, &desk);
                    if breaker.is_open() {
                        // What was not begun does not count as an attempt.
                        give_back(std::mem::take(&mut waiting), &desk);
                    }
                }
                leases = claims.next() => {
                    waiting.extend(leases.into_iter().flatten());
                    while let Some(more) = claims.more() {
                        waiting.extend(more);
                    }
                    if breaker.is_open() {
                        // They were on their way when it opened.
                        give_back(std::mem::take(&mut waiting), &desk);
                    }
                }
                // What is claimed from now on is claimed by the new one.
                Ok(()) = plans.changed() => {}
                () = at(breaker.probe_at()) => {
                    breaker.half_open();
                    self.pause(PauseReason::Failing, None);
                    desk.probe();
                }
            }
        }
        desk.pause();
        give_back(waiting, &desk);
        while running.next().await.is_some() {}
        self.metrics.resume();
        Ok(())
    }

    /// Draws the consequences of how a hand-over ended.
    fn heed(&self, ended: &Ended, breaker: &mut Breaker, desk: &Desk) {
        let mut turn = ended.answered.then(|| breaker.answered()).flatten();
        for subject in &ended.failed {
            turn = breaker.failed(subject).or(turn);
        }
        match turn {
            Some(Turn::Opened(pause)) => {
                self.pause(PauseReason::Failing, Some(pause));
                desk.pause();
                tracing::warn!(
                    sink = &*self.name,
                    "the sink fails again and again: nothing is attempted for {pause:?}, then one \
                     delivery finds out"
                );
            }
            Some(Turn::Closed) => {
                self.metrics.resume();
                desk.recovered();
                tracing::info!(
                    sink = &*self.name,
                    "the sink works again: all that waits is due"
                );
            }
            None => self.heed_hold(ended, breaker),
        }
    }

    fn heed_hold(&self, ended: &Ended, breaker: &Breaker) {
        if let Some(hold) = ended.hold {
            self.pause(PauseReason::Held, Some(hold));
            tracing::warn!(
                sink = &*self.name,
                "the sink asked to be left alone: nothing is attempted for {hold:?}"
            );
        } else if ended.answered && !breaker.is_open() {
            self.metrics.resume();
        }
    }

    /// Shows that nothing is taken, and for how long if that is known.
    fn pause(&self, reason: PauseReason, long: Option<Duration>) {
        let now = self.clock.now();
        self.metrics.pause(Pause {
            reason,
            since: Some(now),
            until: long.and_then(|long| now.checked_add(long).ok()),
        });
    }
}

fn give_back(leases: Vec<Lease>, desk: &Desk) {
    let (count, bytes) = (leases.len(), body_bytes(&leases));
    let release = |lease: Lease| lease.settle(Settlement::Released);
    desk.settle(leases.into_iter().map(release).collect());
    desk.free(count, bytes);
}

/// Waits until then; for ever when there is nothing to wait for.
async fn at(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

//! One hand-over: what is too old or must not be begun is taken out, the rest goes to the sink,
//! and how it ended becomes how the leases are settled.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Dispatcher, Plan};
use crate::inbox::{Desk, INTERRUPTED, Lease, Settled, Settlement, body_bytes};
use crate::metrics::{DeliveryOutcome, PauseReason};
use crate::sink::{Failure, SinkError, Taken};

/// How a hand-over ended, as far as the next ones are concerned.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The destination is gone for good.
    pub(super) gone: bool,
    /// The sink answered at least once.
    pub(super) answered: bool,
    /// The subjects whose attempts failed in a way that says nothing about their events.
    pub(super) failed: Vec<String>,
    /// The sink is to be left alone for so long.
    pub(super) hold: Option<Duration>,
}

type Results = Vec<Result<Taken, SinkError>>;

impl Dispatcher {
    /// Delivers one block and settles it.
    pub(super) async fn attempt(
        &self,
        plan: Arc<Plan>,
        block: Vec<Lease>,
        desk: &Desk,
        stop: &CancellationToken,
    ) -> Ended {
        let (taken, bytes) = (block.len(), body_bytes(&block));
        let (mut wanted, mut settled) = self.sort_out(&plan, block);
        let began = self.begin_traces(&mut wanted);
        let begun = tokio::time::Instant::now();
        let results = self.deliver(&plan, &wanted, desk, stop).await;
        let seconds = begun.elapsed().as_secs_f64();
        let mut ended = Ended::default();
        for (lease, result) in wanted.into_iter().zip(results) {
            self.metrics.seconds.observe(seconds);
            let span = self.traced(&lease, began);
            let end = self.end(&plan, lease, result, &mut ended);
            self.end_trace(span, end.as_ref());
            settled.extend(end);
        }
        desk.settle(settled);
        if !ended.gone {
            // Only now: leases that ran out meanwhile are settled before they could be taken anew.
            if plan.stalls_after.is_some() {
                desk.resume();
            }
            desk.free(taken, bytes);
        }
        ended
    }

    /// Delivers under watch. There are no results when it was given up at `stop`.
    async fn deliver(
        &self,
        plan: &Plan,
        wanted: &[Lease],
        desk: &Desk,
        stop: &CancellationToken,
    ) -> Results {
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut delivery = plan.sink.deliver(wanted);
        if let Some(limit) = plan.timeout {
            return tokio::time::timeout(limit, delivery)
                .await
                .unwrap_or_else(|_elapsed| {
                    let reason = format!("no end within {limit:?}");
                    vec![Err(SinkError::Unknown(Failure::new(reason))); wanted.len()]
                });
        }
        let Some(patience) = plan.stalls_after else {
            return delivery.await;
        };
        if let Ok(results) = tokio::time::timeout(patience, &mut delivery).await {
            return results;
        }
        // It is shown as paused, and given no more.
        self.pause(PauseReason::Blocked, None);
        desk.pause();
        tracing::warn!(
            sink = &*self.name,
            "the sink has taken nothing for {patience:?}"
        );
        let results = stop.run_until_cancelled(delivery).await;
        self.metrics.resume();
        results.unwrap_or_default()
    }

    /// How a lease ends; `None` when it is kept because the destination is gone.
    pub(super) fn end(
        &self,
        plan: &Plan,
        lease: Lease,
        result: Result<Taken, SinkError>,
        ended: &mut Ended,
    ) -> Option<Settled> {
        let once = plan.once || lease.event.command;
        // What an interrupted attempt did is not known either, whatever became of this one.
        let is_unknown = lease.interrupted || matches!(result, Err(SinkError::Unknown(_)));
        let unsure = plan.remembers && is_unknown;
        let (settlement, failure) = match result {
            Ok(taken) => {
                ended.answered = true;
                let settlement = match taken.needless {
                    Some(reason) => Settlement::Superseded(reason),
                    None => Settlement::Delivered,
                };
                self.count(&settlement);
                return Some(lease.settle_with(settlement, taken.report));
            }
            Err(SinkError::Refused(failure)) => {
                ended.answered = true;
                (Settlement::Dead(failure.reason.clone()), failure)
            }
            Err(SinkError::Unknown(failure)) if once => {
                ended.failed.push(subject(&lease));
                let reason = format!("interrupted: {}", failure.reason);
                (Settlement::Dead(reason), failure)
            }
            Err(SinkError::Retry(failure) | SinkError::Unknown(failure)) => {
                ended.failed.push(subject(&lease));
                ended.hold = ended.hold.max(failure.hold);
                (self.retry(plan, &lease, &failure), failure)
            }
            Err(SinkError::Gone(reason)) => {
                if !ended.gone {
                    tracing::error!(
                        sink = &*self.name,
                        "the sink is gone until a restart: {reason}"
                    );
                }
                ended.gone = true;
                return None;
            }
        };
        self.count(&settlement);
        self.tell(&lease, &settlement);
        let mut report = failure.report.unwrap_or_default();
        report.unsure = unsure;
        report.hold_until = failure
            .hold
            .and_then(|hold| self.clock.now().checked_add(hold).ok());
        Some(lease.settle_with(settlement, Some(report)))
    }

    fn tell(&self, lease: &Lease, settlement: &Settlement) {
        match settlement {
            Settlement::Dead(reason) => tracing::error!(
                sink = &*self.name,
                seq = lease.seq.0,
                event_id = lease.event.event_id.as_ref().map(crate::event::Id::as_str),
                attempt = lease.attempt,
                trace_id = lease.event.trace_id(),
                "a delivery is given up; see `deliveries --state dead`: {reason}"
            ),
            Settlement::RetryAt(at, reason) => tracing::debug!(
                sink = &*self.name,
                seq = lease.seq.0,
                attempt = lease.attempt,
                trace_id = lease.event.trace_id(),
                next = %at,
                "a delivery failed and is tried again: {reason}"
            ),
            _ => {}
        }
    }

    /// Takes out what is not to be delivered, each with how it ends.
    pub(super) fn sort_out(&self, plan: &Plan, block: Vec<Lease>) -> (Vec<Lease>, Vec<Settled>) {
        let now = self.clock.now();
        let mut settled = Vec::with_capacity(block.len());
        let mut wanted = Vec::with_capacity(block.len());
        for mut lease in block {
            match self.unwanted(plan, &lease, now) {
                Some(settlement) => {
                    self.count(&settlement);
                    let span = self.unattempted(&mut lease);
                    let end = lease.settle(settlement);
                    self.end_trace(span, Some(&end));
                    settled.push(end);
                }
                None => wanted.push(lease),
            }
        }
        (wanted, settled)
    }

    fn unwanted(&self, plan: &Plan, lease: &Lease, now: Timestamp) -> Option<Settlement> {
        let longest = plan.timeout.unwrap_or_default();
        if lease.time_left(now) <= longest {
            // It waited too long: its attempt could outlast the lease, and somebody else's begin.
            return Some(Settlement::Released);
        }
        // Also one that a person asked for again: once, and not as often as it takes.
        let command = lease.event.command;
        if lease.interrupted && (command || plan.once) {
            tracing::error!(
                sink = &*self.name,
                seq = lease.seq.0,
                trace_id = lease.event.trace_id(),
                "an attempt was interrupted and is not begun again; see `deliveries --state dead`"
            );
            return Some(Settlement::Dead(INTERRUPTED.to_owned()));
        }
        if lease.replay {
            return None;
        }
        let limit = match (command, plan.ages.event) {
            (true, Some(max)) => Some(max.min(plan.ages.command)),
            (true, None) => Some(plan.ages.command),
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

    fn retry(&self, plan: &Plan, lease: &Lease, failure: &Failure) -> Settlement {
        let now = self.clock.now();
        let age = now.duration_since(lease.event.received_at);
        let tried = match lease.replay {
            // Its event may be of long ago.
            true => plan.retry.waited(lease.attempt),
            false => Duration::try_from(age).unwrap_or_default(),
        };
        let reason = failure.reason.clone();
        if tried > plan.retry.max_elapsed {
            return Settlement::Dead(format!(
                "given up after {} attempts: {reason}",
                lease.attempt
            ));
        }
        // Jitter needs no secrecy: the position spreads retries well enough.
        let chance =
            f64::from(u8::try_from(lease.seq.0.wrapping_mul(151) & 0xFF).unwrap_or(255)) / 255.0;
        let delay = plan
            .retry
            .delay(lease.attempt, chance)
            .max(failure.after.unwrap_or_default())
            .max(failure.hold.unwrap_or_default());
        Settlement::RetryAt(now.checked_add(delay).unwrap_or(now), reason)
    }

    fn count(&self, settlement: &Settlement) {
        if let Some(outcome) = outcome(settlement) {
            self.metrics.count(outcome, 1);
        }
    }
}

/// How a delivery went on or ended; `None` when nothing was begun.
pub(super) fn outcome(settlement: &Settlement) -> Option<DeliveryOutcome> {
    Some(match settlement {
        Settlement::Delivered => DeliveryOutcome::delivered,
        Settlement::RetryAt(..) => DeliveryOutcome::retried,
        Settlement::Dead(_) => DeliveryOutcome::dead,
        Settlement::Superseded(_) => DeliveryOutcome::superseded,
        Settlement::Expired => DeliveryOutcome::expired,
        Settlement::Released => return None,
    })
}

/// What an attempt is for, as the breaker tells attempts apart.
fn subject(lease: &Lease) -> String {
    match &lease.event.subject {
        Some(subject) => subject.to_string(),
        None => lease.seq.to_string(),
    }
}

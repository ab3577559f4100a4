//! Keeps the store within its time and room, and its numbers in the metrics.
//!
//! When room is short, history goes first, then dead letters, then what waits for sinks that are
//! parked or failing; only when nothing of that is left does the store fill up and intake refuse.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::event::Seq;
use crate::inbox::query::Counts;
use crate::inbox::{Complaint, Inbox, InboxError, Prune, PruneWhat, Pruned, SinkId, Space};
use crate::lifecycle::Lifecycle;
use crate::metrics::{DeliveryOutcome, Metrics};

const TICK: Duration = Duration::from_secs(1);
/// Between two looks at the room within a tick, when there is less than this many times what should
/// be free.
const LOOK: Duration = Duration::from_millis(100);
const PLENTY: u64 = 4;
/// Ticks between two looks at the counts, which read more than a page or two.
const COUNT_EVERY: u64 = 5;
/// Between two steps intake has the writer for itself.
const PAUSE: Duration = Duration::from_millis(5);
/// Ticks between two looks for what is past its retention, and between two slices of old keys.
const AGED_EVERY: u64 = 10;
const FORGET_EVERY: u64 = 20;
/// Ticks after an unclean stop, and between two checks, of the whole store.
const CHECK_FIRST: u64 = 30;
const CHECK_EVERY: u64 = 86_400;

/// When and how much the janitor prunes.
#[derive(Debug, Clone, Copy)]
pub struct JanitorOptions {
    /// Settled events are kept this long.
    pub retention: Duration,
    /// Below this many free bytes, or an eighth of a volume so small that it is less, history goes
    /// early.
    pub min_free: u64,
}

/// Which sinks of the store take nothing now: parked or failing. Asked when room is short.
pub type Neglected = Arc<dyn Fn() -> Vec<SinkId> + Send + Sync>;

/// The task that prunes, checks and counts.
pub struct Janitor {
    /// The store.
    pub inbox: Arc<dyn Inbox>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where numbers are shown.
    pub metrics: Arc<Metrics>,
    /// When and how much it prunes.
    pub options: JanitorOptions,
    /// Whose waiting deliveries may be given up last.
    pub neglected: Neglected,
    /// Whether the process before this one did not close the store.
    pub unclean: bool,
    /// What an operator should know, for readiness and status.
    pub warnings: Arc<Mutex<Vec<String>>>,
}

impl Janitor {
    /// Runs until `lifecycle` closes.
    pub async fn run(self, lifecycle: Lifecycle) -> anyhow::Result<()> {
        let mut tick: u64 = 0;
        let mut complaint = Complaint::default();
        while !lifecycle.is_closing() {
            let mut tended = self.tend(tick, &lifecycle).await;
            if tended.is_ok() {
                tended = self.rest(&lifecycle).await;
            }
            match tended {
                Ok(()) => tell(None, &mut complaint),
                Err(
                    error @ (InboxError::Full(_) | InboxError::Away(_) | InboxError::Refused(_)),
                ) => {
                    tell(Some(&error), &mut complaint);
                    lifecycle.sleep(TICK).await;
                }
                Err(error) => return Err(error.into()),
            }
            tick += 1;
        }
        Ok(())
    }

    /// Until the next tick. A small volume may fill up within one, so where room is not plenty it
    /// is looked at more often.
    async fn rest(&self, lifecycle: &Lifecycle) -> Result<(), InboxError> {
        let until = tokio::time::Instant::now() + TICK;
        while tokio::time::Instant::now() < until && !lifecycle.is_closing() {
            let space = self.inbox.space().await?;
            let wanted = self.wanted(&space);
            if space.has(wanted.saturating_mul(PLENTY)) {
                lifecycle
                    .sleep(until.saturating_duration_since(tokio::time::Instant::now()))
                    .await;
            } else {
                if !space.has(wanted) {
                    self.make_room(lifecycle).await?;
                }
                lifecycle.sleep(LOOK).await;
            }
        }
        Ok(())
    }

    async fn tend(&self, tick: u64, lifecycle: &Lifecycle) -> Result<(), InboxError> {
        let space = self.inbox.space().await?;
        self.metrics.store_bytes.set(signed(space.store));
        self.metrics.store_free_bytes.set(space.free);
        let wanted = space.free.map(|_free| self.wanted(&space));
        self.metrics.store_wanted_free_bytes.set(wanted);
        if tick.is_multiple_of(COUNT_EVERY) {
            self.count().await?;
        }
        self.warn_if_low(&space);
        if !space.has(self.wanted(&space)) {
            self.make_room(lifecycle).await?;
        }
        if tick.is_multiple_of(AGED_EVERY) {
            self.prune_all(PruneWhat::Aged, 0, lifecycle).await?;
        }
        if tick.is_multiple_of(FORGET_EVERY) {
            let slice = tick / FORGET_EVERY;
            self.step(PruneWhat::Forgotten { slice }, Seq(0), 0).await?;
        }
        let first = self.unclean && tick == CHECK_FIRST;
        if first || (tick > 0 && tick.is_multiple_of(CHECK_EVERY)) {
            self.check(lifecycle);
        }
        Ok(())
    }

    /// Shows counts in the metrics.
    async fn count(&self) -> Result<(), InboxError> {
        let counts = self.inbox.counts().await?;
        self.metrics.inbox_events.set(signed(counts.events));
        self.show_sinks(&counts);
        Ok(())
    }

    fn show_sinks(&self, counts: &Counts) {
        let now = self.clock.now();
        for sink in &counts.sinks {
            let metrics = self.metrics.sink(&Arc::from(sink.sink.as_str()));
            metrics.pending.set(signed(sink.pending));
            metrics.dead.set(signed(sink.dead));
            let age = sink
                .oldest_pending_at
                .map_or(0.0, |at| now.duration_since(at).as_secs_f64());
            metrics.oldest_pending.set(age.max(0.0));
        }
    }

    /// Bytes that should be free.
    fn wanted(&self, space: &Space) -> u64 {
        self.options.min_free.min(space.total / 8)
    }

    fn warn_if_low(&self, space: &Space) {
        let wanted = self.wanted(space);
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.clear();
        if let Some(free) = space.free.filter(|free| *free < wanted) {
            warnings.push(format!(
                "low disk: {free} bytes are free for events, {wanted} should be \
                 (store.min_free_disk, or an eighth of the volume); history is pruned early"
            ));
        }
    }

    /// Removes, in the order in which loss hurts least, until a quarter more than the bound is free.
    async fn make_room(&self, lifecycle: &Lifecycle) -> Result<(), InboxError> {
        let order = [
            PruneWhat::Settled,
            PruneWhat::Dead,
            PruneWhat::Waiting {
                sinks: (self.neglected)(),
            },
        ];
        for what in order {
            let space = self.inbox.space().await?;
            let wanted = self.wanted(&space);
            let wanted = wanted + wanted / 4;
            let missing = space.free.map_or(0, |free| wanted.saturating_sub(free));
            if missing == 0 {
                return Ok(());
            }
            self.prune_all(what, missing, lifecycle).await?;
        }
        Ok(())
    }

    async fn prune_all(
        &self,
        what: PruneWhat,
        wanted_bytes: u64,
        lifecycle: &Lifecycle,
    ) -> Result<(), InboxError> {
        let mut after = Some(Seq(0));
        let mut freed = 0;
        while let Some(seq) = after.filter(|_| !lifecycle.is_closing()) {
            let left = wanted_bytes.saturating_sub(freed);
            if wanted_bytes > 0 && left == 0 {
                break;
            }
            let pruned = self.step(what.clone(), seq, left).await?;
            freed += pruned.bytes;
            after = pruned.next;
            lifecycle.sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn step(
        &self,
        what: PruneWhat,
        after: Seq,
        wanted_bytes: u64,
    ) -> Result<Pruned, InboxError> {
        let for_room = !matches!(what, PruneWhat::Aged | PruneWhat::Forgotten { .. });
        let prune = Prune {
            what,
            now: self.clock.now(),
            retention: self.options.retention,
            after,
            wanted_bytes,
        };
        let pruned = self.inbox.prune(prune).await?;
        if pruned.events > 0 {
            tracing::debug!(events = pruned.events, bytes = pruned.bytes, "pruned");
        }
        if for_room && pruned.dead > 0 {
            tracing::error!(
                dead = pruned.dead,
                "dead letters were given up, because the disk is nearly full"
            );
        }
        if !pruned.dropped.is_empty() {
            self.report_dropped(&pruned).await?;
        }
        Ok(pruned)
    }

    async fn report_dropped(&self, pruned: &Pruned) -> Result<(), InboxError> {
        tracing::error!(
            deliveries = pruned.dropped.len(),
            "waiting deliveries were given up, because the disk is nearly full"
        );
        for sink in self.inbox.counts().await?.sinks {
            let id = self.inbox.sink(&sink.sink).await?;
            let count = pruned
                .dropped
                .iter()
                .filter(|dropped| **dropped == id)
                .count();
            if count > 0 {
                let metrics = self.metrics.sink(&Arc::from(sink.sink.as_str()));
                metrics.count(DeliveryOutcome::dropped, count as u64);
            }
        }
        Ok(())
    }

    /// Looks for damage in the background; what it finds is for a person.
    fn check(&self, lifecycle: &Lifecycle) {
        let inbox = Arc::clone(&self.inbox);
        let closing = lifecycle.closing_token();
        let _checking = lifecycle.spawn(async move {
            // It ends by itself when the store closes, which the end of this task must not wait for.
            let Some(checked) = closing.run_until_cancelled(inbox.check()).await else {
                return;
            };
            match checked {
                Ok(None) => tracing::info!("no damage was found in the store"),
                Ok(Some(damage)) => tracing::error!(
                    "the store is damaged: {damage}; what is acknowledged from now on may be lost: \
                     stop, keep a copy of the file, and start on a new one"
                ),
                Err(InboxError::Closed) => {}
                Err(error) => tracing::error!("the store's check failed: {error}"),
            }
        });
    }
}

/// Says that the store cannot be tended, or can be again, where that is news.
fn tell(trouble: Option<&InboxError>, complaint: &mut Complaint) {
    let Some(error) = trouble else {
        if complaint.take_back() {
            tracing::info!("the store is tended again");
        }
        return;
    };
    if let Some(suppressed) = complaint.make() {
        tracing::warn!(
            suppressed = (suppressed > 0).then_some(suppressed),
            "cannot tend the store: {error}"
        );
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Lines;

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_two_minutes_costs_three_lines() {
        let (lines, _guard) = Lines::begin();
        let mut complaint = Complaint::default();
        let away = InboxError::Away("connection refused".to_owned());
        tell(None, &mut complaint);
        for _second in 0..120 {
            tell(Some(&away), &mut complaint);
            tokio::time::advance(TICK).await;
        }
        tell(None, &mut complaint);
        tell(None, &mut complaint);
        assert_eq!(lines.with("cannot tend the store").len(), 2);
        assert_eq!(lines.with("suppressed=59").len(), 1);
        assert_eq!(lines.with("the store is tended again").len(), 1);
    }
}

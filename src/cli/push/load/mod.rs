//! The load itself: connections that take the next push from one schedule until it is used up.
//!
//! With a rate the loop is open: every push has a time at which it is due, and its latency counts
//! from then, whether or not a connection was free. A receiver that stalls therefore shows in every
//! push it delayed, not only in those it was answering (no "coordinated omission"). Without a rate
//! each connection pushes as soon as it has its answer, and latency counts from the sending.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Dial};
use super::tally::{Ending, Tally};
use super::template::{Fresh, Template};
use crate::lifecycle::Lifecycle;

/// A worker that cannot connect waits this long, so that it does not spin on a refused port.
const REDIAL_PAUSE: Duration = Duration::from_millis(10);

/// What to push, and how.
#[derive(Debug)]
pub struct Plan<D> {
    /// Where to.
    pub dial: D,
    /// The requests, taken in turn.
    pub templates: Vec<Template>,
    /// Over how many incidents the pushes rotate; `None` gives each its own.
    pub incidents: Option<NonZeroU64>,
    /// When.
    pub pace: Pace,
    /// How many connections take pushes from the schedule.
    pub connections: usize,
    /// How long an answer may take from the sending, a new connection included.
    pub timeout: Duration,
    /// The wall clock at the start, milliseconds since the Unix epoch: the first event time.
    pub epoch_millis: u64,
}

/// When pushes are due, and when there are no more.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At most so many.
    pub count: Option<u64>,
    /// None is begun after this long.
    pub duration: Option<Duration>,
    /// So many a second; `None` for a closed loop.
    pub per_second: Option<f64>,
    /// Timers are coarse: the last stretch before a push is due is spent polling the clock instead. Zero trusts the timer.
    pub spin: Duration,
}

/// Pushes until the plan is used up or `lifecycle` drains, and tells what came of it.
///
/// # Errors
/// When a worker panicked.
pub async fn run<D: Dial>(plan: Plan<D>, lifecycle: &Lifecycle) -> anyhow::Result<Tally> {
    let connections = connect(&plan).await;
    let load = Arc::new(Load {
        started: Instant::now(),
        taken: AtomicU64::new(0),
        run_seed: random(),
        tally: Mutex::new(Tally::default()),
        lifecycle: lifecycle.clone(),
        plan,
    });
    let workers: Vec<_> = connections
        .into_iter()
        .map(|connection| {
            let worker = Worker {
                templates: load.plan.templates.clone(),
                random: SplitMix(random(), random()),
                load: Arc::clone(&load),
                connection,
            };
            lifecycle.spawn(worker.work())
        })
        .collect();
    for worker in workers {
        worker.await?;
    }
    let elapsed = load.started.elapsed();
    let mut tally = load.tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.elapsed = elapsed;
    Ok(std::mem::take(&mut tally))
}

/// Connects before the clock starts. A receiver that is not there is found out by the pushes.
async fn connect<D: Dial>(plan: &Plan<D>) -> Vec<Connection<D>> {
    let mut connections = Vec::with_capacity(plan.connections);
    let mut reachable = true;
    for _ in 0..plan.connections.max(1) {
        let mut connection = Connection::default();
        if reachable {
            let opened = tokio::time::timeout(plan.timeout, connection.open(&plan.dial)).await;
            reachable = matches!(opened, Ok(Ok(())));
        }
        connections.push(connection);
    }
    connections
}

struct Load<D> {
    plan: Plan<D>,
    started: Instant,
    taken: AtomicU64,
    run_seed: u64,
    tally: Mutex<Tally>,
    lifecycle: Lifecycle,
}

/// The right to one push.
struct Ticket {
    index: u64,
    /// Absent in a closed loop.
    due: Option<Instant>,
}

impl<D: Dial> Load<D> {
    /// The next push, at the time it is due; `None` when there are no more.
    async fn take(&self) -> Option<Ticket> {
        let pace = &self.plan.pace;
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        if self.lifecycle.is_draining() || pace.count.is_some_and(|count| index >= count) {
            return None;
        }
        let Some(per_second) = pace.per_second else {
            let over = pace
                .duration
                .is_some_and(|limit| self.started.elapsed() >= limit);
            return (!over).then_some(Ticket { index, due: None });
        };
        // Counted from the start, not from the push before, so that nothing adds up.
        let offset = Duration::from_secs_f64(index as f64 / per_second);
        if pace.duration.is_some_and(|limit| offset >= limit) {
            return None;
        }
        let due = self.started + offset;
        self.wait_until(due).await.then_some(Ticket {
            index,
            due: Some(due),
        })
    }

    /// False when the wait was cut short.
    async fn wait_until(&self, due: Instant) -> bool {
        let nearly = due.checked_sub(self.plan.pace.spin).unwrap_or(due);
        if Instant::now() < nearly {
            tokio::select! {
                () = tokio::time::sleep_until(nearly) => {}
                () = self.lifecycle.draining() => return false,
            }
        }
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        true
    }

    fn event_time(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.plan.epoch_millis.saturating_add(elapsed)
    }
}

struct Worker<D: Dial> {
    load: Arc<Load<D>>,
    templates: Vec<Template>,
    random: SplitMix,
    connection: Connection<D>,
}

impl<D: Dial> Worker<D> {
    async fn work(mut self) {
        while let Some(ticket) = self.load.take().await {
            let unreachable = self.push(&ticket).await;
            if unreachable {
                tokio::time::sleep(REDIAL_PAUSE).await;
            }
        }
    }

    /// Pushes once and counts what came of it; true when there was no connection to be had.
    async fn push(&mut self, ticket: &Ticket) -> bool {
        let fresh = self.fresh(ticket.index);
        let kinds = u64::try_from(self.templates.len()).expect("a handful of templates");
        let kind = usize::try_from(ticket.index % kinds).expect("smaller than a usize");
        let request = self.templates[kind].freshen(&fresh);
        let load = &*self.load;
        let since = ticket.due.unwrap_or_else(Instant::now);
        let exchange = self.connection.exchange(&load.plan.dial, request);
        let answer = tokio::time::timeout(load.plan.timeout, exchange).await;
        let latency = since.elapsed();
        let mut tally = load.tally.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(Ok(answer)) => tally.record(Ending::Answered(answer), latency),
            Ok(Err(error)) => {
                tally.record(Ending::Broken(&error), latency);
                return true;
            }
            Err(_elapsed) => tally.record(Ending::TimedOut, latency),
        }
        false
    }

    fn fresh(&mut self, index: u64) -> Fresh {
        let subject_id = match self.load.plan.incidents {
            None => self.random.next(),
            Some(count) => {
                let incident = self.load.run_seed.wrapping_add(index % count);
                SplitMix(incident, !incident).next()
            }
        };
        Fresh {
            event_id: self.random.next(),
            event_time: self.load.event_time(),
            subject_id,
        }
    }
}

/// A seed no other process has.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// Two independent `SplitMix64` streams (Steele, Lea, Flood 2014): ids need to be unique, not secret.
struct SplitMix(u64, u64);

impl SplitMix {
    fn next(&mut self) -> u128 {
        u128::from(split_mix(&mut self.0)) << 64 | u128::from(split_mix(&mut self.1))
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;

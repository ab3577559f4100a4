//! Fetching from the sender's history what it pushed while no receiver took it.
//!
//! The sender keeps each attempt for seven days. Now and then those that failed are listed, oldest
//! first, and what was pushed is offered again, as it would have come in: what is here already is a
//! duplicate, what was overtaken is stale. Nothing here decides that, and nothing here is needed for
//! a push that comes in the ordinary way.

mod call;
mod complaints;
mod feed;
mod hand;
mod history;
mod last;
mod progress;
mod recent;
mod scope;
mod stop;
#[cfg(test)]
mod tests;
mod trouble;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::sleep;

pub use self::call::Tries;
use self::complaints::Complaints;
use self::feed::Window;
pub use self::history::greet;
use self::last::Last;
pub use self::last::LastRun;
pub use self::progress::Progress;
pub use self::scope::Scope;
use self::stop::Stop;
use self::walk::{Kept, Task, Walk};
use crate::clock::Clock;
use crate::event::Route;
use crate::flashduty::{Api, Patience};
use crate::inbox::{Inbox, Mark, Rate, RecordId};
use crate::lifecycle::Lifecycle;
use crate::metrics::{Metrics, RecoveredOutcome};

/// How long a call may take: a large push crosses half the world.
pub const PATIENCE: Patience = Patience {
    silence: Duration::from_secs(10),
    whole: Duration::from_secs(120),
};

/// A record may be found in the history so long after records behind it.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);
/// The sender keeps seven days, and refuses to be asked for more; its clock may differ.
const KEPT: SignedDuration = SignedDuration::from_mins(7 * 24 * 60 - 5);
/// What recovery does, as the configuration has it.
pub struct Plan {
    /// Whom to ask.
    pub api: Api,
    /// Which records are ours.
    pub scope: Scope,
    /// Between two looks; zero: only by hand.
    pub interval: Duration,
    /// How far back a look goes that nobody asked for.
    pub lookback: Duration,
    /// The most recent pushes are left to the ordinary way for so long.
    pub settle_delay: Duration,
    /// Requests at most.
    pub rate: Rate,
}

impl Plan {
    /// Whether nothing would be asked otherwise than by `other`.
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |plan: &Self| {
            (
                plan.api.identity(),
                plan.scope.clone(),
                [plan.interval, plan.lookback, plan.settle_delay],
                (plan.rate.count, plan.rate.window),
            )
        };
        of(self) == of(other)
    }
}

/// A push that the history gave.
#[derive(Debug, Clone)]
pub struct Found {
    /// Of which record.
    pub record: RecordId,
    /// When the event happened, as the history has it.
    pub at: Option<Timestamp>,
    /// The route it would have come in by.
    pub route: Route,
    /// What was pushed.
    pub body: Bytes,
    /// Only say what would become of it.
    pub dry_run: bool,
}

/// What became of a recovered push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// New, and in time.
    Accepted {
        /// A person asked for something by it.
        command: bool,
    },
    /// Overtaken.
    Stale,
    /// It is here already.
    Duplicate {
        /// With another body.
        differs: bool,
    },
    /// It cannot be used, for this reason; kept for a person.
    Unreadable(String),
    /// Nothing comes in by this route, for this reason.
    Misrouted(String),
}

impl Verdict {
    fn outcome(&self) -> RecoveredOutcome {
        match self {
            Self::Accepted { .. } => RecoveredOutcome::accepted,
            Self::Stale => RecoveredOutcome::stale,
            Self::Duplicate { .. } => RecoveredOutcome::duplicate,
            Self::Unreadable(_) | Self::Misrouted(_) => RecoveredOutcome::unreadable,
        }
    }
}

/// The store does not take anything now, for this reason.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct NotAdmitted(pub String);

/// The way a recovered push takes into the inbox, supplied by the wiring.
#[async_trait]
pub trait Admission: Send + Sync {
    /// Judges and stores a push; done once that is durable.
    async fn admit(&self, found: Found) -> Result<Verdict, NotAdmitted>;
}

/// What a person asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Events from then on.
    pub since: Timestamp,
    /// Store nothing, and say what would be stored.
    pub dry_run: bool,
    /// Also attempts that went well.
    pub all: bool,
}

/// Why what a person asks for is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// Somebody else asked before, and it goes on.
    #[error("a recovery asked for by hand is under way already")]
    Busy,
    /// The configuration says nothing of it.
    #[error(
        "there is nothing to recover from: set flashduty.app_key, and recover.integrations or \
         recover.endpoint"
    )]
    Off,
}

/// Looks into the sender's history: by itself, and when asked.
pub struct Recovery {
    /// Where it is remembered how far the history was read.
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    admission: Arc<dyn Admission>,
    tries: Tries,
    plan: watch::Receiver<Option<Arc<Plan>>>,
    /// The last look that somebody asked for.
    by_hand: watch::Sender<Progress>,
    /// The last look of any kind.
    last: Last,
    /// A look that somebody asked for worked.
    worked: Notify,
    /// One look at a time asks, a page of records each in turn.
    turn: Mutex<Kept>,
}

/// What recovery works with.
pub struct Surroundings {
    /// Where it is remembered how far the history was read.
    pub inbox: Arc<dyn Inbox>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where what was found is counted.
    pub metrics: Arc<Metrics>,
    /// Where it goes.
    pub admission: Arc<dyn Admission>,
    /// How calls that fail are tried again.
    pub tries: Tries,
}

impl Recovery {
    /// Works by the plan in `plan`, and by each that takes its place.
    pub fn new(surroundings: Surroundings, plan: watch::Receiver<Option<Arc<Plan>>>) -> Arc<Self> {
        Arc::new(Self {
            inbox: surroundings.inbox,
            clock: surroundings.clock,
            metrics: surroundings.metrics,
            admission: surroundings.admission,
            tries: surroundings.tries,
            plan,
            by_hand: watch::Sender::new(Progress::default()),
            last: Last::default(),
            worked: Notify::new(),
            turn: Mutex::default(),
        })
    }

    /// Looks into the history now and after each interval, until closing.
    pub async fn run(self: Arc<Self>, lifecycle: Lifecycle) -> anyhow::Result<()> {
        let mut plans = self.plan.clone();
        let mut complaints = Complaints::default();
        loop {
            let plan = plans.borrow_and_update().clone();
            let working = async {
                let Some(plan) = plan.filter(|plan| !plan.interval.is_zero()) else {
                    // Nothing is asked any more, so nothing fails.
                    self.metrics.recovery_failing.set(0);
                    return std::future::pending().await;
                };
                let looked = self.catch_up(&plan).await;
                let failing = i64::from(looked.is_err());
                self.metrics.recovery_failing.set(failing);
                let wait = complaints.tell(&looked);
                tokio::select! {
                    () = sleep(wait.max(plan.interval)) => {}
                    // What was refused is allowed by now.
                    () = self.worked.notified(), if !wait.is_zero() => {}
                }
            };
            tokio::select! {
                () = working => {}
                // A look that is cut off is begun again, and finds its work done.
                changed = plans.changed() => {
                    if changed.is_err() {
                        lifecycle.closing().await;
                        return Ok(());
                    }
                    self.last.cut_off(self.clock.now());
                    complaints.forget_refusal();
                }
                () = lifecycle.closing() => return Ok(()),
            }
        }
    }

    /// The last look that began or ended, whoever asked for it.
    pub fn last_run(&self) -> Option<LastRun> {
        let run = self.last.get()?;
        match run.is_under_way_by_hand() {
            true => Some(run.with(self.by_hand())),
            false => Some(run),
        }
    }

    async fn catch_up(&self, plan: &Plan) -> Result<(), Stop> {
        let now = self.clock.now();
        let Some(mark) = self.inbox.recovery_mark().await? else {
            self.inbox.recovered(Vec::new(), Some(now), now).await?;
            tracing::info!(
                "from now on, pushes that do not get here are fetched from the sender's history; \
                 for earlier ones there is the command recover"
            );
            return Ok(());
        };
        let task = Task {
            window: due(mark, now, plan),
            dry_run: false,
            all: false,
            by_hand: false,
        };
        let run = self.last.begin(&task, now);
        let (progress, looked) = Walk::new(self, plan, task).run().await;
        self.last.end(run, progress, self.clock.now());
        looked
    }
}

/// What is to be looked at: from a little before the mark. One that is ahead of the clock was set by
/// a clock that was wrong, and says nothing, and so does a beginning behind what was read, which is told by
/// the sender's clock; what is known already costs next to nothing.
fn due(mark: Mark, now: Timestamp, plan: &Plan) -> Window {
    let begun = match mark.begun > now || mark.begun > mark.reached {
        true => Timestamp::MIN,
        false => mark.begun,
    };
    let reached = match mark.reached > now {
        true => begun,
        false => mark.reached,
    };
    let to = before(now, signed(plan.settle_delay));
    let from = before(reached.min(to), OVERLAP)
        .max(begun)
        .max(before(now, signed(plan.lookback).min(KEPT)));
    Window { from, to }
}

fn before(now: Timestamp, long: SignedDuration) -> Timestamp {
    now.checked_sub(long).unwrap_or(Timestamp::MIN)
}

fn signed(long: Duration) -> SignedDuration {
    SignedDuration::try_from(long).unwrap_or(SignedDuration::MAX)
}

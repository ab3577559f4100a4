//! One time of doing without the database: what is under way, and what is told about it.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::flight::Landed;
use super::writing::Writing;
use super::{LONG, PATIENCE};
use crate::inbox::spill::SpillOptions;
use crate::inbox::{Complaint, InboxError, Settled, SinkId};

/// Events drained in one transaction: more than come in while it is committed.
const MOST: usize = 4096;
const LEAST: usize = 64;
const FIRST: usize = 512;
/// No more are drained in the transaction for which new offers wait.
pub(super) const LAST_FEW: usize = 512;
/// Between two questions to a database that does not answer: at first, and at most.
const SOON: Duration = Duration::from_millis(100);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Why pushes go to the spill.
#[derive(Debug, Clone)]
pub(in crate::inbox::group) enum Why {
    /// The database is away.
    Away(String),
    /// Events wait from before the start.
    Left,
}

/// What is known of the database.
#[derive(Debug)]
pub(super) enum Database {
    /// It is asked again, and then after twice the `wait`.
    Away {
        again_at: Instant,
        wait: Duration,
    },
    Answers,
}

/// A transaction or a probe under way.
pub(super) struct Flight {
    pub(super) future: BoxFuture<'static, Landed>,
    /// Then it is given up.
    pub(super) end: Instant,
    /// What rides with it, to ride again when it fails.
    pub(super) settled: Vec<Settled>,
    pub(super) recovered: Vec<SinkId>,
}

pub(super) struct Spell {
    pub(super) options: SpillOptions,
    pub(super) database: Database,
    pub(super) flight: Option<Flight>,
    pub(super) writing: Option<Writing>,
    /// Until then offers wait for the last few to be drained.
    pub(super) hold_until: Option<Instant>,
    /// The file has no room: it is tried again then.
    pub(super) no_room_until: Option<Instant>,
    /// Events in the next transaction.
    pub(super) size: usize,
    /// The database refused so many of the next events together. They are drained by themselves, in ever
    /// smaller parts, until it is known which of them it does not take.
    pub(super) suspects: usize,
    /// A transaction was confirmed, or refused for what is in it.
    pub(super) took: bool,
    /// The service ends.
    pub(super) finishing: bool,
    /// It ends, and the database did not answer when it was asked once more.
    pub(super) hopeless: bool,
    /// Nobody is left who could offer anything.
    pub(super) deserted: bool,
    /// Whether the database last took a fraction of what a push would wait for.
    pub(super) quick: bool,
    /// When one that answers, but slowly, is asked again.
    pub(super) look_at: Instant,
    spilled: u64,
    drained: u64,
    begun: Instant,
    /// Whether it was said that the database answers.
    greeted: bool,
    complaint: Complaint,
}

impl Spell {
    pub(super) fn new(options: SpillOptions, why: &Why) -> Self {
        let now = Instant::now();
        let waiting = options.spill.waiting();
        match why {
            Why::Away(why) => tracing::warn!(
                waiting,
                "the database is away ({why}): pushes go to the local spill"
            ),
            Why::Left => tracing::info!(
                waiting,
                "events wait in the local spill from before the start; they come first"
            ),
        }
        Self {
            options,
            database: Database::Away {
                // One that missed a moment is asked a moment later; what waits from before the
                // start does not mean that it is away.
                again_at: now,
                wait: SOON,
            },
            flight: None,
            writing: None,
            hold_until: None,
            no_room_until: None,
            size: FIRST,
            suspects: 0,
            took: false,
            finishing: false,
            hopeless: false,
            deserted: false,
            look_at: now,
            quick: true,
            spilled: 0,
            drained: 0,
            begun: now,
            greeted: false,
            complaint: Complaint::default(),
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        self.options.spill.waiting()
    }

    pub(super) fn send(&mut self, future: BoxFuture<'static, Landed>) {
        self.flight = Some(Flight {
            future,
            end: Instant::now() + LONG,
            settled: Vec::new(),
            recovered: Vec::new(),
        });
    }

    /// Whether so little is left that the next transaction could be the last, once the write under
    /// way has ended.
    pub(super) fn last_write_is_awaited(&self) -> bool {
        self.writing.is_some() && self.is_nearly_empty()
    }

    pub(super) fn is_nearly_empty(&self) -> bool {
        let coming = self.writing.as_ref().map_or(0, |writing| writing.events());
        self.quick && self.suspects == 0 && self.waiting() + coming <= LAST_FEW as u64
    }

    /// Whether new offers wait for the last few.
    pub(super) fn holds(&self) -> bool {
        self.flight.is_some() && self.hold_until.is_some_and(|until| until > Instant::now())
    }

    /// The database answered a question after so long.
    pub(super) fn answered(&mut self, took: Duration) {
        self.quick = took < PATIENCE / 2;
        self.look_at = Instant::now() + SECOND;
        if matches!(self.database, Database::Away { .. }) {
            self.database = Database::Answers;
            // One that answers and takes nothing, as behind a pooler it was not told of, does so ten
            // times a second.
            if !std::mem::replace(&mut self.greeted, true) {
                let waiting = self.waiting();
                tracing::info!(waiting, "the database answers; the spill is drained");
            }
        }
    }

    /// The database did not do what it was asked, or something else stands in the way of the drain.
    pub(super) fn miss(&mut self, why: &str) {
        let wait = match self.database {
            Database::Away { wait, .. } => (wait * 2).min(SECOND),
            Database::Answers => {
                if let Some(suppressed) = self.complaint.make() {
                    tracing::warn!(
                        suppressed = (suppressed > 0).then_some(suppressed),
                        "the spill cannot be drained now: {why}"
                    );
                }
                SOON
            }
        };
        // Many replicas do not ask all at once.
        let chance = f64::from(u8::try_from(RandomState::new().hash_one(()) & 0xFF).unwrap_or(0));
        let jittered = wait.mul_f64(0.75 + chance / 1024.0);
        self.database = Database::Away {
            again_at: Instant::now() + jittered,
            wait,
        };
        self.quick = false;
        self.size = (self.size / 2).max(LEAST);
    }

    /// The service ends: a database that is away is asked once more, and now.
    pub(super) fn finish(&mut self) {
        self.finishing = true;
        if let Database::Away { again_at, .. } = &mut self.database {
            *again_at = Instant::now();
        }
    }

    /// So many of the suspects are in the database, or were found out.
    pub(super) fn cleared(&mut self, events: usize) {
        if self.suspects > 0 && self.suspects <= events {
            self.size = self.size.max(LEAST);
        }
        self.suspects = self.suspects.saturating_sub(events);
    }

    pub(super) fn spilled(&mut self, events: u64) {
        self.spilled += events;
    }

    /// A transaction with `events` from the file took so long.
    pub(super) fn drained(&mut self, events: u64, took: Duration) {
        self.took = true;
        self.drained += events;
        self.answered(took);
        if events > 0 && self.complaint.take_back() {
            tracing::info!(waiting = self.waiting(), "the spill is drained again");
        }
        if took < SECOND {
            self.size = (self.size * 2).min(MOST);
        }
    }

    pub(super) fn tell_the_end(&self) {
        tracing::info!(
            spilled = self.spilled,
            drained = self.drained,
            seconds = self.begun.elapsed().as_secs_f64(),
            "the spill is empty: pushes go to the database again"
        );
    }

    pub(super) fn tell_what_is_left(&self) {
        let (waiting, drained) = (self.waiting(), self.drained);
        if waiting > 0 {
            tracing::warn!(
                waiting,
                drained,
                "events wait in the spill; the next start drains it"
            );
        }
    }
}

/// The write under way, if there is one.
pub(super) async fn kept(writing: &mut Option<Writing>) -> Result<(), InboxError> {
    match writing {
        Some(writing) => (&mut writing.done).await,
        None => std::future::pending().await,
    }
}

/// The transaction or probe under way, if there is one.
pub(super) async fn landed(flight: &mut Option<Flight>) -> Landed {
    match flight {
        Some(flight) => (&mut flight.future).await,
        None => std::future::pending().await,
    }
}

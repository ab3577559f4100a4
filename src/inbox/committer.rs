//! Group commit: whoever waits shares one transaction, and so one sync.
//!
//! An offer is answered only after the commit it was in, and goes on whoever stopped waiting.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claims::{ClaimOptions, Claims, Slots};
use super::group::Group;
use super::spill::SpillOptions;
use super::{Inbox, Offer, Offered, Settled, SinkId};
use crate::clock::Clock;
use crate::event::{Outcome, Seq};
use crate::metrics::{Metrics, SinkMetrics};

/// Where an offer is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// In the store, and judged.
    Judged(Offered),
    /// In the local spill while the database is away; it is judged when that answers again.
    Spilled,
}

impl Taken {
    /// How it was judged; what is spilled counts as new until it is known to be otherwise.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Judged(offered) => offered.outcome,
            Self::Spilled => Outcome::Accepted,
        }
    }

    /// Its position, or that of the first copy.
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::Judged(offered) => Some(offered.seq),
            Self::Spilled => None,
        }
    }

    /// A duplicate whose body is not that of the first copy.
    pub fn differs(&self) -> bool {
        matches!(self, Self::Judged(offered) if offered.differs)
    }
}

/// What becomes of an offer, told to whoever waits for it.
pub(super) type Answer = oneshot::Sender<Result<Taken, Refusal>>;

/// Why an offer was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The store has no room.
    #[error("the store has no room")]
    Full,
    /// The database cannot be reached, and nothing else takes its place.
    #[error("the database is away")]
    Away,
    /// The store cannot be trusted any more, or is shut.
    #[error("the store has failed")]
    Failed,
    /// The store takes others, but not this one.
    #[error("the store refused this event: {0}")]
    Event(String),
}

/// Whether a push can be made durable now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreState {
    /// The last commit worked.
    Working,
    /// The database is away, or what came meanwhile is not there yet; the local spill takes pushes.
    Spilling,
    /// Full; tried again every second.
    Full(String),
    /// The database is away and nothing takes its place, for this reason; tried again every second.
    Away(&'static str),
    /// Broken; the process is about to end.
    Broken(String),
}

/// Settings of the group commit.
#[derive(Clone)]
pub struct CommitterOptions {
    /// The store.
    pub inbox: Arc<dyn Inbox>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where commits are counted.
    pub metrics: Arc<Metrics>,
    /// Where pushes go while the store is away, if it is one that may be.
    pub spill: Option<SpillOptions>,
}

#[derive(Debug)]
pub(super) enum Message {
    Offer(Offer, Answer),
    Settled(Vec<Settled>),
    Recovered(SinkId),
    /// Deliveries were changed by hand.
    Changed,
    Wake,
}

/// What the handles and the task share.
#[derive(Debug)]
pub(super) struct Shared {
    slots: Mutex<Vec<Arc<Slots>>>,
    state: watch::Sender<StoreState>,
    stored: watch::Sender<Seq>,
    pub(super) finish: CancellationToken,
    /// Until then the spill may still be drained.
    pub(super) finish_by: OnceLock<Instant>,
}

impl Shared {
    pub(super) fn slots(&self) -> MutexGuard<'_, Vec<Arc<Slots>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What pushes are told while the store takes none.
    pub(super) fn refusal(&self) -> Refusal {
        match *self.state.borrow() {
            StoreState::Away(_) => Refusal::Away,
            _ => Refusal::Full,
        }
    }

    /// Says how the store is, before anybody is told what became of a push. Once it broke it stays
    /// broken.
    pub(super) fn turn(&self, to: StoreState) {
        self.state.send_if_modified(|state| {
            let changes = !matches!(state, StoreState::Broken(_)) && *state != to;
            if changes {
                *state = to;
            }
            changes
        });
    }

    /// Says that new events are stored, the last of them at `newest`.
    pub(super) fn has_stored(&self, newest: Seq) {
        self.stored.send_replace(newest);
    }
}

/// The handle on the group commit; clones share it.
#[derive(Debug, Clone)]
pub struct Committer {
    queue: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
}

impl Committer {
    /// Makes a committer and the task that runs it. The queue is bounded by the number of
    /// connections: each waits for its answer before it can push again.
    pub fn new(
        options: CommitterOptions,
    ) -> (Self, impl Future<Output = anyhow::Result<()>> + Send) {
        let (queue, messages) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            slots: Mutex::default(),
            state: watch::Sender::new(StoreState::Working),
            stored: watch::Sender::new(Seq(0)),
            finish: CancellationToken::new(),
            finish_by: OnceLock::new(),
        });
        let handle = Self {
            queue,
            shared: Arc::clone(&shared),
        };
        let task = Group::new(options, messages, shared);
        (handle, task.run())
    }

    /// Offers an event. The offer goes on whatever becomes of the receiver.
    pub fn offer(&self, offer: Offer) -> oneshot::Receiver<Result<Taken, Refusal>> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Offer(offer, answer));
        answered
    }

    /// Registers a sink's dispatcher, with all slots free. One that is there already ends with the
    /// leases it has: a sink that is turned off and on again has two for a moment.
    pub fn register(&self, sink: SinkId, options: ClaimOptions, metrics: SinkMetrics) -> Claims {
        let (claims, slots) = Claims::new(self.clone(), sink, (options, metrics));
        let mut all = self.all_slots();
        all.retain(|other| other.sink() != sink);
        all.push(slots);
        drop(all);
        self.look();
        claims
    }

    /// Whether a push can be made durable now.
    pub fn state(&self) -> StoreState {
        self.shared.state.borrow().clone()
    }

    /// Follows [`Committer::state`].
    pub fn watch(&self) -> watch::Receiver<StoreState> {
        self.shared.state.subscribe()
    }

    /// Hears of each transaction of this process that stored new events, where the last of them is:
    /// for those who follow the events, and would look only later.
    pub fn stored(&self) -> watch::Receiver<Seq> {
        self.shared.stored.subscribe()
    }

    /// Looks for due deliveries again.
    pub(super) fn look(&self) {
        self.send(Message::Wake);
    }

    /// Deliveries were changed by hand: what waits is looked for anew, whatever was said to be due.
    pub fn changed(&self) {
        self.send(Message::Changed);
    }

    pub(super) fn settle(&self, settled: Vec<Settled>) {
        self.send(Message::Settled(settled));
    }

    pub(super) fn recovered(&self, sink: SinkId) {
        self.send(Message::Recovered(sink));
    }

    pub(super) fn forget(&self, slots: &Arc<Slots>) {
        self.all_slots().retain(|other| !Arc::ptr_eq(other, slots));
    }

    fn all_slots(&self) -> MutexGuard<'_, Vec<Arc<Slots>>> {
        self.shared.slots()
    }

    /// Takes the store for broken, whoever noticed it: from now on no push can be made durable.
    pub fn distrust(&self, what: String) {
        self.shared.turn(StoreState::Broken(what));
    }

    /// Commits what is left and ends the task. Nothing may be offered after it.
    pub fn finish(&self) {
        self.finish_by(Instant::now());
    }

    /// As [`Committer::finish`], but a spill may be drained until `end` while the database answers.
    pub fn finish_by(&self, end: Instant) {
        let _first = self.shared.finish_by.get_or_init(|| end);
        self.shared.finish.cancel();
    }

    fn send(&self, message: Message) {
        // A committer that ended drops its queue: offers then see their answer's sender gone.
        let _ended = self.queue.send(message);
    }
}

//! The durable inbox: what is committed here survives, and what is unsettled is delivered.
//!
//! One transaction settles what was delivered, judges what was offered and claims what is due, in
//! this order. Admission is decided inside it, by a unique key and a compared mark, so it is right
//! whatever else runs. Nothing outside the transaction is asked whether an event is new.

mod change;
mod claims;
mod committer;
mod complaint;
mod group;
#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod faulty;
mod cursor;
mod follow;
pub mod headline;
mod keeper;
mod latest;
mod lease;
mod lookout;
mod numbers;
pub mod postgres;
mod prune;
pub mod query;
mod recovery;
mod replica;
pub mod search;
mod subject;
pub mod spill;
pub mod sqlite;
#[cfg(test)]
mod tests;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::change::{Audit, Change, Changed, What};
pub use self::claims::{ClaimOptions, Claims, Desk, body_bytes};
pub use self::committer::{Committer, CommitterOptions, Refusal, StoreState, Taken};
pub use self::complaint::Complaint;
pub use self::follow::{Followed, Horizon, Stretch};
pub use self::keeper::{Keeper, NotKept};
pub use self::latest::Latest;
pub use self::lease::{Claim, INTERRUPTED, Lease, Rate, Report, Settled, Settlement};
pub use self::lookout::{Held, HeldBy, Lookout, View};
pub use self::prune::{Prune, PruneWhat, Pruned};
use self::query::{
    AuditFilter, AuditRow, Candidate, Counts, DeliveryFilter, DeliveryRow, EventFilter, EventRow,
    Page, SubjectFilter, SubjectRow, UnreadableFilter, UnreadableRow,
};
pub use self::recovery::{Mark, RecordId};
pub use self::replica::Replica;
use self::search::{Sift, Sifted};
pub use self::wanted::{Order, Wanted};
use crate::event::{Event, Id, Key, Outcome, Route, Seq};

/// Different URLs (tag and query string) of the events in one store, give or take a few: each is
/// remembered, in memory too, for as long as something stored came to it.
pub const MOST_ROUTES: usize = 4096;

/// A sink's number in the store; its name is interned when the store learns of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkId(pub i64);

impl SinkId {
    /// Of a sink whose number the database has not told yet: an event that such a sink wants is
    /// routed again before it goes there.
    pub const UNKNOWN: Self = Self(-1);
}

/// An event offered to the inbox.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The event.
    pub event: Arc<Event>,
    /// Equal keys mean the same event; `None` means there is nothing to compare.
    pub key: Option<Key>,
    /// Whether an earlier event of the subject counts as stale behind this one: false for commands
    /// and for an event time too far in the future.
    pub moves_mark: bool,
    /// The sinks that want it.
    pub wanted: Arc<[Wanted]>,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// How it was judged.
    pub outcome: Outcome,
    /// Its position, or that of the first copy.
    pub seq: Seq,
    /// A duplicate whose body is not that of the first copy.
    pub differs: bool,
}

impl Offered {
    /// Writes the line of a push that does not become a delivered event; `what` begins its message.
    pub fn tell(&self, what: &str, event: &Event) {
        if self.outcome == Outcome::Accepted {
            return;
        }
        tracing::info!(
            target: "flashduty::push",
            outcome = self.outcome.as_str(),
            seq = self.seq.0,
            event_id = event.event_id.as_ref().map(Id::as_str),
            event_type = event.event_type.as_str(),
            subject = event.subject.as_ref().map(tracing::field::display),
            tag = event.route.tag.as_deref(),
            trace_id = event.trace_id(),
            source_ip = event.source_ip.map(tracing::field::display),
            peer_ip = event.peer_ip.map(tracing::field::display),
            differs = self.differs.then_some(true),
            "{what} {}", self.outcome.as_str()
        );
    }
}

/// One transaction's work.
#[derive(Debug, Default)]
pub struct Batch {
    /// Leases that end, applied first.
    pub settled: Vec<Settled>,
    /// Sinks that work again: all that waits for them is due now.
    pub recovered: Vec<SinkId>,
    /// Events to judge, in order of arrival.
    pub offers: Vec<Offer>,
    /// Sinks with free slots.
    pub claims: Vec<Claim>,
}

/// What one committed transaction did.
#[derive(Debug, Default)]
pub struct Committed {
    /// One answer for each offer, in order.
    pub offered: Vec<Offered>,
    /// The deliveries claimed.
    pub leases: Vec<Lease>,
    /// Leases that someone else held by the time they were settled; nothing was changed for them.
    pub lost: Vec<(Seq, SinkId)>,
    /// Deliveries that later ones of their subjects made needless.
    pub superseded: Vec<(Seq, SinkId)>,
    /// For each claim that found less than it asked for: when the next delivery falls due.
    pub next_due: Vec<(SinkId, Option<Timestamp>)>,
}

/// A push that passed address and secret but could not be used as an event.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// When it arrived.
    pub received_at: Timestamp,
    /// Why it is here, in words.
    pub reason: String,
    /// The URL it came to.
    pub route: Route,
    /// The judged client address.
    pub source_ip: Option<std::net::IpAddr>,
    /// The socket's other end.
    pub peer_ip: Option<std::net::IpAddr>,
    /// The bytes as they came.
    pub body: bytes::Bytes,
}

impl Unreadable {
    /// What is kept of an event that the store does not take as one.
    pub fn of(event: &Event, reason: String) -> Self {
        Self {
            received_at: event.received_at,
            reason,
            route: event.route.clone(),
            source_ip: event.source_ip,
            peer_ip: event.peer_ip,
            body: event.body.clone(),
        }
    }
}

/// The bounds of the unreadable box.
#[derive(Debug, Clone, Copy)]
pub struct UnreadableBounds {
    /// At most so many bodies.
    pub count: usize,
    /// At most so many bytes of bodies.
    pub bytes: u64,
}

impl UnreadableBounds {
    /// Whether a body has room there, and is not among the first to go.
    pub fn hold(&self, body: &[u8]) -> bool {
        self.count > 0 && body.len() as u64 <= self.bytes
    }
}

/// Room left for the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the log that are not yet in the file; zero where there is no such log.
    pub log: u64,
    /// The longest that writing stood still for the log, since the start.
    pub longest_stall: Duration,
    /// Bytes there are in all: the size of the volume, or the cap when that is less.
    pub total: u64,
    /// Bytes the store takes, its log included.
    pub store: u64,
    /// Bytes free for events: the file system's, plus free pages inside the file, less what the log
    /// may still grow by and what a cap takes. `None` where nothing that is known bounds them.
    pub free: Option<u64>,
}

impl Space {
    /// Whether so many bytes are free.
    pub fn has(&self, wanted: u64) -> bool {
        self.free.is_none_or(|free| free >= wanted)
    }
}

/// A durable, de-duplicating store of events and their deliveries.
///
/// Implementations pass the conformance suite of this module.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// The number of the sink called `name`, known from now on.
    async fn sink(&self, name: &str) -> Result<SinkId, InboxError>;
    /// Commits one transaction: on `Ok`, and only then, all of it is on disk.
    async fn commit(&self, batch: Arc<Batch>, now: Timestamp) -> Result<Committed, InboxError>;
    /// Whether there is room to remember `route`. Answered from memory: asked for every push.
    fn takes(&self, route: &Route) -> bool;
    /// Proves that a commit works, by committing next to nothing.
    async fn probe(&self) -> Result<(), InboxError>;
    /// Keeps pushes that could not be used, all or none, dropping the oldest ones beyond the bounds.
    async fn keep_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError>;
    /// Removes unreadable pushes by hand, all in one transaction, which is also written into the
    /// audit unless none was there. Says of each, in order, whether it was.
    async fn remove_unreadable(
        &self,
        ids: Vec<i64>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<bool>, InboxError>;
    /// Replays or gives up deliveries by hand, all in one transaction, which is also written into
    /// the audit. Says of each, in order, what was done.
    async fn change(
        &self,
        changes: Vec<Change>,
        audit: Audit,
        now: Timestamp,
    ) -> Result<Vec<Changed>, InboxError>;
    /// Writes into the audit what was done by hand to so many, which no other verb says: it is
    /// committed already.
    async fn note(&self, audit: Audit, count: usize, now: Timestamp) -> Result<(), InboxError>;
    /// What was changed by hand, newest first.
    async fn audited(&self, filter: AuditFilter) -> Result<Page<AuditRow>, InboxError>;
    /// How far the sender's history was read; `None` before the first time.
    async fn recovery_mark(&self) -> Result<Option<Mark>, InboxError>;
    /// Which of `records` were dealt with, one answer for each, in order.
    async fn handled(&self, records: Vec<RecordId>) -> Result<Vec<bool>, InboxError>;
    /// Remembers that `records` were dealt with and, if it is given, that the history was read up
    /// to `reached`: both or neither. The first time reading begins there.
    async fn recovered(
        &self,
        records: Vec<RecordId>,
        reached: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), InboxError>;
    /// Removes what is past its time, a small step at a time.
    async fn prune(&self, prune: Prune) -> Result<Pruned, InboxError>;
    /// Reads the whole store and says what is damaged; `None` when nothing is, or when it gave way
    /// to load (the caller asks again another day).
    async fn check(&self) -> Result<Option<String>, InboxError>;
    /// Room left.
    async fn space(&self) -> Result<Space, InboxError>;

    /// Numbers for metrics and status.
    async fn counts(&self) -> Result<Counts, InboxError>;
    /// One stored event with its body.
    async fn event(&self, seq: Seq) -> Result<Option<(EventRow, bytes::Bytes)>, InboxError>;
    /// The bodies of those of the events that are there.
    async fn bodies(&self, seqs: Vec<Seq>) -> Result<Vec<(Seq, bytes::Bytes)>, InboxError>;
    /// Stored events, newest first.
    async fn events(&self, filter: EventFilter) -> Result<Page<EventRow>, InboxError>;
    /// A short look among the events, newest first, for what no index leads to.
    async fn sift(&self, sift: Sift) -> Result<Sifted, InboxError>;
    /// How far the events are complete: no event appears at or before that position any more.
    async fn horizon(&self) -> Result<Horizon, InboxError>;
    /// The events of a stretch that `filter` selects, oldest first, and no more than its limit; its
    /// cursor is not asked for. The stretch ends at what [`Inbox::horizon`] has reached.
    async fn follow(&self, stretch: Stretch, filter: EventFilter) -> Result<Followed, InboxError>;
    /// Deliveries, newest first.
    async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<DeliveryRow>, InboxError>;
    /// The deliveries that `filter` selects for a change, oldest first, so that one subject's keep
    /// their order; with `create`, which needs a sink, also the events it selects that have none.
    async fn candidates(
        &self,
        filter: DeliveryFilter,
        create: bool,
    ) -> Result<Page<Candidate>, InboxError>;
    /// Subjects, the most recently changed first.
    async fn subjects(&self, filter: SubjectFilter) -> Result<Page<SubjectRow>, InboxError>;
    /// Of each subject whose newest event is named, the newest that is not stale. A subject is left
    /// out whose last few dozen events are all stale, or gone.
    async fn latest(&self, newest: Vec<Seq>) -> Result<Vec<Latest>, InboxError>;
    /// When a sink with these rates may make an attempt again; `None` when it may now.
    async fn exhausted(
        &self,
        sink: SinkId,
        rates: Arc<[Rate]>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, InboxError>;
    /// Tells who shares the store that this receiver is there. Nobody shares a store that is a file.
    async fn beat(&self, _me: Replica) -> Result<(), InboxError> {
        Ok(())
    }
    /// Tells who shares the store that this receiver ends; one that took its place stays.
    async fn leave(&self, _me: Replica) -> Result<(), InboxError> {
        Ok(())
    }
    /// The receivers that told so within the last hour and have not left, the last to do so first.
    async fn replicas(&self) -> Result<Vec<Replica>, InboxError> {
        Ok(Vec::new())
    }
    /// Unreadable pushes without their bodies.
    async fn unreadables(
        &self,
        filter: UnreadableFilter,
    ) -> Result<Page<UnreadableRow>, InboxError>;
    /// One unreadable push with its body.
    async fn unreadable(
        &self,
        id: i64,
    ) -> Result<Option<(UnreadableRow, bytes::Bytes)>, InboxError>;
    /// Flushes and closes. Nothing may be called after it.
    async fn close(&self) -> Result<(), InboxError>;
}

/// Why the inbox did not do as asked, named for what the caller does next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InboxError {
    /// No room: nothing was changed; refuse, and try a probe until there is.
    #[error("the store has no room: {0}")]
    Full(String),
    /// The database cannot be reached or did not answer in time; what was asked may or may not have
    /// happened: offer it again.
    #[error("the database is away: {0}")]
    Away(String),
    /// The store's I/O cannot be trusted any more: acknowledge nothing and leave (exit 74).
    #[error("the store's I/O failed: {0}")]
    Broken(String),
    /// This one request could not be carried out; others may.
    #[error("the store refused: {0}")]
    Refused(String),
    /// The store is shut.
    #[error("the store is closed")]
    Closed,
}

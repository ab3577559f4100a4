//! The spill: where a replica commits what the database does not confirm in time.
//!
//! It holds what is needed to offer an event again, and nothing that the database decides: neither
//! outcome nor deliveries. First in, first out; what was drained leaves it only once the database has
//! confirmed that. Beside the events it keeps, in bounds, pushes that could not be used.

mod detour;
mod drained;
#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::detour::Detour;
pub use self::drained::{Drained, admit};
use super::{Batch, InboxError, Offer, Unreadable, UnreadableBounds, Wanted};
use crate::event::{Event, Id, Key};

/// An event in the spill.
#[derive(Debug, Clone)]
pub struct Spilled {
    /// Rises in the order of arrival. No other row gets it while the spill is open, also when this one
    /// is gone.
    pub id: i64,
    /// The event.
    pub event: Arc<Event>,
    /// As in the [`Offer`] it came in.
    pub key: Option<Key>,
    /// As in the [`Offer`] it came in.
    pub moves_mark: bool,
}

impl Spilled {
    /// What is offered to the database, to be delivered to those who want it.
    pub fn offer(&self, wanted: Arc<[Wanted]>) -> Offer {
        Offer {
            event: Arc::clone(&self.event),
            key: self.key,
            moves_mark: self.moves_mark,
            wanted,
        }
    }
}

/// A push in the spill that could not be used.
#[derive(Debug, Clone)]
pub struct SpilledUnreadable {
    /// Rises in the order of arrival.
    pub id: i64,
    /// The push.
    pub push: Unreadable,
}

/// What a spill holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contents {
    /// Events that wait for the database.
    pub events: u64,
    /// Events that the database took neither as events nor as unreadable pushes: for a person.
    pub set_aside: u64,
    /// Pushes that could not be used, and wait for the database as well.
    #[serde(default)]
    pub unreadable: u64,
    /// Bytes of the events' bodies.
    pub bytes: u64,
    /// When the first of them arrived.
    pub oldest: Option<Timestamp>,
    /// When the last of them arrived.
    pub newest: Option<Timestamp>,
}

/// An event in a spill, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpilledRow {
    /// Its type.
    pub event_type: String,
    /// The URL it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// As `tag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Whether the database took it neither as an event nor as an unreadable push.
    pub set_aside: bool,
}

/// A durable queue of offers beside the database. Errors mean what they mean for the inbox.
#[async_trait]
pub trait Spill: Send + Sync {
    /// Appends the offers of `batch`, all or none: on `Ok`, and only then, they are on disk.
    async fn keep(&self, batch: Arc<Batch>) -> Result<(), InboxError>;
    /// The oldest events, at most `count`, and no further one once their bodies take `bytes`.
    async fn oldest(&self, count: usize, bytes: usize) -> Result<Vec<Spilled>, InboxError>;
    /// Removes everything up to and with `id`, but for what was set aside. Who read it may come late: what
    /// was kept since is never among it.
    async fn remove(&self, id: i64) -> Result<(), InboxError>;
    /// Leaves `id` where it is and lets others go past it.
    async fn set_aside(&self, id: i64) -> Result<(), InboxError>;
    /// Keeps pushes that could not be used, all or none, dropping the oldest ones beyond the bounds.
    async fn keep_unreadable(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError>;
    /// As `oldest`, of these.
    async fn oldest_unreadable(
        &self,
        count: usize,
        bytes: usize,
    ) -> Result<Vec<SpilledUnreadable>, InboxError>;
    /// Removes those up to and with `id`.
    async fn remove_unreadable(&self, id: i64) -> Result<(), InboxError>;
    /// Proves that a commit works, by committing next to nothing.
    async fn probe(&self) -> Result<(), InboxError>;
    /// What it holds, and those of its events that have this id, oldest first. Read beside what is
    /// written, which does not wait for that.
    async fn look(&self, event_id: Option<Id>) -> Result<(Contents, Vec<SpilledRow>), InboxError>;
    /// How many events wait for the database. Answered from memory.
    fn waiting(&self) -> u64;
    /// How many pushes that could not be used do. Answered from memory.
    fn unreadable(&self) -> u64;
    /// Flushes and closes. Nothing may be called after it.
    async fn close(&self) -> Result<(), InboxError>;
}

/// What is decided at the drain, by the rules that are in force then.
pub trait InForce: Send + Sync {
    /// Whether what only the database knows was learned, such as the numbers of sinks. Before that
    /// nothing goes there.
    fn is_known(&self) -> bool;
    /// The sinks that want the event.
    fn wanted(&self, event: &Event) -> Arc<[Wanted]>;
    /// How much is kept of what cannot be used.
    fn unreadable(&self) -> UnreadableBounds;
}

/// A spill in use.
#[derive(Clone)]
pub struct SpillOptions {
    /// Where it is.
    pub spill: Arc<dyn Spill>,
    /// Asked at the drain.
    pub in_force: Arc<dyn InForce>,
}

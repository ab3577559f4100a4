//! What people change by hand: deliveries replayed or given up, unreadable pushes offered or dropped.

use serde::{Deserialize, Serialize};

use super::{Order, SinkId};
use crate::event::Seq;

/// What is to be done with one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Deliver it again, or for the first time where the event was not meant for the sink.
    Replay(Order),
    /// Give it up, if it waits or is dead.
    Drop,
}

/// One delivery to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The event's position.
    pub seq: Seq,
    /// The sink it goes to.
    pub sink: SinkId,
    /// What is to be done.
    pub what: What,
}

/// What became of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    /// Done.
    Done,
    /// It waits already, and needs no replay.
    Waiting,
    /// An attempt is running, or has just begun.
    Running,
    /// It is settled otherwise; there is nothing to give up.
    Settled,
    /// There is no such event any more.
    Gone,
}

/// What the audit says about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The token's name, or the address it came from.
    pub who: String,
    /// Such as `replay`.
    pub action: &'static str,
    /// What was selected, in words.
    pub selector: String,
    /// Why, in the person's words.
    pub reason: String,
}

//! What a subject's newest event in time is, for lists of incidents and alerts.

use bytes::Bytes;

use crate::event::Seq;

/// Bytes of a body that is read for a list.
pub(super) const LONGEST: i64 = 256 << 10;
/// Events of a subject that are looked at for one in time, from its newest back.
pub(super) const LOOKED_AT: i64 = 64;

/// The newest event of a subject that no later one had overtaken when it came.
#[derive(Debug, Clone)]
pub struct Latest {
    /// The subject's newest event of all, by which it was asked for.
    pub newest: Seq,
    /// This one's position; the same, unless that one was stale.
    pub seq: Seq,
    /// Such as `i_ack`.
    pub event_type: String,
    /// The bytes as they came; absent when they are more than 256 KiB.
    pub body: Option<Bytes>,
}

//! `Nats-Msg-Id`: what a stream tells repeats of one event by.
//!
//! A stream forgets ids after its `duplicate_window`, two minutes unless it was made otherwise.
//! Within that time it must swallow the repeats of one delivery and nothing else: not the same event
//! from another route, to another subject of the stream, nor a second press of one button.

use sha2::{Digest as _, Sha256};

use crate::event::hex;
use crate::inbox::Lease;

/// The id of the lease's message on `subject`: the event's id, and a digest of all else that makes
/// the delivery one of a kind.
///
/// None for a replay: a person asked for the event again, so that it must not count as a repeat.
pub(super) fn message_id(lease: &Lease, subject: &str) -> Option<String> {
    if lease.replay {
        return None;
    }
    let event = &*lease.event;
    let id = event.event_id.as_ref().map_or("", |id| id.as_str());
    let mut digest = Sha256::new();
    let mut field = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    field(subject.as_bytes());
    for part in [&event.route.tag, &event.route.query] {
        // A missing part differs from any that is there, because none of those is empty.
        field(part.as_deref().unwrap_or_default().as_bytes());
    }
    // An id that stands inside the incident belongs to all of its events: type and time join it, as
    // they do in the inbox's own key.
    field(event.event_type.as_str().as_bytes());
    match event.event_time {
        Some(time) if !id.is_empty() => field(&time.to_be_bytes()),
        // Nothing in the event tells it from another one, so its place in the inbox does.
        _ => {
            field(&lease.seq.0.to_be_bytes());
            field(&event.received_at.as_nanosecond().to_be_bytes());
        }
    }
    let digest = hex(&digest.finalize()[..8]);
    Some(if id.is_empty() {
        digest
    } else {
        format!("{id}:{digest}")
    })
}

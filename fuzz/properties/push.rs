//! The event that filters and templates speak of.

use bytes::Bytes;
use flashduty_receiver::event::{Event, Id, Origin, Route, Subject};
use jiff::Timestamp;

/// The body for an input that brings none.
const USUAL: &str = include_str!("../../tests/samples/i_new.json");

/// What stands above a line of three dashes, and the body below it.
pub fn parts(input: &str) -> (&str, &str) {
    input.split_once("\n---\n").unwrap_or((input, USUAL))
}

/// A push with this body.
pub fn event(body: &str) -> Event {
    Event {
        event_id: Some(Id::new("e1")),
        event_type: Id::new("i_new"),
        event_time: Some(1_777_888_800_000),
        subject: Subject::parse("incident:664af"),
        route: Route {
            tag: Some("ops".into()),
            query: None,
        },
        command: false,
        source_ip: None,
        peer_ip: None,
        received_at: Timestamp::UNIX_EPOCH,
        origin: Origin::Push,
        trace_parent: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

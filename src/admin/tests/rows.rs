//! The rows of the fixed inbox.

use jiff::Timestamp;

use crate::event::{Origin, Outcome, Seq};
use crate::inbox::query::*;

/// A body that no JSON writer would give back as it is.
pub(super) const BODY: &[u8] =
    b"\xef\xbb\xbf{ \"n\": 18446744073709551616,\r\n\"s\":\"\\u0000<script>\"}";

const TITLED: &[u8] =
    br#"{"incident":{"title":"disk \u78c1 full","incident_severity":"Critical"}}"#;

/// Of the first event one with a title.
pub(super) fn body(seq: i64) -> &'static [u8] {
    if seq == 1 { TITLED } else { BODY }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_777_888_800 + seconds).unwrap()
}

pub(super) fn event_row(seq: i64) -> EventRow {
    EventRow {
        seq: Seq(seq),
        event_id: Some(format!("e{seq}")),
        event_type: if seq % 2 == 0 { "i_ack" } else { "i_new" }.to_owned(),
        event_time: Some(1_777_888_800_000 + seq),
        subject: Some("incident:664af0".to_owned()),
        outcome: Outcome::Accepted,
        command: false,
        tag: Some("ops".to_owned()),
        query: None,
        source_ip: Some("47.94.95.118".parse().unwrap()),
        peer_ip: Some("10.0.0.9".parse().unwrap()),
        received_at: at(seq),
        origin: Origin::Push,
        body_bytes: BODY.len() as u64,
        title: None,
        severity: None,
    }
}

pub(super) fn delivery_row(seq: i64) -> DeliveryRow {
    let row = event_row(seq);
    DeliveryRow {
        seq: row.seq,
        sink: "log".to_owned(),
        state: DeliveryState::Pending,
        attempts: 1,
        due_at: Some(at(60)),
        last_error: Some("stdout is full".to_owned()),
        replay: false,
        settled_at: None,
        event_id: row.event_id,
        event_type: row.event_type,
        subject: row.subject,
        history: Vec::new(),
    }
}

pub(super) fn unreadable_row() -> UnreadableRow {
    UnreadableRow {
        id: 7,
        received_at: at(0),
        reason: "line 1, column 2: the body is not JSON".to_owned(),
        tag: None,
        query: Some("team=a".to_owned()),
        source_ip: Some("47.94.95.118".parse().unwrap()),
        peer_ip: None,
        body_bytes: BODY.len() as u64,
    }
}

/// The one that a delivery had.
pub(super) fn attempt_row() -> AttemptRow {
    AttemptRow {
        n: 1,
        began: Some(at(2)),
        ended: at(3),
        outcome: "retried".to_owned(),
        error: Some("stdout is full".to_owned()),
        status: None,
        answer: None,
    }
}

/// Where so many events are stored.
pub(super) fn counts(events: i64) -> Counts {
    Counts {
        events: events.unsigned_abs(),
        last_seq: Some(Seq(events)),
        unreadable: 1,
        sinks: vec![SinkCounts {
            sink: "log".to_owned(),
            pending: events.unsigned_abs(),
            oldest_pending_at: Some(at(1)),
            dead: 0,
            held_until: None,
        }],
    }
}

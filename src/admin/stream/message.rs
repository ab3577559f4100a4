//! The messages of a stream, as server-sent events are written
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Nothing of a push can end a line or a message: data is JSON, in which line ends are escaped.

use std::fmt::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::build;
use crate::event::Seq;
use crate::inbox::query::EventRow;

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// The name of a message with an event; its data is the event as the list of events gives it.
pub const EVENT: &str = "event";
/// The name of a message that says where the stream is; its data is a [`Position`].
pub const POSITION: &str = "position";
/// The name of a message that says what can no longer be had; its data is a [`Gap`].
pub const GAP: &str = "gap";
/// The name of a message that says why nothing comes; its data is a [`Waiting`].
pub const WAITING: &str = "waiting";

/// Where a stream is: what comes is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// The position.
    pub seq: Seq,
}

/// Events that a stream should have had, and that are not stored any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Behind this position events may be missing.
    pub after: Seq,
    /// From this position on none is.
    pub from: Seq,
    /// Why.
    pub reason: String,
}

/// Why nothing comes although there may be something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// For how long.
    pub seconds: u64,
    /// What is waited for.
    pub reason: String,
}

/// The first line, which says at once that there is a stream.
pub(super) fn greeting() -> String {
    format!(
        ": flashduty-receiver {}\nretry: {}\n\n",
        build::VERSION,
        RETRY.as_millis()
    )
}

/// An event; whoever got it goes on behind it.
pub(super) fn event(text: &mut String, row: &EventRow) {
    push(text, EVENT, Some(row.seq), row);
}

/// Where the stream is.
pub(super) fn position(seq: Seq) -> String {
    let mut text = String::new();
    push(&mut text, POSITION, Some(seq), &Position { seq });
    text
}

/// What can no longer be had. Leaves the position to the events that follow.
pub(super) fn gap(text: &mut String, gap: &Gap) {
    push(text, GAP, None, gap);
}

/// Why nothing comes.
pub(super) fn waiting(waiting: &Waiting) -> String {
    let mut text = String::new();
    push(&mut text, WAITING, None, waiting);
    text
}

/// A sign of life. It has no data, and so is no message; but the position counts.
pub(super) fn heartbeat(seq: Option<Seq>) -> String {
    match seq {
        Some(seq) => format!(": alive\nid: {seq}\n\n"),
        None => ": alive\n\n".to_owned(),
    }
}

fn push(text: &mut String, name: &str, id: Option<Seq>, data: &impl Serialize) {
    let data = serde_json::to_string(data).expect("rows hold only strings and numbers");
    // Writing to a String cannot fail.
    if let Some(id) = id {
        let _infallible = writeln!(text, "id: {id}");
    }
    let _infallible = write!(text, "event: {name}\ndata: {data}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Outcome};

    fn row(event_type: &str) -> EventRow {
        EventRow {
            seq: Seq(42),
            event_id: Some("e\r\nid: 99".to_owned()),
            event_type: event_type.to_owned(),
            event_time: None,
            subject: None,
            outcome: Outcome::Accepted,
            command: false,
            tag: None,
            query: Some("a\n\nevent: gap".to_owned()),
            source_ip: None,
            peer_ip: None,
            received_at: jiff::Timestamp::UNIX_EPOCH,
            origin: Origin::Push,
            body_bytes: 2,
            title: Some("disk\nfull".to_owned()),
            severity: Some("Critical".to_owned()),
        }
    }

    #[test]
    fn a_message_has_its_lines_whatever_an_event_holds() {
        let mut text = String::new();
        event(&mut text, &row("i_new"));
        insta::assert_snapshot!(text, @r#"
        id: 42
        event: event
        data: {"seq":42,"event_id":"e\r\nid: 99","event_type":"i_new","outcome":"accepted","command":false,"query":"a\n\nevent: gap","received_at":"1970-01-01T00:00:00Z","origin":"push","body_bytes":2,"title":"disk\nfull","severity":"Critical"}
        "#);
        assert!(text.ends_with("}\n\n"));
        assert_eq!(text.matches('\n').count(), 4);
    }

    #[test]
    fn a_stream_says_where_it_is_what_is_missing_and_why_nothing_comes() {
        let mut text = greeting();
        text += &position(Seq(7));
        let (after, from) = (Seq(7), Seq(12));
        let reason = "gone".to_owned();
        gap(
            &mut text,
            &Gap {
                after,
                from,
                reason,
            },
        );
        let reason = "a transaction".to_owned();
        text += &waiting(&Waiting { seconds: 5, reason });
        text += &heartbeat(Some(Seq(12)));
        text += &heartbeat(None);
        let text = text.replace(build::VERSION, "VERSION");
        insta::assert_snapshot!(text, @r#"
        : flashduty-receiver VERSION
        retry: 2000

        id: 7
        event: position
        data: {"seq":7}

        event: gap
        data: {"after":7,"from":12,"reason":"gone"}

        event: waiting
        data: {"seconds":5,"reason":"a transaction"}

        : alive
        id: 12

        : alive
        "#);
    }
}

//! The log sink's line: one event as one JSON object of a fixed order of fields.
//!
//! A line is valid JSON in UTF-8 whatever the body holds, and with its newline never longer than
//! [`MAX_LINE`]: labels go first, from their end, then the title, then whatever else is long.
//! What was cut is named. Ids and numbers are written as they came or not at all.

mod escape;
mod labels;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;

pub use self::labels::LabelStyle;

use self::escape::append_escaped;
use self::labels::append_labels;
use crate::envelope::view::{Integer, Person, View};
use crate::event::{Event, Origin, Seq, Subject};

/// The longest line in bytes, with its newline: container runtimes split at 16 KiB.
pub const MAX_LINE: usize = 15 * 1024;

/// What text other than title and labels keeps when even an empty title does not help. Thirteen
/// of these and all ids stay below [`MAX_LINE`].
const SHORT: usize = 512;

/// A title shorter than this tells nothing: other fields are shortened before it.
const LEAST_TITLE: usize = 128;

const MICROSECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
const MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// One delivery to write.
#[derive(Debug, Clone, Copy)]
pub struct LineInput<'a> {
    /// The event's position in the inbox.
    pub seq: Seq,
    /// The event; title, severity and the like are read from its body.
    pub event: &'a Event,
    /// Whether the line may have been written before.
    pub redelivered: bool,
    /// Whether a person asked for the delivery again; the line's `origin` is then `replay`.
    pub replay: bool,
    /// How labels are written.
    pub labels: &'a LabelStyle,
    /// The line's `timestamp`.
    pub now: Timestamp,
}

/// Appends one event's line and its newline to `out` with all that is in it, however long.
pub fn write_whole_event_line(out: &mut Vec<u8>, input: &LineInput<'_>) {
    let room = Room {
        labels: usize::MAX,
        title: usize::MAX,
        other: usize::MAX,
    };
    let mut line = Line {
        out,
        room,
        cut: Cut::default(),
    };
    line.write(input, &View::read(&input.event.body));
}

/// Appends one event's line and its newline to `out`, in at most [`MAX_LINE`] bytes.
pub fn write_event_line(out: &mut Vec<u8>, input: &LineInput<'_>) {
    let view = View::read(&input.event.body);
    let start = out.len();
    let mut write = |room| {
        out.truncate(start);
        let mut line = Line {
            out,
            room,
            cut: Cut::default(),
        };
        line.write(input, &view);
        out.len() - start
    };

    let whole = Room {
        labels: MAX_LINE,
        title: MAX_LINE,
        other: MAX_LINE,
    };
    if write(whole) <= MAX_LINE {
        return;
    }
    // Each step measures the line without what it cuts, and then gives it the room that is left.
    let labels_cut = Room { labels: 0, ..whole };
    if let Some(left) = MAX_LINE.checked_sub(write(labels_cut)) {
        write(Room {
            labels: left,
            ..whole
        });
        return;
    }
    for other in [whole.other, SHORT] {
        let title_cut = Room {
            labels: 0,
            title: 0,
            other,
        };
        // The message repeats the title.
        let title = MAX_LINE.saturating_sub(write(title_cut)) / 2;
        if title >= LEAST_TITLE {
            let labels_cut = Room { title, ..title_cut };
            let labels = MAX_LINE.saturating_sub(write(labels_cut));
            write(Room {
                labels,
                ..labels_cut
            });
            return;
        }
    }
}

/// How many bytes a part of the line may take, escaped.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// All labels together.
    labels: usize,
    /// The title, once as a field and once in the message.
    title: usize,
    /// Each other text.
    other: usize,
}

/// The fields that did not go in whole.
#[derive(Debug, Default)]
struct Cut {
    labels: bool,
    title: bool,
    others: Vec<&'static str>,
}

struct Line<'o> {
    out: &'o mut Vec<u8>,
    room: Room,
    cut: Cut,
}

impl Line<'_> {
    fn write(&mut self, input: &LineInput<'_>, view: &View<'_>) {
        let event = input.event;
        self.out.extend_from_slice(b"{\"timestamp\":");
        self.time(&MICROSECONDS, input.now);
        self.out
            .extend_from_slice(br#","level":"INFO","target":"flashduty::event","message":"#);
        self.message(event, view);
        self.number("seq", input.seq.0);
        self.text("event_id", event.event_id.as_ref().map(|id| id.as_str()));
        self.text("event_type", Some(event.event_type.as_str()));
        self.event_time(event);
        self.subject(event.subject.as_ref());
        self.title(view.title.as_deref());
        self.text("severity", view.severity.as_deref());
        self.text("status", view.status.as_deref());
        self.text("progress", view.progress.as_deref());
        self.integer("channel_id", view.channel_id);
        self.text("channel_name", view.channel_name.as_deref());
        self.person(view.person.as_ref());
        self.cut.labels = !append_labels(self.out, &view.labels, input.labels, self.room.labels);
        self.text("detail_url", view.detail_url.as_deref());
        self.text("tag", event.route.tag.as_deref());
        if let Some(ip) = event.source_ip {
            self.name("source_ip");
            self.address(ip);
        }
        if let Some(time) = event.event_time {
            let received = event.received_at.as_millisecond();
            self.number("lag_ms", received.saturating_sub(time));
        }
        let redelivered = if input.redelivered { "true" } else { "false" };
        self.value("redelivered", redelivered);
        let origin = if input.replay {
            Origin::Replay
        } else {
            event.origin
        };
        self.text("origin", Some(origin.as_str()));
        self.text("trace_id", event.trace_id());
        self.truncated();
        self.out.extend_from_slice(b"}\n");
    }

    /// Such as `i_ack Critical: disk almost full`; without a title the subject stands for it.
    fn message(&mut self, event: &Event, view: &View<'_>) {
        self.out.push(b'"');
        append_escaped(self.out, event.event_type.as_str(), self.room.other);
        if let Some(severity) = &view.severity {
            self.out.push(b' ');
            append_escaped(self.out, severity, self.room.other);
        }
        if let Some(title) = &view.title {
            self.out.extend_from_slice(b": ");
            append_escaped(self.out, title, self.room.title);
        } else if let Some(subject) = &event.subject {
            self.out.extend_from_slice(b": ");
            self.subject_text(subject);
        }
        self.out.push(b'"');
    }

    /// The time in the sender's milliseconds and, when a calendar holds it, for people.
    fn event_time(&mut self, event: &Event) {
        let Some(time) = event.event_time else { return };
        self.number("event_time", time);
        if let Ok(at) = Timestamp::from_millisecond(time) {
            self.name("event_at");
            self.time(&MILLISECONDS, at);
        }
    }

    fn subject(&mut self, subject: Option<&Subject>) {
        let Some(subject) = subject else { return };
        self.name("subject");
        self.out.push(b'"');
        self.subject_text(subject);
        self.out.push(b'"');
    }

    fn subject_text(&mut self, subject: &Subject) {
        let (kind, id) = match subject {
            Subject::Incident(id) => ("incident:", id),
            Subject::Alert(id) => ("alert:", id),
        };
        self.out.extend_from_slice(kind.as_bytes());
        append_escaped(self.out, id.as_str(), self.room.other);
    }

    fn title(&mut self, title: Option<&str>) {
        let Some(title) = title else { return };
        self.name("title");
        self.out.push(b'"');
        self.cut.title = !append_escaped(self.out, title, self.room.title);
        self.out.push(b'"');
    }

    fn person(&mut self, person: Option<&Person<'_>>) {
        let Some(person) = person else { return };
        self.name("person");
        self.out.push(b'{');
        let cut_before = self.cut.others.len();
        self.integer("id", person.id);
        self.text("name", person.name.as_deref());
        self.text("email", person.email.as_deref());
        self.out.push(b'}');
        if self.cut.others.len() > cut_before {
            self.cut.others.truncate(cut_before);
            self.cut.others.push("person");
        }
    }

    fn truncated(&mut self) {
        let mut names = std::mem::take(&mut self.cut.others);
        if self.cut.title {
            names.insert(0, "title");
        }
        if self.cut.labels {
            names.insert(0, "labels");
        }
        if names.is_empty() {
            return;
        }
        self.name("truncated");
        for (at, name) in names.iter().enumerate() {
            self.out.push(if at == 0 { b'[' } else { b',' });
            self.quoted(name);
        }
        self.out.push(b']');
    }

    fn text(&mut self, name: &'static str, text: Option<&str>) {
        let Some(text) = text else { return };
        self.name(name);
        self.out.push(b'"');
        if !append_escaped(self.out, text, self.room.other) {
            self.cut.others.push(name);
        }
        self.out.push(b'"');
    }

    /// Digits of any number, but never some of them.
    fn integer(&mut self, name: &'static str, integer: Option<Integer<'_>>) {
        let Some(integer) = integer else { return };
        if integer.as_str().len() <= self.room.other {
            self.value(name, integer.as_str());
        } else {
            self.cut.others.push(name);
        }
    }

    /// A number or a boolean, as it is written.
    fn value(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out.extend_from_slice(value.as_bytes());
    }

    fn number(&mut self, name: &str, number: i64) {
        self.name(name);
        self.digits(number);
    }

    /// Through `serde_json`, which takes a fifth of the instructions of `core::fmt`.
    fn digits(&mut self, number: impl Serialize) {
        // Writing to a Vec cannot fail.
        let _infallible = serde_json::to_writer(&mut *self.out, &number);
    }

    fn address(&mut self, address: IpAddr) {
        self.out.push(b'"');
        match address {
            IpAddr::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        self.out.push(b'.');
                    }
                    self.digits(octet);
                }
            }
            IpAddr::V6(address) => {
                let _infallible = write!(self.out, "{address}");
            }
        }
        self.out.push(b'"');
    }

    /// Text that needs no escape.
    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    fn time(&mut self, printer: &DateTimePrinter, time: Timestamp) {
        self.out.push(b'"');
        let _infallible = printer.print_timestamp(&time, &mut *self.out);
        self.out.push(b'"');
    }

    /// A member's name, which needs no escape, after what stands before it.
    fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

//! One span: what happened, in which trace, from when to when.
//!
//! It holds no more than short texts, whatever a push holds: many of them may wait for a collector.

use jiff::Timestamp;

use super::Context;
use crate::event::{Event, Id, Seq};

/// The longest text of an attribute, in bytes.
const LONGEST: usize = 512;

/// What a span was for, with the numbers of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something within the receiver.
    Internal = 1,
    /// A request was answered.
    Server = 2,
    /// A request was made.
    Client = 3,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Whether something is so.
    Flag(bool),
}

/// Something that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its place in its trace.
    pub context: Context,
    /// One of few names.
    pub name: &'static str,
    /// What it was for.
    pub kind: Kind,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Span {
    /// A span called `name` that took from the first of the two times to the second.
    pub fn new(
        context: Context,
        name: &'static str,
        kind: Kind,
        (began, ended): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            context,
            name,
            kind,
            began,
            // A clock may be set back.
            ended: ended.max(began),
            attributes: Vec::with_capacity(10),
            error: None,
        }
    }

    /// With one more attribute.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// With one more attribute, if there is a value.
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With what `event` is.
    pub fn of_event(self, event: &Event) -> Self {
        let event_id = event.event_id.as_ref().map(Id::as_str);
        let subject = event.subject.as_ref().map(ToString::to_string);
        self.with_some("flashduty.event_id", event_id)
            .with("flashduty.event_type", event.event_type.as_str())
            .with_some("flashduty.subject", subject)
            .with_some("flashduty.tag", event.route.tag.as_deref())
            .with("flashduty.origin", event.origin.as_str())
    }

    /// With the event's position in the inbox.
    pub fn at(self, seq: Option<Seq>) -> Self {
        self.with_some("flashduty.seq", seq.map(|seq| seq.0))
    }

    /// Failed, for this reason.
    pub fn failed(mut self, why: &str) -> Self {
        self.error = Some(short(why));
        self
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(short(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// The beginning of `text`, cut between characters.
fn short(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_short_and_whole_characters() {
        assert_eq!(short("磁盘"), "磁盘");
        let cut = short(&"磁".repeat(1000));
        assert_eq!(cut, "磁".repeat(LONGEST / 3));
    }
}

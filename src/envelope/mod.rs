//! What a push is: reads id, type, time and subject out of a body, and leaves the body as it came.
//!
//! Nothing but a body that is no JSON object, or has no event type, is refused. For every field a
//! value that is missing, null, blank, an object, an array or an unfilled placeholder counts as
//! absent, and the next place is looked at. No id passes through a float.

mod json;
mod key;
mod options;
mod pointers;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod time;
pub mod view;

use std::borrow::Cow;
use std::str::Utf8Error;

use thiserror::Error;

pub use self::key::{entry_key, id_prefix, record_key};
pub use self::options::{EnvelopeOptions, EnvelopeOptionsError};

use self::json::Kind;
use self::pointers::{Found, List, Pointers};
use crate::event::{Id, Subject};

/// Where to look in a body: [`EnvelopeOptions`], compiled.
#[derive(Debug)]
pub struct EnvelopeRules {
    pointers: Pointers,
    event_id: List,
    event_time: List,
    event_type: List,
    incident_id: List,
    alert_id: List,
    commands: Vec<Id>,
}

/// What a body says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender's id for the event, equal for all attempts.
    pub event_id: Option<Id>,
    /// Such as `i_new`.
    pub event_type: Id,
    /// Milliseconds since the Unix epoch; `None` when it cannot be compared.
    pub event_time: Option<i64>,
    /// What the event is about.
    pub subject: Option<Subject>,
    /// Whether a person asked for something.
    pub command: bool,
    /// The configuration's names of fields that held `{{`, a placeholder the sender did not fill.
    pub placeholders: Vec<&'static str>,
    /// Whether the id was found only inside the incident or alert, and may be theirs.
    pub nested_id: bool,
}

/// Why a body is not an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// The bytes are not one JSON value in UTF-8.
    #[error(
        "the body is not JSON: {what} at line {line}, column {column}; if it was reshaped in Flashduty, check quotes and commas there"
    )]
    NotJson {
        /// From 1.
        line: usize,
        /// Bytes from the line's beginning; the offending one is number `column`.
        column: usize,
        /// What stands there, or should.
        what: String,
    },
    /// It is JSON, but has no members to look at.
    #[error("the body is {found}, not an object with an event type")]
    NotAnObject {
        /// With its article: `an array`.
        found: &'static str,
    },
    /// None of the configured places holds an event type.
    #[error(
        "the body has no event type; say in envelope.event_type where it stands, or give a literal"
    )]
    NoEventType,
}

impl EnvelopeRules {
    /// Compiles `options`; fails with the first entry that cannot be used.
    pub fn new(options: EnvelopeOptions) -> Result<Self, EnvelopeOptionsError> {
        let mut pointers = Pointers::default();
        let mut list = |key, entries: &[String]| List::new(&mut pointers, key, entries);
        let rules = Self {
            event_id: list("envelope.event_id", &options.event_id)?,
            event_time: list("envelope.event_time", &options.event_time)?,
            event_type: list("envelope.event_type", &options.event_type)?,
            incident_id: list("envelope.incident_id", &options.incident_id)?,
            alert_id: list("envelope.alert_id", &options.alert_id)?,
            commands: options
                .commands
                .iter()
                .map(|entry| Id::new(entry))
                .collect(),
            pointers,
        };
        rules.check(&options)?;
        Ok(rules)
    }

    /// Reads a body; allocates for what it returns and nothing else that grows with the body.
    pub fn read(&self, body: &[u8]) -> Result<Envelope, Unreadable> {
        let text = json::text(body).map_err(|error| Unreadable::not_utf8(body, error))?;
        let found = self.find(text)?;

        let mut placeholders = Vec::new();
        let mut field = |name, (value, unfilled)| {
            if unfilled {
                placeholders.push(name);
            }
            value
        };
        let event_type = field("event_type", self.event_type.first(&found));
        let event_id = field("event_id", self.event_id.first(&found));
        let event_time = field("event_time", self.event_time.first(&found));
        let incident_id = field("incident_id", self.incident_id.first(&found));
        let alert_id = field("alert_id", self.alert_id.first(&found));

        let event_type = event_type.ok_or(Unreadable::NoEventType)?.id();
        Ok(Envelope {
            subject: subject(&event_type, incident_id, alert_id),
            command: self.commands.contains(&event_type),
            event_type,
            event_time: event_time.and_then(|value| time::milliseconds(&value.text)),
            nested_id: event_id.as_ref().is_some_and(|value| value.inside_subject),
            event_id: event_id.map(|value| value.id()),
            placeholders,
        })
    }

    fn find<'a>(&self, text: &'a str) -> Result<Found<'a>, Unreadable> {
        if text.trim_ascii().is_empty() {
            let what = "it is empty, an object is missing".to_owned();
            return Err(Unreadable::NotJson {
                line: 1,
                column: 1,
                what,
            });
        }
        if json::kind(text) != Kind::Object {
            json::check(text).map_err(|error| Unreadable::not_json(&error))?;
            return Err(Unreadable::NotAnObject {
                found: article(json::kind(text)),
            });
        }
        self.pointers
            .find(text)
            .map_err(|_malformed| Unreadable::not_json(&json::fault_of_object(text)))
    }

    /// What a list alone cannot know: which fields may be literal, which must be there.
    fn check(&self, options: &EnvelopeOptions) -> Result<(), EnvelopeOptionsError> {
        let error = |key, entry: &str, problem, allowed| {
            Err(EnvelopeOptionsError {
                key,
                entry: entry.to_owned(),
                problem,
                allowed,
            })
        };
        if let Some(literal) = &self.event_id.literal {
            return error(
                "envelope.event_id",
                literal,
                "would make every push a duplicate of the first",
                "a JSON pointer (RFC 6901) such as \"/event_id\"",
            );
        }
        if let Some(literal) = &self.event_time.literal
            && time::milliseconds(literal).is_none()
        {
            return error(
                "envelope.event_time",
                literal,
                "is no time",
                "a JSON pointer (RFC 6901) such as \"/event_time\", or a literal in seconds, \
                 milliseconds or microseconds since 1970",
            );
        }
        if options.event_type.is_empty() {
            return error(
                "envelope.event_type",
                "",
                "is an empty list, with which every push would be refused",
                "at least one JSON pointer (RFC 6901) such as \"/event_type\", or a literal",
            );
        }
        match options
            .commands
            .iter()
            .find(|entry| entry.trim().is_empty())
        {
            Some(entry) => error(
                "admission.commands",
                entry,
                "is blank",
                "an event type such as \"i_custom\"",
            ),
            None => Ok(()),
        }
    }
}

impl Unreadable {
    fn not_json(error: &serde_json::Error) -> Self {
        let what = error.to_string();
        // The position is told apart from the text, which ends with it.
        let what = what
            .rsplit_once(" at line ")
            .map_or(what.as_str(), |(what, _)| what);
        Self::NotJson {
            line: error.line(),
            column: error.column(),
            what: what.to_owned(),
        }
    }

    fn not_utf8(body: &[u8], error: Utf8Error) -> Self {
        let valid = body.get(..error.valid_up_to()).unwrap_or(body);
        let last_line = valid.rsplit(|byte| *byte == b'\n').next().unwrap_or(valid);
        Self::NotJson {
            line: valid.split(|byte| *byte == b'\n').count(),
            column: last_line.len() + 1,
            what: "a byte that is not UTF-8".to_owned(),
        }
    }
}

/// A value that is there.
struct Value<'a> {
    text: Cow<'a, str>,
    inside_subject: bool,
}

impl Value<'_> {
    fn id(&self) -> Id {
        Id::new(&self.text)
    }
}

impl List {
    /// The first value that is there, and whether an unfilled placeholder was passed over.
    fn first<'a>(&'a self, found: &Found<'a>) -> (Option<Value<'a>>, bool) {
        let mut unfilled = false;
        for &(slot, inside_subject) in &self.pointers {
            let Some(text) = found[slot].and_then(scalar) else {
                continue;
            };
            if text.contains("{{") {
                unfilled = true;
            } else if !text.trim().is_empty() {
                return (
                    Some(Value {
                        text,
                        inside_subject,
                    }),
                    unfilled,
                );
            }
        }
        let literal = self.literal.as_deref();
        (
            literal.map(|text| Value {
                text: text.into(),
                inside_subject: false,
            }),
            unfilled,
        )
    }
}

/// The text of a string, the digits of a number, the word of a boolean.
fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match json::kind(raw) {
        Kind::String => Some(json::unquote(raw)),
        Kind::Number | Kind::Bool => Some(Cow::Borrowed(raw)),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

/// When a body names both, an alert's event (`a_*`) is about the alert, any other about the
/// incident.
fn subject(
    event_type: &Id,
    incident: Option<Value<'_>>,
    alert: Option<Value<'_>>,
) -> Option<Subject> {
    let prefers_alert = event_type.as_str().starts_with("a_");
    match (incident, alert) {
        (_, Some(alert)) if prefers_alert => Some(Subject::Alert(alert.id())),
        (Some(incident), _) => Some(Subject::Incident(incident.id())),
        (None, Some(alert)) => Some(Subject::Alert(alert.id())),
        (None, None) => None,
    }
}

fn article(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "an array",
        Kind::Object => "an object",
    }
}

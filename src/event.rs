//! What a push carries, in the words every other module uses.
//!
//! Ids that leave the body (headers, environment, indexes, log) are short visible ASCII; anything
//! else is replaced by its digest, and the original stays in the body.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest id, in bytes, that is used as it came.
pub const MAX_ID_BYTES: usize = 200;

/// Position of an event in the inbox: rises with every event stored, never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An id as it may be used outside the body: 1 to [`MAX_ID_BYTES`] visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Id(Box<str>);

impl Id {
    /// Takes `raw` as it is when it is 1 to 200 visible ASCII characters, else as `sha256:<hex>`.
    pub fn new(raw: &str) -> Self {
        let usable = !raw.is_empty()
            && raw.len() <= MAX_ID_BYTES
            && raw.bytes().all(|byte| byte.is_ascii_graphic());
        if usable {
            Self(raw.into())
        } else {
            Self(format!("sha256:{}", hex(&Sha256::digest(raw.as_bytes()))).into())
        }
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The URL a push came to: de-duplication, stale marks and order are per route.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The path segment behind the webhook path: 1 to 64 of `[A-Za-z0-9._-]`.
    pub tag: Option<Box<str>>,
    /// The query string as it came, without the question mark; never empty.
    pub query: Option<Box<str>>,
}

/// The incident or alert an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Written `incident:<id>`.
    Incident(Id),
    /// Written `alert:<id>`.
    Alert(Id),
}

impl Subject {
    /// Reads the written form, `incident:<id>` or `alert:<id>`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("incident", id) if !id.is_empty() => Some(Self::Incident(Id::new(id))),
            ("alert", id) if !id.is_empty() => Some(Self::Alert(Id::new(id))),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incident(id) => write!(f, "incident:{id}"),
            Self::Alert(id) => write!(f, "alert:{id}"),
        }
    }
}

/// The de-duplication key: 16 bytes, the first eight from the event's id alone (so that an id can
/// be found without knowing its route), the last eight from all that makes the event one of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 16]);

/// How an event got here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Pushed by the sender.
    Push,
    /// Fetched from the sender's history.
    Recovered,
    /// Offered again by a person, from the unreadable box.
    Replay,
}

impl Origin {
    /// The word used in the log, the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Recovered => "recovered",
            Self::Replay => "replay",
        }
    }
}

/// What a committed event was judged to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// New and in time: delivered to every sink that wants it.
    Accepted,
    /// Seen before under the same key; nothing was stored.
    Duplicate,
    /// Overtaken by a later event of its subject: stored, and delivered only where asked for.
    Stale,
}

impl Outcome {
    /// The word used in answers, the log, metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
        }
    }
}

/// One push, understood, on its way into the inbox. Everything but its `seq` and outcome.
#[derive(Debug, Clone)]
pub struct Event {
    /// The sender's id, the same for every attempt of one event.
    pub event_id: Option<Id>,
    /// Such as `i_new`; unknown types are normal.
    pub event_type: Id,
    /// Milliseconds since the Unix epoch; `None` when it cannot be compared.
    pub event_time: Option<i64>,
    /// What the event is about, when it says so.
    pub subject: Option<Subject>,
    /// The URL it came to.
    pub route: Route,
    /// Whether a person asked for something (`i_custom`), as against a change of state.
    pub command: bool,
    /// The judged client address; `None` when it did not come over the network.
    pub source_ip: Option<IpAddr>,
    /// The address of the socket's other end.
    pub peer_ip: Option<IpAddr>,
    /// When its first byte arrived.
    pub received_at: Timestamp,
    /// How it got here.
    pub origin: Origin,
    /// The W3C trace context it came with, or that it was given when it came in, if any.
    pub trace_parent: Option<Box<str>>,
    /// The bytes as they came.
    pub body: Bytes,
}

impl Event {
    /// The id of the trace it belongs to, as log lines have it.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_parent.as_deref()?.get(3..35)
    }
}

#[cfg(test)]
impl Event {
    /// An `i_new` about an incident, pushed to the bare path.
    pub(crate) fn sample(body: impl Into<Bytes>) -> Self {
        Self {
            event_id: Some(Id::new("e1")),
            event_type: Id::new("i_new"),
            event_time: Some(1_700_000_000_000),
            subject: Subject::parse("incident:664af"),
            route: Route::default(),
            command: false,
            source_ip: None,
            peer_ip: None,
            received_at: Timestamp::UNIX_EPOCH,
            origin: Origin::Push,
            trace_parent: None,
            body: body.into(),
        }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_as_it_is_or_replaced_by_its_digest() {
        assert_eq!(Id::new("2026-abc").as_str(), "2026-abc");
        assert_eq!(Id::new(&"x".repeat(200)).as_str().len(), 200);
        for odd in ["", "a b", "\0", "é", &"x".repeat(201)] {
            let id = Id::new(odd);
            assert!(id.as_str().starts_with("sha256:"), "{odd:?} gave {id}");
            assert_eq!(id.as_str().len(), 71);
        }
    }

    #[test]
    fn a_subject_reads_back_what_it_writes() {
        for text in ["incident:664af", "alert:a:b"] {
            assert_eq!(Subject::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "incident", "incident:", "person:1"] {
            assert_eq!(Subject::parse(text), None, "{text}");
        }
    }
}

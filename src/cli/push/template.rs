//! Ready-made requests that become a new push by changing a few bytes in place.
//!
//! A template is one buffer, head and body, written to the socket in one piece. Its slots have
//! fixed widths (32 hex digits of event id, 13 digits of milliseconds, 24 hex digits of subject
//! id), so that freshening it neither moves nor allocates anything.

use anyhow::{Context as _, bail};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::build;
use crate::cli::sample::Moment;
use crate::cli::target::Target;

const EVENT_ID: usize = 32;
const EVENT_TIME: usize = 13;
const SUBJECT_ID: usize = 24;

const ZEROS: &str = "00000000000000000000000000000000";

/// What makes one push differ from the next.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// Written as 32 hex digits.
    pub event_id: u128,
    /// Milliseconds since the Unix epoch.
    pub event_time: u64,
    /// Written as 24 hex digits, the upper 32 bits left out.
    pub subject_id: u128,
}

/// One request, and where its ids and times stand.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    event_ids: Vec<usize>,
    event_times: Vec<usize>,
    subject_ids: Vec<usize>,
}

impl Template {
    /// The sample event of `event_type`, padded to `size` bytes of body when that is given.
    ///
    /// # Errors
    /// When `size` is smaller than the sample.
    pub fn sample(event_type: &str, size: Option<usize>) -> anyhow::Result<Body> {
        let moment = |padding: &str| {
            Moment {
                event_type,
                event_id: ZEROS,
                event_time: 1_000_000_000_000,
                subject_id: ZEROS.get(..SUBJECT_ID).expect("enough zeros"),
                padding,
            }
            .body()
        };
        let least = moment("");
        let body = match size {
            None => least,
            Some(size) if size < least.len() => bail!(
                "--body-size {size}: the sample of {event_type} takes {} bytes; give at least that",
                least.len()
            ),
            Some(size) => moment(&".".repeat(size - least.len())),
        };
        Body::fresh(body)
    }

    /// A request that carries `body` to `target` with the given headers besides its own.
    pub fn new(target: &Target, headers: &[(HeaderName, HeaderValue)], body: &Body) -> Self {
        let mut bytes = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: flashduty-receiver-push/{}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n",
            target.path,
            target.authority,
            build::VERSION,
            body.bytes.len(),
        )
        .into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let head = bytes.len();
        bytes.extend_from_slice(&body.bytes);
        let moved = |slots: &[usize]| slots.iter().map(|at| at + head).collect();
        Self {
            bytes,
            event_ids: moved(&body.event_ids),
            event_times: moved(&body.event_times),
            subject_ids: moved(&body.subject_ids),
        }
    }

    /// Turns the request into a new push and gives its bytes.
    pub fn freshen(&mut self, fresh: &Fresh) -> &[u8] {
        for at in &self.event_ids {
            write_hex(&mut self.bytes[*at..*at + EVENT_ID], fresh.event_id);
        }
        for at in &self.event_times {
            write_decimal(&mut self.bytes[*at..*at + EVENT_TIME], fresh.event_time);
        }
        for at in &self.subject_ids {
            write_hex(&mut self.bytes[*at..*at + SUBJECT_ID], fresh.subject_id);
        }
        &self.bytes
    }
}

/// A body and where its slots stand; without slots it is sent as it is.
#[derive(Debug, Clone)]
pub struct Body {
    bytes: Vec<u8>,
    event_ids: Vec<usize>,
    event_times: Vec<usize>,
    subject_ids: Vec<usize>,
}

impl Body {
    /// A body every push repeats byte for byte.
    pub fn fixed(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            event_ids: vec![],
            event_times: vec![],
            subject_ids: vec![],
        }
    }

    /// A body whose event id, event time and incident or alert id are new with every push. All
    /// other bytes stay as they are.
    ///
    /// # Errors
    /// When it is not a JSON object, or has no event id to renew.
    pub fn fresh(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let shape: Shape<'_> = serde_json::from_slice(&bytes).context("the body is not a push")?;
        let mut spots = shape.spots(&bytes);
        spots.sort_by_key(|spot| spot.at);
        if !spots.iter().any(|spot| spot.slot == Slot::EventId) {
            bail!("the body has no event_id, neither at the top nor in its incident or alert");
        }
        let mut body = Self::fixed(Vec::with_capacity(bytes.len() + 64));
        let mut copied = 0;
        for spot in spots {
            body.bytes.extend_from_slice(&bytes[copied..spot.at]);
            copied = spot.at + spot.len;
            body.open(spot.slot);
        }
        body.bytes.extend_from_slice(&bytes[copied..]);
        Ok(body)
    }

    /// How many bytes it takes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it takes none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends a slot, zeros for now.
    fn open(&mut self, slot: Slot) {
        let (slots, width, quote) = match slot {
            Slot::EventId => (&mut self.event_ids, EVENT_ID, true),
            Slot::EventTime => (&mut self.event_times, EVENT_TIME, false),
            Slot::SubjectId => (&mut self.subject_ids, SUBJECT_ID, true),
        };
        if quote {
            self.bytes.push(b'"');
        }
        slots.push(self.bytes.len());
        self.bytes.resize(self.bytes.len() + width, b'0');
        if quote {
            self.bytes.push(b'"');
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    EventId,
    EventTime,
    SubjectId,
}

/// A value in a body that a slot takes the place of.
struct Spot {
    slot: Slot,
    at: usize,
    len: usize,
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event_time: Option<&'a RawValue>,
    #[serde(borrow)]
    incident: Option<Inner<'a>>,
    #[serde(borrow)]
    alert: Option<Inner<'a>>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    incident_id: Option<&'a RawValue>,
    #[serde(borrow)]
    alert_id: Option<&'a RawValue>,
}

impl Shape<'_> {
    fn spots(&self, bytes: &[u8]) -> Vec<Spot> {
        let mut found = vec![
            (Slot::EventId, self.event_id),
            (Slot::EventTime, self.event_time),
        ];
        if let Some(incident) = &self.incident {
            found.push((Slot::EventId, incident.event_id));
            found.push((Slot::SubjectId, incident.incident_id));
        }
        if let Some(alert) = &self.alert {
            found.push((Slot::EventId, alert.event_id));
            found.push((Slot::SubjectId, alert.alert_id));
        }
        let start = bytes.as_ptr().addr();
        found
            .into_iter()
            .filter_map(|(slot, value)| Some((slot, value?.get())))
            .map(|(slot, text)| Spot {
                slot,
                at: text.as_ptr().addr() - start,
                len: text.len(),
            })
            .collect()
    }
}

fn write_hex(slot: &mut [u8], value: u128) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut rest = value;
    for byte in slot.iter_mut().rev() {
        *byte = DIGITS[usize::try_from(rest & 0xf).expect("four bits")];
        rest >>= 4;
    }
}

fn write_decimal(slot: &mut [u8], value: u64) {
    let mut rest = value;
    for byte in slot.iter_mut().rev() {
        *byte = b'0' + u8::try_from(rest % 10).expect("one digit");
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tls::Known;

    const FRESH: Fresh = Fresh {
        event_id: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        event_time: 1_760_000_000_123,
        subject_id: 0xfeed,
    };

    fn request(body: &Body) -> String {
        let target = Target::parse(
            "http://127.0.0.1:8080/webhook?team=a",
            "/",
            &Known::default(),
        )
        .unwrap();
        let header = (
            HeaderName::from_static("x-flashduty-token"),
            HeaderValue::from_static("s3cret"),
        );
        let mut template = Template::new(&target, &[header], body);
        String::from_utf8(template.freshen(&FRESH).to_vec()).unwrap()
    }

    #[test]
    fn each_sample_becomes_a_whole_request_with_fresh_ids() {
        for event_type in ["i_new", "i_custom", "a_new"] {
            let text = request(&Template::sample(event_type, None).unwrap());
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /webhook?team=a HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"));
            assert!(head.contains(&format!("content-length: {}", body.len())));
            assert!(head.contains("x-flashduty-token: s3cret"));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["event_time"], 1_760_000_000_123_u64);
            let (event_id, subject_id) = match event_type {
                "i_new" => (&body["event_id"], &body["incident"]["incident_id"]),
                "i_custom" => (
                    &body["incident"]["event_id"],
                    &body["incident"]["incident_id"],
                ),
                _ => (&body["event_id"], &body["alert"]["alert_id"]),
            };
            assert_eq!(event_id, "0123456789abcdef0123456789abcdef");
            assert_eq!(subject_id, "00000000000000000000feed");
        }
    }

    #[test]
    fn a_body_of_a_wanted_size_has_exactly_that_size() {
        assert_eq!(
            Template::sample("i_new", Some(65_536)).unwrap().len(),
            65_536
        );
        let error = Template::sample("i_new", Some(10)).unwrap_err().to_string();
        assert!(error.contains("give at least that"), "{error}");
    }

    #[test]
    fn a_given_body_keeps_every_byte_but_its_ids_and_time() {
        let body = br#"{ "event_id" : "short", "x": 12345678901234567890123, "event_time":1,
            "incident": {"incident_id": 7, "title": "\u0000"}}"#;
        let text = request(&Body::fresh(body.to_vec()).unwrap());
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        insta::assert_snapshot!(body, @r#"
        { "event_id" : "0123456789abcdef0123456789abcdef", "x": 12345678901234567890123, "event_time":1760000000123,
                    "incident": {"incident_id": "00000000000000000000feed", "title": "\u0000"}}
        "#);
    }

    #[test]
    fn a_body_without_an_event_id_cannot_be_renewed() {
        let error = Body::fresh(b"{\"event_type\":\"i_new\"}".to_vec()).unwrap_err();
        assert!(error.to_string().contains("has no event_id"));
        assert!(Body::fresh(b"[]".to_vec()).is_err());
        assert!(Body::fresh(b"{".to_vec()).is_err());
    }
}

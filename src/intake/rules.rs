//! Everything that decides about a push and may change by a reload, and the offer it makes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::envelope::{Envelope, EnvelopeRules};
use crate::event::{Event, Origin, Route};
use crate::inbox::{Offer, UnreadableBounds};
use crate::routing::Routing;
use crate::source::SourceRules;
use crate::words::Words;

/// What a push that cannot be acknowledged in time gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLate {
    /// 503.
    Answer,
    /// A closed connection: the sender may try once more after an EOF.
    Close,
}

/// Everything that decides about a push and may change by a reload.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Who may push.
    pub source: Arc<SourceRules>,
    /// Where things stand in a body.
    pub envelope: Arc<EnvelopeRules>,
    /// Who wants it.
    pub routing: Routing,
    /// The largest body, in bytes.
    pub max_body: u64,
    /// Memory that bodies over 64 KiB share, in bytes.
    pub max_inflight: u64,
    /// From the head's first byte to the answer.
    pub ack_deadline: Duration,
    /// What comes after it.
    pub on_late: OnLate,
    /// From the head to the body's last byte.
    pub body_timeout: Duration,
    /// An event time further in the future does not move its subject's mark.
    pub max_clock_skew: Duration,
    /// How much is kept of what cannot be used.
    pub unreadable: UnreadableBounds,
}

/// How a body got here.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The URL it came to.
    pub route: Route,
    /// The judged client address.
    pub source_ip: Option<IpAddr>,
    /// The socket's other end.
    pub peer_ip: Option<IpAddr>,
    /// When its first byte arrived.
    pub received_at: Timestamp,
    /// By which way.
    pub origin: Origin,
    /// The W3C trace context it came with, if any.
    pub trace_parent: Option<Box<str>>,
    /// The bytes as they came.
    pub body: Bytes,
}

impl Arrival {
    /// The event that came, now that it is understood.
    pub fn event(self, envelope: Envelope) -> Event {
        Event {
            event_id: envelope.event_id,
            event_type: envelope.event_type,
            event_time: envelope.event_time,
            subject: envelope.subject,
            route: self.route,
            command: envelope.command,
            source_ip: self.source_ip,
            peer_ip: self.peer_ip,
            received_at: self.received_at,
            origin: self.origin,
            trace_parent: self.trace_parent,
            body: self.body,
        }
    }
}

impl Rules {
    /// What is offered to the inbox at `now` for a body that was understood.
    pub fn offer(&self, envelope: Envelope, arrival: Arrival, now: Timestamp) -> Offer {
        let key = envelope.key(&arrival.route, &arrival.body);
        let skew = i64::try_from(self.max_clock_skew.as_millis()).unwrap_or(i64::MAX);
        let latest = now.as_millisecond().saturating_add(skew);
        let moves_mark =
            !envelope.command && envelope.event_time.is_some_and(|time| time <= latest);
        let event = arrival.event(envelope);
        Offer {
            key,
            moves_mark,
            wanted: self.routing.wanted(&Words::new(&event)),
            event: Arc::new(event),
        }
    }
}

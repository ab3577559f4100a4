//! `spilled`: what this receiver's own spill holds, and events out of one whose receiver is gone, offered
//! by a command that holds it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::body::Sent;
use super::params::{Params, refused};
use super::who::Who;
use crate::aside::aside;
use crate::event::{Event, Id, Key, Origin, Route, Subject};
use crate::inbox::spill::{Contents, Drained, Spilled, SpilledRow};
use crate::inbox::{Audit, Unreadable};
use crate::intake::problem::Problem;

/// The largest request: one body alone may have grown by a third on the way.
const MOST_BYTES: usize = 256 << 20;

/// What this receiver's own spill holds: nothing where it has none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct SpillShown {
    /// How much.
    #[serde(flatten)]
    pub contents: Contents,
    /// Its events with the `event_id` that was asked for, oldest first.
    pub found: Vec<SpilledRow>,
}

/// The body of a request: what a spill held, in the order of its arrival.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpilledPushes {
    /// The events.
    #[serde(default)]
    pub events: Vec<SpilledEvent>,
    /// Pushes that could not be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadablePush>,
}

/// One event, with everything it was offered with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpilledEvent {
    id: i64,
    key: Option<[u8; 16]>,
    moves_mark: bool,
    event_id: Option<String>,
    event_type: String,
    event_time: Option<i64>,
    subject: Option<String>,
    tag: Option<Box<str>>,
    query: Option<Box<str>>,
    command: bool,
    source_ip: Option<IpAddr>,
    peer_ip: Option<IpAddr>,
    received_at: Timestamp,
    origin: Origin,
    trace_parent: Option<Box<str>>,
    /// In base64: a body need not be text.
    #[schemars(extend("contentEncoding" = "base64"))]
    body: String,
}

impl From<&Spilled> for SpilledEvent {
    fn from(spilled: &Spilled) -> Self {
        let event = &*spilled.event;
        Self {
            id: spilled.id,
            key: spilled.key.map(|key| key.0),
            moves_mark: spilled.moves_mark,
            event_id: event.event_id.as_ref().map(ToString::to_string),
            event_type: event.event_type.to_string(),
            event_time: event.event_time,
            subject: event.subject.as_ref().map(ToString::to_string),
            tag: event.route.tag.clone(),
            query: event.route.query.clone(),
            command: event.command,
            source_ip: event.source_ip,
            peer_ip: event.peer_ip,
            received_at: event.received_at,
            origin: event.origin,
            trace_parent: event.trace_parent.clone(),
            body: STANDARD.encode(&event.body),
        }
    }
}

impl TryFrom<SpilledEvent> for Spilled {
    type Error = base64::DecodeError;

    fn try_from(sent: SpilledEvent) -> Result<Self, Self::Error> {
        let event = Event {
            event_id: sent.event_id.as_deref().map(Id::new),
            event_type: Id::new(&sent.event_type),
            event_time: sent.event_time,
            subject: sent.subject.as_deref().and_then(Subject::parse),
            route: Route {
                tag: sent.tag,
                query: sent.query,
            },
            command: sent.command,
            source_ip: sent.source_ip,
            peer_ip: sent.peer_ip,
            received_at: sent.received_at,
            origin: sent.origin,
            trace_parent: sent.trace_parent,
            body: STANDARD.decode(&sent.body)?.into(),
        };
        Ok(Self {
            id: sent.id,
            event: Arc::new(event),
            key: sent.key.map(Key),
            moves_mark: sent.moves_mark,
        })
    }
}

/// One push that could not be used.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreadablePush {
    received_at: Timestamp,
    reason: String,
    tag: Option<Box<str>>,
    query: Option<Box<str>>,
    source_ip: Option<IpAddr>,
    peer_ip: Option<IpAddr>,
    /// In base64, as well.
    #[schemars(extend("contentEncoding" = "base64"))]
    body: String,
}

impl From<&Unreadable> for UnreadablePush {
    fn from(push: &Unreadable) -> Self {
        Self {
            received_at: push.received_at,
            reason: push.reason.clone(),
            tag: push.route.tag.clone(),
            query: push.route.query.clone(),
            source_ip: push.source_ip,
            peer_ip: push.peer_ip,
            body: STANDARD.encode(&push.body),
        }
    }
}

impl TryFrom<UnreadablePush> for Unreadable {
    type Error = base64::DecodeError;

    fn try_from(sent: UnreadablePush) -> Result<Self, Self::Error> {
        Ok(Self {
            received_at: sent.received_at,
            reason: sent.reason,
            route: Route {
                tag: sent.tag,
                query: sent.query,
            },
            source_ip: sent.source_ip,
            peer_ip: sent.peer_ip,
            body: STANDARD.decode(&sent.body)?.into(),
        })
    }
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    let limit = DefaultBodyLimit::max(MOST_BYTES);
    Router::new().route("/spilled", get(show).post(offer).layer(limit))
}

async fn show(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<SpillShown>, Problem> {
    let params = Params::read(&uri, &["event_id"])?;
    let event_id = params.text("event_id");
    shared.admin.hooks.spilled(event_id).await.map(Json)
}

async fn offer(
    State(shared): State<Arc<Shared>>,
    Who(who): Who,
    Sent(body): Sent,
) -> Result<Json<Drained>, Problem> {
    let bytes = body.len() as u64;
    let (events, unreadable) = aside(bytes, move || read(&body)).await?;
    let audit = drain(who, (events.len(), unreadable.len()));
    let hooks = &shared.admin.hooks;
    let drained = hooks.offer_spilled(events, unreadable, audit).await;
    drained.map(Json)
}

/// What the audit says of so many events and unreadable pushes out of a spill.
pub fn drain(who: String, (events, unreadable): (usize, usize)) -> Audit {
    Audit {
        who,
        action: "drain_spill",
        selector: format!("events={events} unreadable={unreadable}"),
        reason: String::new(),
    }
}

fn read(body: &[u8]) -> Result<(Vec<Spilled>, Vec<Unreadable>), Problem> {
    let sent: SpilledPushes = serde_json::from_slice(body).map_err(|error| {
        refused(format!(
            "the body is no JSON object with events out of a spill: {error}"
        ))
    })?;
    Ok((decoded(sent.events)?, decoded(sent.unreadable)?))
}

fn decoded<S, T>(sent: Vec<S>) -> Result<Vec<T>, Problem>
where
    T: TryFrom<S, Error = base64::DecodeError>,
{
    let decoded: Result<Vec<T>, _> = sent.into_iter().map(T::try_from).collect();
    decoded.map_err(|error| refused(format!("a body is no base64: {error}")))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_event_crosses_the_wire_as_it_was() {
        let event = Event {
            route: Route {
                tag: Some("a".into()),
                query: Some("x=1".into()),
            },
            source_ip: Some([127, 0, 0, 1].into()),
            trace_parent: Some("00-1".into()),
            ..Event::sample(&b"{\"a\":\"\xff\0\"}"[..])
        };
        let spilled = Spilled {
            id: 7,
            event: Arc::new(event),
            key: Some(Key([9; 16])),
            moves_mark: true,
        };
        let sent = serde_json::to_vec(&SpilledEvent::from(&spilled)).unwrap();
        let read: SpilledEvent = serde_json::from_slice(&sent).unwrap();
        let back = Spilled::try_from(read).unwrap();
        assert_eq!(format!("{back:?}"), format!("{spilled:?}"));
    }

    #[test]
    fn an_unreadable_push_crosses_the_wire_as_it_was() {
        let push = Unreadable {
            received_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
            reason: "line 1, column 1: no JSON".to_owned(),
            route: Route {
                tag: Some("a".into()),
                query: Some("x=1".into()),
            },
            source_ip: Some([127, 0, 0, 1].into()),
            peer_ip: None,
            body: Bytes::from_static(b"\xff\0{"),
        };
        let pushes = SpilledPushes {
            unreadable: vec![UnreadablePush::from(&push)],
            ..SpilledPushes::default()
        };
        let sent = serde_json::to_vec(&pushes).unwrap();
        let read: SpilledPushes = serde_json::from_slice(&sent).unwrap();
        let back: Vec<Unreadable> = decoded(read.unreadable).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", [push]));
    }
}

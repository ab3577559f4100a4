//! `stream`: each stored event as it comes, in order, without a gap and without a repetition.
//!
//! A client that went away goes on behind the last event it got. Few may follow at once, none holds
//! more than a page of events in memory, and those that keep up share what is read for them. One that
//! takes nothing costs its own connection only: it is the listener that cuts it off. All end when the
//! receiver drains.

mod feed;
mod flow;
pub mod message;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::unfold;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use tokio::sync::Semaphore;

use self::feed::Feed;
use self::flow::{At, Beginning, Flow, PAGE};
use self::message::Gap;
use super::Shared;
use super::api::{OUTCOMES, store_problem};
use super::params::{Params, refused};
use crate::event::Seq;
use crate::inbox::query::EventFilter;
use crate::inbox::{Horizon, Lookout};
use crate::intake::problem::Problem;
use crate::lifecycle::Lifecycle;

/// Streams at once, where the admin listener has room for more connections.
pub const MOST: usize = 32;
/// Seconds after which who was turned away may ask again.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("5");
/// The header of a client that has been here before.
const LAST_EVENT_ID: &str = "last-event-id";
/// nginx would collect a page of answer before it hands on any.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// What all streams of a receiver share.
pub struct Streams {
    lookout: Arc<Lookout>,
    lifecycle: Lifecycle,
    seats: Arc<Semaphore>,
    feed: Arc<Feed>,
}

impl Streams {
    /// At most `most` at once, of what `lookout` sees, until `lifecycle` drains.
    pub fn new(lookout: Arc<Lookout>, lifecycle: Lifecycle, most: usize) -> Self {
        Self {
            lookout,
            lifecycle,
            seats: Arc::new(Semaphore::new(most)),
            feed: Arc::default(),
        }
    }
}

/// Where a client wants to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Behind the newest event.
    Now,
    /// At the oldest that is stored, because a time is asked for.
    Oldest,
    /// Behind the last one it got.
    Behind(Seq),
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/stream", get(stream))
}

async fn stream(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    match begin(&shared, &uri, &headers).await {
        Ok(flow) => respond(flow),
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(RETRY_AFTER, ASK_AGAIN);
            }
            response
        }
    }
}

fn respond(flow: Flow) -> Response {
    let pieces = unfold(flow, |mut flow| async move {
        let piece = flow.next().await?;
        Some((Ok::<_, Infallible>(piece), flow))
    });
    let event_stream = HeaderValue::from_static("text/event-stream");
    let headers = [(CONTENT_TYPE, event_stream), UNBUFFERED];
    (headers, Body::from_stream(pieces)).into_response()
}

async fn begin(shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Result<Flow, Problem> {
    let allowed = [
        "after",
        "event_id",
        "event_type",
        "subject",
        "outcome",
        "route",
        "since",
    ];
    let params = Params::read(uri, &allowed)?;
    let filter = filter(shared, &params)?;
    let start = start(&params, headers)?;
    let streams = &shared.admin.streams;
    if streams.lifecycle.is_draining() {
        return Err(unavailable("the receiver ends, and begins no stream"));
    }
    let seat = Arc::clone(&streams.seats).try_acquire_owned();
    let seat = seat.map_err(|_full| {
        unavailable("as many streams as there may be are open; one of them has to end first")
    })?;
    let inbox = Arc::clone(&shared.admin.inbox);
    // Before the horizon is asked for, so that none that is reached later goes unseen.
    let view = streams.lookout.subscribe();
    let horizon = inbox.horizon().await.map_err(store_problem)?;
    let (at, first) = opening(start, horizon);
    Ok(Flow::new(Beginning {
        inbox,
        feed: Arc::clone(&streams.feed),
        filter,
        view,
        lifecycle: streams.lifecycle.clone(),
        seat,
        at,
        first,
        resumes: !matches!(start, Start::Oldest | Start::Behind(Seq(0))),
    }))
}

fn filter(shared: &Shared, params: &Params) -> Result<EventFilter, Problem> {
    let now = shared.admin.clock.now();
    Ok(EventFilter {
        cursor: None,
        limit: PAGE,
        event_id: params.text("event_id"),
        event_type: params.text("event_type"),
        subject: params.subject()?,
        outcome: params.word("outcome", &OUTCOMES)?,
        route: params.route(),
        since: params.time("since", now)?,
        until: None,
    })
}

/// What a browser sends when it connects again counts more than the URL, which stays the same.
fn start(params: &Params, headers: &HeaderMap) -> Result<Start, Problem> {
    let after = params.read_as("after", "a position, 0 or more", position)?;
    let last = match headers.get(LAST_EVENT_ID) {
        Some(value) if !value.is_empty() => {
            let last = value.to_str().ok().and_then(position);
            Some(last.ok_or_else(|| {
                refused("the header Last-Event-ID is no position of this stream".to_owned())
            })?)
        }
        _ => None,
    };
    Ok(match last.or(after) {
        Some(seq) => Start::Behind(seq),
        None if params.text("since").is_some() => Start::Oldest,
        None => Start::Now,
    })
}

fn position(text: &str) -> Option<Seq> {
    let seq: i64 = text.parse().ok()?;
    (seq >= 0).then_some(Seq(seq))
}

/// Where a stream begins, and what it says first.
fn opening(start: Start, horizon: Horizon) -> (At, String) {
    let mut first = message::greeting();
    let behind = match start {
        Start::Now => return (At::Before(horizon.drawn), first),
        Start::Oldest => Seq(0),
        Start::Behind(seq) if seq > horizon.drawn => {
            let gap = Gap {
                after: seq,
                from: Seq(horizon.drawn.0 + 1),
                reason: "no such position was given out: this is another store".to_owned(),
            };
            message::gap(&mut first, &gap);
            return (At::Before(horizon.drawn), first);
        }
        Start::Behind(seq) => seq,
    };
    first += &message::position(behind);
    (At::Behind(behind), first)
}

fn unavailable(detail: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

//! `events`: what is stored, listed, looked for, and one by one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, Uri};
use ipnet::IpNet;

use super::Shared;
use super::api::{
    EventDetail, OUTCOMES, Shown, download, list_problem, missing, number, store_problem,
};
use super::params::{MAX_LIMIT, Named, Params};
use crate::event::Seq;
use crate::inbox::headline::headline;
use crate::inbox::query::{DeliveryFilter, EventFilter, EventRow};
use crate::inbox::search::{self, Needle, Searched, Sift, TEXT};
use crate::intake::problem::Problem;
use crate::source::networks::parse_allow;

/// Searches at once: each keeps a core busy, and a reader of the store, while it lasts. Pushes need
/// some, too.
pub(super) const SEARCHES: usize = 2;

/// What a list may be asked for.
const SELECTS: [&str; 11] = [
    "cursor",
    "limit",
    "event_id",
    "event_type",
    "subject",
    "outcome",
    "route",
    "since",
    "until",
    "text",
    "source",
];

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/events", get(events))
        .route("/events/{seq}", get(event))
        .route("/events/{seq}/body", get(event_body))
}

async fn events(State(shared): State<Arc<Shared>>, uri: Uri) -> Shown<Searched> {
    let params = Params::read(&uri, &SELECTS)?;
    let now = shared.admin.clock.now();
    let filter = EventFilter {
        cursor: params.cursor()?,
        limit: params.limit()?,
        event_id: params.text("event_id"),
        event_type: params.text("event_type"),
        subject: params.subject()?,
        outcome: params.word("outcome", &OUTCOMES)?,
        route: params.route(),
        since: params.time("since", now)?,
        until: params.time("until", now)?,
    };
    let text = params.read_as("text", TEXT, Needle::new)?;
    let block = "an address such as 203.0.113.7, or a block such as 203.0.113.0/24";
    let source = params.read_as("source", block, network)?;
    let sift = Sift::new(filter, text, source);
    let _seat = match sift.searches() {
        true => Some(shared.searches.try_acquire().map_err(|_full| busy())?),
        false => None,
    };
    let page = search::page(&*shared.admin.inbox, sift).await;
    Ok(Json(page.map_err(|error| list_problem(error, &params))?))
}

fn busy() -> Problem {
    let detail =
        "as many searches by text or source go on as there may be at once; try again in a second";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

async fn event(State(shared): State<Arc<Shared>>, Named(seq): Named) -> Shown<EventDetail> {
    let (mut event, body) = find(&shared, &seq).await?;
    headline(&mut event, &body);
    let filter = DeliveryFilter {
        seq: Some(event.seq),
        limit: MAX_LIMIT,
        ..DeliveryFilter::default()
    };
    let deliveries = shared.admin.inbox.deliveries(filter).await;
    let deliveries = deliveries.map_err(store_problem)?.items;
    Ok(Json(EventDetail { event, deliveries }))
}

async fn event_body(
    State(shared): State<Arc<Shared>>,
    Named(seq): Named,
) -> Result<Response, Problem> {
    let (event, body) = find(&shared, &seq).await?;
    Ok(download(&format!("event-{}", event.seq), body))
}

async fn find(shared: &Shared, seq: &str) -> Result<(EventRow, Bytes), Problem> {
    let seq = Seq(number("seq", seq)?);
    let found = shared.admin.inbox.event(seq).await.map_err(store_problem)?;
    found.ok_or_else(|| {
        missing(format!(
            "no event with seq {seq} is stored; it may be past store.retention"
        ))
    })
}

fn network(text: &str) -> Option<IpNet> {
    let blocks = parse_allow(&[text.to_owned()]).ok()?;
    blocks.into_iter().next()
}

//! The JSON API under `/api/v1/`: what the inbox holds, and the things that can be set going.
//!
//! Every answer is JSON, a problem document, or the exact bytes of a body.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{StatusCode, Uri};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params::{Params, refused};
use super::status::{self, Numbers, RecoveryStatus, ReplicaStatus, SinkStatus};
use super::{Shared, changes, events, recovery, spilled, subjects, unreadable};
use crate::build;
use crate::event::{Outcome, Seq};
use crate::inbox::InboxError;
use crate::inbox::query::{Counts, DeliveryFilter, DeliveryRow, DeliveryState, EventRow, Page};
use crate::intake::problem::Problem;
use crate::metrics::PushOutcome;

/// `status`: the service at a glance.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The running version.
    pub version: String,
    /// When the admin listener was set up.
    pub started_at: Timestamp,
    /// The service's clock.
    pub now: Timestamp,
    /// Whether a push could be made durable now.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// Requests to the webhook path since the start, by outcome.
    pub pushes: BTreeMap<String, u64>,
    /// Events in the local spill, which the store has not got yet.
    pub spilled_events: u64,
    /// The sinks that are configured, or have a backlog, by name.
    pub sinks: Vec<SinkStatus>,
    /// Fetching from the sender's history.
    pub recovery: RecoveryStatus,
    /// This receiver, and those that share its store, by name.
    pub replicas: Vec<ReplicaStatus>,
    /// What the inbox holds. This and what follows is absent while the store does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox: Option<Counts>,
    /// Bytes the store takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_bytes: Option<u64>,
    /// Bytes left for it; absent also where nothing bounds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_free_bytes: Option<u64>,
    /// Bytes of the store's log that are not yet in its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_log_bytes: Option<u64>,
    /// The longest that writing stood still for the log since the start, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_stall_seconds: Option<f64>,
}

/// `events/{seq}`: an event with its way to every sink.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventDetail {
    /// The event, its fields beside `deliveries`.
    #[serde(flatten)]
    pub event: EventRow,
    /// One for each sink that wanted it, with the attempts kept.
    pub deliveries: Vec<DeliveryRow>,
}

/// `unreadable/{id}/offer`: what became of a push that was offered again; the shape of a push's own
/// answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reoffered {
    /// How it was judged.
    pub outcome: Outcome,
    /// The sender's id.
    pub event_id: Option<String>,
    /// Its position, or that of the first copy.
    pub seq: Option<Seq>,
    /// It stays in the box: the first copy has another body.
    #[serde(skip)]
    pub stays: bool,
    /// It is a command, which somebody will carry out.
    #[serde(skip)]
    pub command: bool,
}

/// `reload`: the configuration was re-read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reloaded {
    /// What was applied, and what waits for a restart.
    pub message: String,
}

pub(super) const OUTCOMES: [(&str, Outcome); 3] = [
    ("accepted", Outcome::Accepted),
    ("duplicate", Outcome::Duplicate),
    ("stale", Outcome::Stale),
];

pub(super) const STATES: [(&str, DeliveryState); 7] = [
    ("pending", DeliveryState::Pending),
    ("leased", DeliveryState::Leased),
    ("delivered", DeliveryState::Delivered),
    ("dead", DeliveryState::Dead),
    ("superseded", DeliveryState::Superseded),
    ("expired", DeliveryState::Expired),
    ("dropped", DeliveryState::Dropped),
];

pub(super) type Shown<T> = Result<Json<T>, Problem>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/status", get(status))
        .route("/deliveries", get(deliveries))
        .route("/replay", post(changes::replay))
        .route("/drop", post(changes::drop))
        .route("/recover", get(recovery::progress).post(recovery::begin))
        .merge(events::routes())
        .merge(spilled::routes())
        .merge(subjects::routes())
        .merge(unreadable::routes())
        .route("/reload", post(reload))
}

async fn status(State(shared): State<Arc<Shared>>, uri: Uri) -> Shown<Status> {
    Params::read(&uri, &[])?;
    let admin = &shared.admin;
    let numbers = Numbers::ask(admin).await.map_err(store_problem)?;
    let sinks = status::sinks(admin, numbers.as_ref());
    let recovery = status::recovery(admin, numbers.as_ref());
    let replicas = status::replicas(admin, numbers.as_ref());
    let (inbox, space) = numbers
        .map(|numbers| (numbers.counts, numbers.space))
        .unzip();
    let readiness = admin.health.readiness();
    let pushes = PushOutcome::ALL
        .map(|outcome| (outcome.to_string(), admin.metrics.pushed(outcome)))
        .into();
    Ok(Json(Status {
        version: build::VERSION.to_owned(),
        started_at: shared.started_at,
        now: admin.clock.now(),
        ready: readiness.ready,
        reason: readiness.reason,
        warnings: readiness.warnings,
        pushes,
        spilled_events: u64::try_from(admin.metrics.spilled_events.get()).unwrap_or_default(),
        sinks,
        recovery,
        replicas,
        inbox,
        store_bytes: space.map(|space| space.store),
        store_free_bytes: space.and_then(|space| space.free),
        store_log_bytes: space.map(|space| space.log),
        longest_stall_seconds: space.map(|space| space.longest_stall.as_secs_f64()),
    }))
}

async fn deliveries(State(shared): State<Arc<Shared>>, uri: Uri) -> Shown<Page<DeliveryRow>> {
    let allowed = [
        "cursor",
        "limit",
        "seq",
        "sink",
        "state",
        "subject",
        "event_id",
        "event_type",
        "since",
        "until",
    ];
    let params = Params::read(&uri, &allowed)?;
    let now = shared.admin.clock.now();
    let filter = DeliveryFilter {
        cursor: params.cursor()?,
        limit: params.limit()?,
        seq: params.parsed("seq", "a whole number")?.map(Seq),
        sink: params.text("sink"),
        state: params.word("state", &STATES)?,
        subject: params.subject()?,
        event_id: params.text("event_id"),
        event_type: params.text("event_type"),
        since: params.time("since", now)?,
        until: params.time("until", now)?,
        upto: None,
    };
    let page = shared.admin.inbox.deliveries(filter).await;
    Ok(Json(page.map_err(|error| list_problem(error, &params))?))
}

async fn reload(State(shared): State<Arc<Shared>>) -> Shown<Reloaded> {
    match shared.admin.hooks.reload().await {
        Ok(message) => Ok(Json(Reloaded { message })),
        Err(reason) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("the new configuration is refused and the old one stays in force: {reason}"),
        )),
    }
}

/// The exact bytes, to be saved rather than shown.
pub(super) fn download(name: &str, body: Bytes) -> Response {
    let disposition = format!("attachment; filename=\"{name}.json\"");
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, disposition),
    ];
    (headers, body).into_response()
}

pub(super) fn number(name: &str, text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_not_a_number| {
        refused(format!(
            "the {name} in the path cannot be {text:?}; allowed: a whole number"
        ))
    })
}

pub(super) fn missing(detail: String) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, detail)
}

/// What a list that the inbox refused deserves: with a cursor, it is the cursor that is wrong.
pub(super) fn list_problem(error: InboxError, params: &Params) -> Problem {
    match (error, params.text("cursor")) {
        (InboxError::Refused(reason), Some(cursor)) => refused(format!(
            "the parameter cursor cannot be {cursor:?} ({reason}); allowed: the next_cursor of the page before"
        )),
        (error, _) => store_problem(error),
    }
}

pub(super) fn store_problem(error: InboxError) -> Problem {
    let status = match error {
        InboxError::Refused(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, error.to_string())
}

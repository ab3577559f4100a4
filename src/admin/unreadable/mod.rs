//! `unreadable`: pushes that passed address and secret but could not be used; looked at, offered
//! again or dropped, one alone or, step by step, all that are selected.

mod step;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::step::BoxHand;
use self::step::{OFFER, one};
use super::Shared;
use super::api::{Reoffered, Shown, download, list_problem, missing, number, store_problem};
use super::body::Sent;
use super::params::{Named, Params, object};
use super::who::Who;
use crate::inbox::query::{Page, UnreadableFilter, UnreadableRow};
use crate::intake::problem::Problem;

/// What an unreadable push carries, as the configuration is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The sender's id.
    pub event_id: Option<String>,
    /// Whether it is a command, which somebody will carry out.
    pub command: bool,
}

/// Which unreadable pushes; all that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Select {
    /// Received at or after: a time, or how long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Received before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// From this client address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Whose reason holds this; the case of ASCII letters does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// To the URL that ends like this, written as in the list of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// What is to be offered again or dropped, and how: the body of a request.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BoxRequest {
    /// Which.
    pub select: Select,
    /// Says that all are meant, where nothing is selected.
    pub all: bool,
    /// Changes nothing, and says what would be changed.
    pub dry_run: bool,
    /// Why, for the audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Pushes looked at in this step, at most 500; 100 when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<usize>,
    /// None that came in after the one with this id; by default the newest at the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upto: Option<i64>,
    /// The `next_cursor` of the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What a step did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BoxStep {
    /// How many left the box, or would.
    pub changed: u64,
    /// How many stayed, by why: `unusable` (still), `differs` (a duplicate with a body of its own)
    /// and `gone`.
    pub skipped: BTreeMap<String, u64>,
    /// How many of those taken are commands, which somebody will carry out.
    pub commands: u64,
    /// What was looked at, one each.
    pub items: Vec<BoxItem>,
    /// None with a higher id is changed, in this step or those after it.
    pub upto: i64,
    /// Where the next step begins; absent after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One push of a step.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BoxItem {
    /// Its number.
    pub id: i64,
    /// The sender's id of what was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// `dropped`, `accepted`, `duplicate` or `stale`, in a dry run `readable`; else why it stayed.
    pub result: String,
    /// Why it still cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The body of a request to drop one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropRequest {
    /// Why, for the audit.
    pub reason: String,
}

/// `unreadable/{id}/drop`: it is gone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// Its number.
    pub id: i64,
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/unreadable", get(list))
        .route("/unreadable/offer", post(offer_all))
        .route("/unreadable/drop", post(drop_all))
        .route("/unreadable/{id}", get(unreadable))
        .route("/unreadable/{id}/body", get(body))
        .route("/unreadable/{id}/offer", post(offer))
        .route("/unreadable/{id}/drop", post(drop))
}

async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Shown<Page<UnreadableRow>> {
    let allowed = [
        "cursor", "limit", "since", "until", "source", "reason", "route",
    ];
    let params = Params::read(&uri, &allowed)?;
    let now = shared.admin.clock.now();
    let source: Option<IpAddr> = params.parsed("source", "an address such as 192.0.2.1")?;
    let filter = UnreadableFilter {
        cursor: params.parsed("cursor", "the next_cursor of the page before")?,
        limit: params.limit()?,
        oldest_first: false,
        upto: None,
        since: params.time("since", now)?,
        until: params.time("until", now)?,
        source: source.map(|ip| ip.to_canonical()),
        reason: params.text("reason"),
        route: params.route(),
    };
    let page = shared.admin.inbox.unreadables(filter).await;
    Ok(Json(page.map_err(|error| list_problem(error, &params))?))
}

async fn unreadable(State(shared): State<Arc<Shared>>, Named(id): Named) -> Shown<UnreadableRow> {
    let (row, _) = find(&shared, &id).await?;
    Ok(Json(row))
}

async fn body(State(shared): State<Arc<Shared>>, Named(id): Named) -> Result<Response, Problem> {
    let (row, body) = find(&shared, &id).await?;
    Ok(download(&format!("unreadable-{}", row.id), body))
}

async fn find(shared: &Shared, id: &str) -> Result<(UnreadableRow, Bytes), Problem> {
    let id = number("id", id)?;
    let found = shared.admin.inbox.unreadable(id).await;
    found.map_err(store_problem)?.ok_or_else(|| not_there(id))
}

fn not_there(id: i64) -> Problem {
    missing(format!("no unreadable push has the id {id}"))
}

async fn offer(
    State(shared): State<Arc<Shared>>,
    Who(who): Who,
    Named(id): Named,
) -> Shown<Reoffered> {
    let id = number("id", &id)?;
    let audit = one(OFFER, who, (id, String::new()));
    let mut offered = shared.admin.hooks.offer_unreadable(vec![id], audit).await?;
    match offered.pop() {
        Some(offered) => offered.map(Json),
        None => Err(not_there(id)),
    }
}

async fn drop(
    State(shared): State<Arc<Shared>>,
    Who(who): Who,
    Named(id): Named,
    Sent(body): Sent,
) -> Shown<Dropped> {
    let id = number("id", &id)?;
    let request: DropRequest = object(&body, "says why")?;
    match hand(&shared, who).drop_one(id, request).await? {
        true => Ok(Json(Dropped { id })),
        false => Err(not_there(id)),
    }
}

async fn offer_all(
    State(shared): State<Arc<Shared>>,
    Who(who): Who,
    Sent(body): Sent,
) -> Shown<BoxStep> {
    let request: BoxRequest = object(&body, "selects unreadable pushes")?;
    let hand = hand(&shared, who);
    let step = hand.offer(&request, &*shared.admin.hooks).await?;
    Ok(Json(step))
}

async fn drop_all(
    State(shared): State<Arc<Shared>>,
    Who(who): Who,
    Sent(body): Sent,
) -> Shown<BoxStep> {
    let request: BoxRequest = object(&body, "selects unreadable pushes")?;
    let step = hand(&shared, who).drop(&request).await?;
    Ok(Json(step))
}

fn hand(shared: &Shared, who: String) -> BoxHand<'_> {
    BoxHand {
        inbox: &*shared.admin.inbox,
        who,
        now: shared.admin.clock.now(),
    }
}

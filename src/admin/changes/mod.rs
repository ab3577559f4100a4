//! Changes by hand: deliveries replayed or given up, one bounded step a request.
//!
//! A step looks at the oldest of what is selected first, so that one subject's events keep their
//! order. It reaches no further than the newest event at the first step: what is replayed does not
//! run after what comes in meanwhile.

mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::step::Hand;
use super::Shared;
use super::body::Sent;
use super::params::object;
use super::who::Who;
use crate::event::Seq;
use crate::inbox::query::DeliveryState;
use crate::intake::problem::Problem;
use crate::metrics::{DeliveryOutcome, Metrics};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Deliver it again, or for the first time.
    Replay,
    /// Give it up.
    Drop,
}

impl Action {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Drop => "drop",
        }
    }
}

/// Which deliveries, and how: the body of a request. All that is given must match.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeRequest {
    /// To this sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DeliveryState>,
    /// Of events about this incident or alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Of the event with this id, on every route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Of events of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Of the event at this position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Of events received at or after: a time, or how long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Of events received before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Of events up to this position; by default the newest when the first step is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upto: Option<Seq>,
    /// Replays only: also makes deliveries for events that have none for the sink, where its filter
    /// wants them.
    pub create: bool,
    /// With `create`: also where the sink's filter does not want them.
    pub no_filter: bool,
    /// Changes nothing, and says what would be changed.
    pub dry_run: bool,
    /// Why, for the audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rows looked at in this step, at most 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<usize>,
    /// The `next_cursor` of the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What a step did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// How many were changed.
    pub changed: u64,
    /// How many were left alone, by why: `waiting`, `running`, `settled`, `gone`, `parked` (the
    /// sink is not configured) and `unwanted` (its filter does not want the event).
    pub skipped: BTreeMap<String, u64>,
    /// How many of those changed are commands, which somebody will carry out.
    pub commands: u64,
    /// What was looked at, one each, apart from what is unwanted.
    pub items: Vec<StepItem>,
    /// No event after this position is changed, in this step or those after it.
    pub upto: Seq,
    /// Where the next step begins; absent after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One delivery of a step.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields of `DeliveryRow`")]
pub struct StepItem {
    pub seq: Seq,
    pub sink: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    pub event_type: String,
    /// `replayed`, `created` or `dropped`; else why it was left alone.
    pub result: String,
}

pub(super) async fn replay(
    State(shared): State<Arc<Shared>>,
    Who(who): Who,
    Sent(body): Sent,
) -> Result<Json<Step>, Problem> {
    answer(&shared, who, Action::Replay, &body).await
}

pub(super) async fn drop(
    State(shared): State<Arc<Shared>>,
    Who(who): Who,
    Sent(body): Sent,
) -> Result<Json<Step>, Problem> {
    answer(&shared, who, Action::Drop, &body).await
}

async fn answer(
    shared: &Shared,
    who: String,
    action: Action,
    body: &[u8],
) -> Result<Json<Step>, Problem> {
    let request: ChangeRequest = object(body, "selects deliveries")?;
    let admin = &shared.admin;
    let hand = Hand {
        inbox: &*admin.inbox,
        target: &|name| admin.hooks.target(name),
        who,
        now: admin.clock.now(),
    };
    let step = hand.step(action, &request).await?;
    if step.changed > 0 && !request.dry_run {
        admin.hooks.changed();
        count(&admin.metrics, &step);
        tracing::info!(
            who = hand.who,
            changed = step.changed,
            "a person's {} of deliveries was carried out",
            action.as_str()
        );
    }
    Ok(Json(step))
}

fn count(metrics: &Metrics, step: &Step) {
    for item in &step.items {
        let outcome = match &*item.result {
            "replayed" | "created" => DeliveryOutcome::replayed,
            "dropped" => DeliveryOutcome::dropped,
            _ => continue,
        };
        metrics.sink(&Arc::from(&*item.sink)).count(outcome, 1);
    }
}

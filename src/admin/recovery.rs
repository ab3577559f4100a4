//! `recover`: a look into the sender's history, begun by a request and followed by others.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::params::{MOMENT, Sent, moment, object, unprocessable};
use crate::intake::problem::Problem;
use crate::recover::{Ask, Progress};

/// What is to be fetched: the body of a request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverRequest {
    /// Events from then on: a time, or how long ago.
    pub since: String,
    /// Stores nothing, and says what would be stored.
    #[serde(default)]
    pub dry_run: bool,
    /// Also looks at attempts that went well.
    #[serde(default)]
    pub all: bool,
}

pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    Sent(body): Sent,
) -> Result<Json<Progress>, Problem> {
    let request: RecoverRequest = object(&body, "says since when")?;
    let now = shared.admin.clock.now();
    let since = moment(&request.since, now).filter(|since| *since <= now);
    let since = since.ok_or_else(|| {
        unprocessable(format!(
            "since cannot be {:?}; allowed: {MOMENT}, and not in the future",
            request.since
        ))
    })?;
    let ask = Ask {
        since,
        dry_run: request.dry_run,
        all: request.all,
    };
    shared.admin.hooks.recover(ask).map(Json)
}

pub(super) async fn progress(State(shared): State<Arc<Shared>>) -> Json<Progress> {
    Json(shared.admin.hooks.recovered())
}

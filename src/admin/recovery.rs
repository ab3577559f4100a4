//! `recover`: a look into the sender's history, begun by a request and followed by others.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::audit::selected;
use super::body::Sent;
use super::params::{MOMENT, moment, object, unprocessable};
use super::who::Who;
use crate::inbox::Audit;
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
    Who(who): Who,
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
    let audit = audit(who, &ask);
    shared.admin.hooks.recover(ask, audit).map(Json)
}

/// What the audit says of what it brings in.
fn audit(who: String, ask: &Ask) -> Audit {
    Audit {
        who,
        action: "recover",
        selector: selected([
            ("since", Some(ask.since.to_string())),
            ("all", ask.all.then(|| "true".to_owned())),
        ]),
        reason: String::new(),
    }
}

pub(super) async fn progress(State(shared): State<Arc<Shared>>) -> Json<Progress> {
    Json(shared.admin.hooks.recovered())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_says_since_when_it_was_looked_and_whether_at_all_of_it() {
        let said = |all: bool| {
            let ask = Ask {
                since: "2026-05-04T10:00:00Z".parse().unwrap(),
                dry_run: false,
                all,
            };
            audit("token from 192.0.2.7".to_owned(), &ask).selector
        };
        assert_eq!(said(false), "since=2026-05-04T10:00:00Z");
        assert_eq!(said(true), "since=2026-05-04T10:00:00Z all=true");
    }
}

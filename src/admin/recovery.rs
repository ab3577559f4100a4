//! `recover`: a look into the sender's history, begun by a request and followed by others.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::params::{MOMENT, Sent, moment, refused};
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
    let request = read(&body)?;
    let now = shared.admin.clock.now();
    let since = moment(&request.since, now).filter(|since| *since <= now);
    let since = since.ok_or_else(|| {
        refused(format!(
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

fn read(body: &[u8]) -> Result<RecoverRequest, Problem> {
    // A list of values without names would be read as well, and mean anything.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the body is a list, and no JSON object that says since when".to_owned(),
        ));
    }
    serde_json::from_slice(body).map_err(|error| {
        refused(format!(
            "the body is no JSON object that says since when: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(body: &str) -> u16 {
        read(body.as_bytes()).map_or_else(|problem| problem.status.as_u16(), |_since| 200)
    }

    #[test]
    fn only_an_object_says_what_is_to_be_fetched() {
        for (body, wanted) in [
            (r#"{"since":"2h"}"#, 200),
            (" {\"since\":\"2h\",\"all\":true}\n", 200),
            (r#"["2h",true,false]"#, 422),
            ("\n [\"2h\"]", 422),
            (r#"{"since":"2h","dryrun":true}"#, 400),
            (r#""2h""#, 400),
            ("", 400),
        ] {
            assert_eq!(status(body), wanted, "{body}");
        }
    }
}

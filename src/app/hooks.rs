//! What the admin API can set going.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;

use super::Live;
use crate::admin::AdminHooks;
use crate::admin::api::Reoffered;
use crate::clock::Clock;
use crate::event::{Origin, Route};
use crate::inbox::query::UnreadableRow;
use crate::inbox::{Committer, Inbox, InboxError, Offer};
use crate::intake::Arrival;
use crate::intake::problem::Problem;
use crate::lifecycle::Lifecycle;
use crate::recover::{Ask, NotBegun, Progress, Recovery};
use crate::routing::Target;

pub(super) struct Hooks {
    pub(super) live: Arc<Live>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) committer: Committer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) recovery: Arc<Recovery>,
    pub(super) lifecycle: Lifecycle,
}

#[async_trait]
impl AdminHooks for Hooks {
    async fn reload(&self) -> Result<String, String> {
        self.live.reload().await
    }

    async fn offer_unreadable(&self, id: i64) -> Result<Reoffered, Problem> {
        let found = self
            .inbox
            .unreadable(id)
            .await
            .map_err(|error| unavailable(&error))?;
        let Some((row, body)) = found else {
            let detail = format!("no unreadable push has the id {id}");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let offer = self.offer_of(row, body)?;
        let event_id = offer.event.event_id.as_ref().map(ToString::to_string);
        let offered = self.committer.offer(offer).await;
        let offered = match offered {
            Ok(Ok(offered)) => offered,
            Ok(Err(refusal)) => {
                return Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    refusal.to_string(),
                ));
            }
            Err(_) => return Err(unavailable(&InboxError::Closed)),
        };
        // A duplicate that differs is not in the store: the box has the only copy of its body.
        if !offered.differs {
            self.inbox
                .drop_unreadable(id)
                .await
                .map_err(|error| unavailable(&error))?;
        }
        tracing::info!(
            unreadable = id,
            seq = offered.seq.0,
            outcome = offered.outcome.as_str(),
            "an unreadable push was offered again"
        );
        Ok(Reoffered {
            outcome: offered.outcome,
            event_id,
            seq: Some(offered.seq),
        })
    }

    fn recover(&self, ask: Ask) -> Result<Progress, Problem> {
        self.recovery
            .begin(ask, &self.lifecycle)
            .map_err(|refused| {
                let status = match refused {
                    NotBegun::Busy => StatusCode::CONFLICT,
                    NotBegun::Off => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Problem::new(status, refused.to_string())
            })
    }

    fn recovered(&self) -> Progress {
        self.recovery.by_hand()
    }

    fn target(&self, name: &str) -> Option<Target> {
        self.live.rules().load().routing.target(name).cloned()
    }

    fn changed(&self) {
        self.committer.changed();
    }
}

impl Hooks {
    fn offer_of(&self, row: UnreadableRow, body: bytes::Bytes) -> Result<Offer, Problem> {
        let rules = self.live.rules().load_full();
        let envelope = rules.envelope.read(&body).map_err(|error| {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("it still cannot be used: {error}"),
            )
        })?;
        let arrival = Arrival {
            route: Route {
                tag: row.tag.map(Into::into),
                query: row.query.map(Into::into),
            },
            source_ip: row.source_ip,
            peer_ip: row.peer_ip,
            received_at: row.received_at,
            origin: Origin::Replay,
            trace_parent: None,
            body,
        };
        Ok(rules.offer(envelope, arrival, self.clock.now()))
    }
}

fn unavailable(error: &InboxError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

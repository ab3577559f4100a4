//! What the admin API can set going.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use jiff::Timestamp;

use super::presence::Presence;
use super::{Live, spill};
use crate::admin::AdminHooks;
use crate::admin::api::Reoffered;
use crate::admin::spilled::SpillShown;
use crate::admin::unreadable::Carried;
use crate::aside::aside;
use crate::clock::Clock;
use crate::event::{Event, Id, Origin, Route};
use crate::inbox::query::UnreadableRow;
use crate::inbox::spill::{Drained, SpillOptions, Spilled};
use crate::inbox::{
    Audit, Committer, Inbox, InboxError, Offer, Rate, Refusal, Replica, Unreadable,
};
use crate::intake::problem::Problem;
use crate::intake::{Arrival, Rules};
use crate::lifecycle::Lifecycle;
use crate::recover::{Ask, LastRun, NotBegun, Progress, Recovery};
use crate::routing::Target;
use crate::trace::Tracer;

pub(super) struct Hooks {
    pub(super) live: Arc<Live>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) spill: Option<SpillOptions>,
    pub(super) committer: Committer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) recovery: Arc<Recovery>,
    pub(super) presence: Arc<Presence>,
    pub(super) tracer: Tracer,
    pub(super) lifecycle: Lifecycle,
}

#[async_trait]
impl AdminHooks for Hooks {
    async fn reload(&self) -> Result<String, String> {
        self.live.reload().await
    }

    async fn offer_unreadable(
        &self,
        ids: Vec<i64>,
        audit: Audit,
    ) -> Result<Vec<Result<Reoffered, Problem>>, Problem> {
        let mut offered = Vec::with_capacity(ids.len());
        let mut taken = Vec::new();
        for id in ids {
            let one = self.offer_one(id).await;
            if one.as_ref().is_ok_and(|one| !one.stays) {
                taken.push(id);
            }
            // What is wrong with the store stays wrong for the others.
            let is_over = one
                .as_ref()
                .is_err_and(|problem| problem.status.is_server_error());
            offered.push(one);
            if is_over {
                break;
            }
        }
        if !taken.is_empty() {
            let gone = self.inbox.remove_unreadable(taken, audit, self.clock.now());
            gone.await.map_err(|error| unavailable(&error))?;
        }
        Ok(offered)
    }

    async fn read_unreadable(&self, id: i64) -> Result<Carried, Problem> {
        let (row, body) = self.unreadable(id).await?;
        let event = self.offer_of(row, body).await?.event;
        Ok(Carried {
            event_id: event.event_id.as_ref().map(ToString::to_string),
            command: event.command,
        })
    }

    async fn offer_spilled(
        &self,
        events: Vec<Spilled>,
        unreadable: Vec<Unreadable>,
    ) -> Result<Drained, Problem> {
        let bytes: u64 = events.iter().map(|row| row.event.body.len() as u64).sum();
        let live = Arc::clone(&self.live);
        let (events, offers) = aside(bytes, move || {
            let route = |event: &Event| spill::wanted(&live, event);
            let offers = events.iter().map(|row| row.offer(route(&row.event)));
            let offers: Vec<Offer> = offers.collect();
            (events, offers)
        })
        .await;
        let offered: Vec<_> = offers
            .into_iter()
            .map(|offer| self.committer.offer(offer))
            .collect();
        let mut drained = Drained {
            unreadable: unreadable.len() as u64,
            ..Drained::default()
        };
        let mut unusable = unreadable;
        for (row, offered) in events.iter().zip(offered) {
            match offered.await {
                Ok(Ok(taken)) => unusable.extend(drained.count(row, &taken)),
                Ok(Err(Refusal::Event(reason))) => unusable.push(drained.refuse(row, &reason)),
                Ok(Err(refusal)) => {
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return Err(Problem::new(status, refusal.to_string()));
                }
                Err(_) => return Err(unavailable(&InboxError::Closed)),
            }
        }
        if !unusable.is_empty() {
            let bounds = self.live.rules().load().unreadable;
            let kept = self.inbox.keep_unreadable(unusable, bounds).await;
            kept.map_err(|error| unavailable(&error))?;
        }
        Ok(drained)
    }

    async fn spilled(&self, event_id: Option<String>) -> Result<SpillShown, Problem> {
        let Some(SpillOptions { spill, .. }) = &self.spill else {
            return Ok(SpillShown::default());
        };
        let looked = spill.look(event_id.as_deref().map(Id::new)).await;
        let (contents, found) = looked.map_err(|error| unavailable(&error))?;
        Ok(SpillShown { contents, found })
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

    fn last_recovery(&self) -> Option<LastRun> {
        self.recovery.last_run()
    }

    fn sinks(&self) -> BTreeMap<String, Arc<[Rate]>> {
        let settings = self.live.settings();
        let enabled = settings.sinks.iter().filter(|(_, sink)| sink.is_enabled());
        let rates = enabled.map(|(name, sink)| (name.clone(), Arc::clone(&sink.delivery.rate)));
        rates.collect()
    }

    fn replica(&self) -> Replica {
        self.presence.replica(self.clock.now())
    }

    fn target(&self, name: &str) -> Option<Target> {
        self.live.rules().load().routing.target(name).cloned()
    }

    fn changed(&self) {
        self.committer.changed();
    }
}

impl Hooks {
    /// Offers one again, and leaves it in the box.
    async fn offer_one(&self, id: i64) -> Result<Reoffered, Problem> {
        let (row, body) = self.unreadable(id).await?;
        let mut offer = self.offer_of(row, body).await?;
        let (trace, began) = (self.tracer.adopt(&mut offer.event), self.clock.now());
        let event = Arc::clone(&offer.event);
        let event_id = offer.event.event_id.as_ref().map(ToString::to_string);
        let command = offer.event.command;
        let offered = match self.committer.offer(offer).await {
            Ok(Ok(offered)) => offered,
            Ok(Err(refusal)) => {
                let status = match refusal {
                    Refusal::Event(_) => StatusCode::UNPROCESSABLE_ENTITY,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                return Err(Problem::new(status, refusal.to_string()));
            }
            Err(_) => return Err(unavailable(&InboxError::Closed)),
        };
        if let Some(context) = trace {
            let times = (began, self.clock.now());
            let what = (&*event, offered.seq(), offered.outcome());
            self.tracer.came_in(context, "offer", what, times);
        }
        tracing::info!(
            unreadable = id,
            seq = offered.seq().map(|seq| seq.0),
            outcome = offered.outcome().as_str(),
            trace_id = event.trace_id(),
            "an unreadable push was offered again"
        );
        Ok(Reoffered {
            outcome: offered.outcome(),
            event_id,
            seq: offered.seq(),
            // A duplicate that differs is not in the store: the box has the only copy of its body.
            stays: offered.differs(),
            command,
        })
    }

    async fn unreadable(&self, id: i64) -> Result<(UnreadableRow, bytes::Bytes), Problem> {
        let found = self.inbox.unreadable(id).await;
        found.map_err(|error| unavailable(&error))?.ok_or_else(|| {
            let detail = format!("no unreadable push has the id {id}");
            Problem::new(StatusCode::NOT_FOUND, detail)
        })
    }

    async fn offer_of(&self, row: UnreadableRow, body: bytes::Bytes) -> Result<Offer, Problem> {
        let rules = self.live.rules().load_full();
        let now = self.clock.now();
        let bytes = body.len() as u64;
        aside(bytes, move || offer_of(&rules, row, body, now)).await
    }
}

/// What is offered for a push out of the box, as the rules are now.
fn offer_of(
    rules: &Rules,
    row: UnreadableRow,
    body: bytes::Bytes,
    now: Timestamp,
) -> Result<Offer, Problem> {
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
    Ok(rules.offer(envelope, arrival, now))
}

fn unavailable(error: &InboxError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

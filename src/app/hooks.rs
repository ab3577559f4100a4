//! What the admin API can set going.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;

use super::presence::Presence;
use super::reoffer::Reoffer;
use super::takeover::Takeover;
use super::{Live, spill};
use crate::admin::AdminHooks;
use crate::admin::api::Reoffered;
use crate::admin::spilled::SpillShown;
use crate::admin::unreadable::Carried;
use crate::clock::Clock;
use crate::event::Id;
use crate::inbox::spill::{Drained, SpillOptions, Spilled};
use crate::inbox::{Audit, Committer, Inbox, InboxError, Rate, Replica, Unreadable};
use crate::intake::problem::Problem;
use crate::lifecycle::Lifecycle;
use crate::recover::{Ask, LastRun, NotBegun, Progress, Recovery};
use crate::routing::Target;

pub(super) struct Hooks {
    pub(super) live: Arc<Live>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) spill: Option<SpillOptions>,
    pub(super) committer: Committer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) recovery: Arc<Recovery>,
    pub(super) presence: Arc<Presence>,
    pub(super) reoffer: Reoffer,
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
        self.reoffer.offer(ids, audit).await
    }

    async fn read_unreadable(&self, id: i64) -> Result<Carried, Problem> {
        self.reoffer.read(id).await
    }

    async fn offer_spilled(
        &self,
        events: Vec<Spilled>,
        unreadable: Vec<Unreadable>,
        audit: Audit,
    ) -> Result<Drained, Problem> {
        let live = Arc::clone(&self.live);
        let takeover = Takeover {
            inbox: Arc::clone(&self.inbox),
            committer: self.committer.clone(),
            clock: Arc::clone(&self.clock),
            bounds: live.rules().load().unreadable,
            wanted: Arc::new(move |event| spill::wanted(&live, event)),
        };
        let taking = takeover.take(events, unreadable, audit);
        self.lifecycle.see_through(taking).await
    }

    async fn spilled(&self, event_id: Option<String>) -> Result<SpillShown, Problem> {
        let Some(SpillOptions { spill, .. }) = &self.spill else {
            return Ok(SpillShown::default());
        };
        let looked = spill.look(event_id.as_deref().map(Id::new)).await;
        let (contents, found) = looked.map_err(|error| unavailable(&error))?;
        Ok(SpillShown { contents, found })
    }

    fn recover(&self, ask: Ask, audit: Audit) -> Result<Progress, Problem> {
        self.recovery
            .begin(ask, audit, &self.lifecycle)
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

pub(super) fn unavailable(error: &InboxError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

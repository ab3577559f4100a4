//! What the commands read from: a running receiver, or the store itself when nothing runs.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;

use super::api::{Api, Query, Unopened};
use super::request::Answer;
use crate::admin::api::{EventDetail, Reoffered};
use crate::admin::changes::{Action, ChangeRequest, Hand, Step};
use crate::admin::recovery::RecoverRequest;
use crate::admin::spilled::SpillShown;
use crate::admin::unreadable::{BoxHand, BoxRequest, BoxStep, DropRequest, Dropped};
use crate::clock::{Clock as _, SystemClock};
use crate::event::{Outcome, Route, Seq};
use crate::inbox::Inbox;
use crate::inbox::headline::headline;
use crate::inbox::query::{
    DeliveryFilter, DeliveryRow, DeliveryState, EventFilter, EventRow, Page, UnreadableFilter,
    UnreadableRow,
};
use crate::inbox::search::{self, Needle, Searched, Sift};
use crate::recover::Progress;
use crate::routing::Routing;

const RECOVER: &str = "/api/v1/recover";

/// Who changes a store that no receiver holds, for the audit.
pub const COMMAND_LINE: &str = "the command line";

/// The most rows the API gives at once.
pub const PAGE: usize = 500;

/// How the box of unreadable pushes is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptying {
    /// Into the inbox.
    Offer,
    /// For good.
    Drop,
}

/// The way to the inbox.
pub enum Reader {
    /// Through the admin API.
    Api(Api),
    /// Directly, while this process holds the store's lock.
    Store(Arc<dyn Inbox>, Routing),
}

impl Reader {
    /// The newest `limit` events that match.
    pub async fn events(&self, filter: EventFilter, limit: usize) -> anyhow::Result<Vec<EventRow>> {
        let mut sift = Sift::new(filter, None, None);
        let mut rows = Vec::new();
        while rows.len() < limit {
            sift.filter.limit = (limit - rows.len()).min(PAGE);
            let page = self.page(&sift).await?.page;
            rows.extend(page.items);
            match page.next_cursor {
                None => break,
                cursor => sift.filter.cursor = cursor,
            }
        }
        Ok(rows)
    }

    /// One page of the events that match; of a search, as far as it came.
    pub async fn page(&self, sift: &Sift) -> anyhow::Result<Searched> {
        match self {
            Self::Api(api) => found(api.get(events_query(sift).as_str()).await?),
            Self::Store(inbox, _) => Ok(search::page(&**inbox, sift.clone()).await?),
        }
    }

    /// Follows the events that match, behind the one at `last`, or from its beginning on.
    ///
    /// # Errors
    /// Also when no receiver runs: nothing comes in where nobody takes it.
    pub async fn follow(
        &self,
        filter: &EventFilter,
        last: Option<Seq>,
    ) -> Result<Answer, Unopened> {
        match self {
            Self::Api(api) => api.open(stream_query(filter).as_str(), last).await,
            Self::Store(..) => Err(Unopened::Refused(anyhow!("no receiver runs"))),
        }
    }

    /// One event and its deliveries.
    pub async fn event(&self, seq: Seq) -> anyhow::Result<Option<EventDetail>> {
        match self {
            Self::Api(api) => api.get(&format!("/api/v1/events/{seq}")).await,
            Self::Store(inbox, _) => {
                let Some((mut event, body)) = inbox.event(seq).await? else {
                    return Ok(None);
                };
                headline(&mut event, &body);
                let filter = DeliveryFilter {
                    seq: Some(seq),
                    limit: PAGE,
                    ..DeliveryFilter::default()
                };
                let deliveries = inbox.deliveries(filter).await?.items;
                Ok(Some(EventDetail { event, deliveries }))
            }
        }
    }

    /// One event's bytes.
    pub async fn event_body(&self, seq: Seq) -> anyhow::Result<Option<Bytes>> {
        match self {
            Self::Api(api) => api.bytes(&format!("/api/v1/events/{seq}/body")).await,
            Self::Store(inbox, _) => Ok(inbox.event(seq).await?.map(|(_, body)| body)),
        }
    }

    /// What the receiver's own spill holds, and its events with this id; nothing when none runs.
    pub async fn spilled(&self, event_id: &str) -> anyhow::Result<SpillShown> {
        match self {
            Self::Api(api) => {
                let query = Query::new("/api/v1/spilled").with("event_id", Some(event_id));
                found(api.get(query.as_str()).await?)
            }
            Self::Store(..) => Ok(SpillShown::default()),
        }
    }

    /// The newest `limit` deliveries that match.
    pub async fn deliveries(
        &self,
        mut filter: DeliveryFilter,
        limit: usize,
    ) -> anyhow::Result<Vec<DeliveryRow>> {
        let mut rows = Vec::new();
        while rows.len() < limit {
            filter.limit = (limit - rows.len()).min(PAGE);
            let page = match self {
                Self::Api(api) => found(api.get(deliveries_query(&filter).as_str()).await?)?,
                Self::Store(inbox, _) => inbox.deliveries(filter.clone()).await?,
            };
            rows.extend(page.items);
            match page.next_cursor {
                None => break,
                cursor => filter.cursor = cursor,
            }
        }
        Ok(rows)
    }

    /// The newest `limit` unreadable pushes that match.
    pub async fn unreadables(
        &self,
        mut filter: UnreadableFilter,
        limit: usize,
    ) -> anyhow::Result<Vec<UnreadableRow>> {
        let mut rows = Vec::new();
        while rows.len() < limit {
            filter.limit = (limit - rows.len()).min(PAGE);
            let page: Page<UnreadableRow> = match self {
                Self::Api(api) => found(api.get(unreadables_query(&filter).as_str()).await?)?,
                Self::Store(inbox, _) => inbox.unreadables(filter.clone()).await?,
            };
            rows.extend(page.items);
            let Some(next) = page.next_cursor else { break };
            filter.cursor = Some(next.parse().context("read the list's own cursor")?);
        }
        Ok(rows)
    }

    /// One unreadable push.
    pub async fn unreadable(&self, id: i64) -> anyhow::Result<Option<UnreadableRow>> {
        match self {
            Self::Api(api) => api.get(&format!("/api/v1/unreadable/{id}")).await,
            Self::Store(inbox, _) => Ok(inbox.unreadable(id).await?.map(|(row, _)| row)),
        }
    }

    /// One unreadable push's bytes.
    pub async fn unreadable_body(&self, id: i64) -> anyhow::Result<Option<Bytes>> {
        match self {
            Self::Api(api) => api.bytes(&format!("/api/v1/unreadable/{id}/body")).await,
            Self::Store(inbox, _) => Ok(inbox.unreadable(id).await?.map(|(_, body)| body)),
        }
    }

    /// Offers an unreadable push to the inbox again.
    ///
    /// # Errors
    /// Also when no receiver runs: judging and routing a push is the receiver's business.
    pub async fn offer(&self, id: i64) -> anyhow::Result<Option<Reoffered>> {
        match self {
            Self::Api(api) => api.post(&format!("/api/v1/unreadable/{id}/offer")).await,
            Self::Store(..) => bail!("no receiver runs; start it, then offer the push again"),
        }
    }

    /// Drops an unreadable push for good; false when there was none.
    pub async fn drop_unreadable(&self, id: i64, reason: String) -> anyhow::Result<bool> {
        match self {
            Self::Api(api) => {
                let path = format!("/api/v1/unreadable/{id}/drop");
                let dropped: Option<Dropped> =
                    api.post_json(&path, &DropRequest { reason }).await?;
                Ok(dropped.is_some())
            }
            Self::Store(inbox, _) => {
                let hand = BoxHand {
                    inbox: &**inbox,
                    who: COMMAND_LINE.to_owned(),
                    now: SystemClock.now(),
                };
                let gone = hand.drop_one(id, DropRequest { reason }).await;
                gone.map_err(|problem| anyhow!("{}", problem.detail))
            }
        }
    }

    /// Takes one step of emptying the box of unreadable pushes.
    ///
    /// # Errors
    /// As [`Reader::offer`].
    pub async fn empty(&self, what: Emptying, request: &BoxRequest) -> anyhow::Result<BoxStep> {
        match (self, what) {
            (Self::Api(api), Emptying::Offer) => {
                found(api.post_json("/api/v1/unreadable/offer", request).await?)
            }
            (Self::Api(api), Emptying::Drop) => {
                found(api.post_json("/api/v1/unreadable/drop", request).await?)
            }
            (Self::Store(..), Emptying::Offer) => {
                bail!("no receiver runs; start it, then offer the pushes again")
            }
            (Self::Store(inbox, _), Emptying::Drop) => {
                let hand = BoxHand {
                    inbox: &**inbox,
                    who: COMMAND_LINE.to_owned(),
                    now: SystemClock.now(),
                };
                let step = hand.drop(request).await;
                step.map_err(|problem| anyhow!("{}", problem.detail))
            }
        }
    }

    /// Takes one step of a change by hand.
    pub async fn change(&self, action: Action, request: &ChangeRequest) -> anyhow::Result<Step> {
        match self {
            Self::Api(api) => {
                let path = format!("/api/v1/{}", action.as_str());
                found(api.post_json(&path, request).await?)
            }
            Self::Store(inbox, routing) => {
                let hand = Hand {
                    inbox: &**inbox,
                    target: &|name| routing.target(name).cloned(),
                    who: COMMAND_LINE.to_owned(),
                    now: SystemClock.now(),
                };
                let step = hand.step(action, request).await;
                step.map_err(|problem| anyhow!("{}", problem.detail))
            }
        }
    }

    /// Has the receiver look into the sender's history.
    ///
    /// # Errors
    /// Also when no receiver runs: what is found is for its sinks.
    pub async fn recover(&self, request: &RecoverRequest) -> anyhow::Result<Progress> {
        match self {
            Self::Api(api) => found(api.post_json(RECOVER, request).await?),
            Self::Store(..) => bail!("no receiver runs; start it, then have it recover"),
        }
    }

    /// How that goes, or went.
    pub async fn recovered(&self) -> anyhow::Result<Progress> {
        match self {
            Self::Api(api) => found(api.get(RECOVER).await?),
            Self::Store(..) => bail!("no receiver runs"),
        }
    }

    /// Lets go of the store, when it was opened.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Self::Store(inbox, _) = self {
            inbox.close().await?;
        }
        Ok(())
    }
}

fn events_query(sift: &Sift) -> Query {
    let filter = &sift.filter;
    Query::new("/api/v1/events")
        .with("cursor", filter.cursor.as_ref())
        .with("limit", Some(filter.limit))
        .with("event_id", filter.event_id.as_ref())
        .with("event_type", filter.event_type.as_ref())
        .with("subject", filter.subject.as_ref())
        .with("outcome", filter.outcome.map(Outcome::as_str))
        .with("route", filter.route.as_ref().map(route_end))
        .with("since", filter.since)
        .with("until", filter.until)
        .with("text", sift.text.as_ref().map(Needle::as_str))
        .with("source", sift.source)
}

fn stream_query(filter: &EventFilter) -> Query {
    Query::new("/api/v1/stream")
        .with("event_id", filter.event_id.as_ref())
        .with("event_type", filter.event_type.as_ref())
        .with("subject", filter.subject.as_ref())
        .with("outcome", filter.outcome.map(Outcome::as_str))
        .with("route", filter.route.as_ref().map(route_end))
        .with("since", filter.since)
}

fn unreadables_query(filter: &UnreadableFilter) -> Query {
    Query::new("/api/v1/unreadable")
        .with("cursor", filter.cursor)
        .with("limit", Some(filter.limit))
        .with("since", filter.since)
        .with("until", filter.until)
        .with("source", filter.source)
        .with("reason", filter.reason.as_ref())
        .with("route", filter.route.as_ref().map(route_end))
}

fn deliveries_query(filter: &DeliveryFilter) -> Query {
    Query::new("/api/v1/deliveries")
        .with("cursor", filter.cursor.as_ref())
        .with("limit", Some(filter.limit))
        .with("seq", filter.seq)
        .with("sink", filter.sink.as_ref())
        .with("state", filter.state.map(state_word))
        .with("subject", filter.subject.as_ref())
        .with("event_id", filter.event_id.as_ref())
        .with("event_type", filter.event_type.as_ref())
        .with("since", filter.since)
        .with("until", filter.until)
}

/// A route as the end of its URL: `tag?query`, either half left out when there is none.
pub(super) fn route_end(route: &Route) -> String {
    let mut text = route.tag.as_deref().unwrap_or_default().to_owned();
    if let Some(query) = &route.query {
        text.push('?');
        text.push_str(query);
    }
    text
}

/// The word for a delivery's state.
pub fn state_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Leased => "leased",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
        DeliveryState::Superseded => "superseded",
        DeliveryState::Expired => "expired",
        DeliveryState::Dropped => "dropped",
    }
}

/// A list is always there; a 404 in its place comes from something else.
pub(super) fn found<T>(page: Option<T>) -> anyhow::Result<T> {
    page.context("this is not the admin listener of a receiver: it knows no /api/v1")
}

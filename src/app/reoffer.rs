//! Pushes out of the box of unreadable ones, offered again by a person.
//!
//! What is taken leaves the box only afterwards, so it may be offered once more: each entry has one
//! key, whatever it carries. And what was begun goes on when whoever asked for it goes away.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;

use super::hooks::unavailable;
use crate::admin::api::Reoffered;
use crate::admin::unreadable::Carried;
use crate::aside::aside;
use crate::clock::Clock;
use crate::envelope::entry_key;
use crate::event::{Origin, Route};
use crate::inbox::query::UnreadableRow;
use crate::inbox::{Audit, Committer, Inbox, InboxError, Offer, Refusal};
use crate::intake::problem::Problem;
use crate::intake::{Arrival, Rules};
use crate::lifecycle::Lifecycle;
use crate::trace::Tracer;

/// What became of each, in order.
type AllReoffered = Vec<Result<Reoffered, Problem>>;

/// What offers them, by the rules in force.
#[derive(Clone)]
pub(super) struct Reoffer {
    pub(super) rules: Arc<ArcSwap<Rules>>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) committer: Committer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tracer: Tracer,
    pub(super) lifecycle: Lifecycle,
}

impl Reoffer {
    /// Offers the entries with these ids, and takes out of the box what was taken.
    pub(super) async fn offer(&self, ids: Vec<i64>, audit: Audit) -> Result<AllReoffered, Problem> {
        let own = self.clone();
        let offering = async move { own.offer_all(ids, audit).await };
        self.lifecycle.see_through(offering).await
    }

    /// What an entry carries.
    pub(super) async fn read(&self, id: i64) -> Result<Carried, Problem> {
        let (row, body) = self.entry(id).await?;
        let event = self.offer_of(row, body).await?.event;
        Ok(Carried {
            event_id: event.event_id.as_ref().map(ToString::to_string),
            command: event.command,
        })
    }

    async fn offer_all(&self, ids: Vec<i64>, audit: Audit) -> Result<AllReoffered, Problem> {
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
            let (line, count) = (audit.clone(), taken.len());
            let gone = self.inbox.remove_unreadable(taken, audit, self.clock.now());
            if let Err(error) = gone.await {
                self.note(line, count).await;
                return Err(unavailable(&error));
            }
        }
        Ok(offered)
    }

    /// Says in the audit who had taken what could not leave the box, which would have said it.
    async fn note(&self, audit: Audit, count: usize) {
        let who = audit.who.clone();
        if let Err(error) = self.inbox.note(audit, count, self.clock.now()).await {
            tracing::warn!(
                who,
                count,
                "the audit does not say that unreadable pushes were taken: {error}"
            );
        }
    }

    /// Offers one again, and leaves it in the box.
    async fn offer_one(&self, id: i64) -> Result<Reoffered, Problem> {
        let (row, body) = self.entry(id).await?;
        let mut offer = self.offer_of(row, body).await?;
        let (trace, began) = (self.tracer.adopt(&mut offer.event), self.clock.now());
        let event = Arc::clone(&offer.event);
        let event_id = event.event_id.as_ref().map(ToString::to_string);
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
            command: event.command,
        })
    }

    async fn entry(&self, id: i64) -> Result<(UnreadableRow, Bytes), Problem> {
        let found = self.inbox.unreadable(id).await;
        found.map_err(|error| unavailable(&error))?.ok_or_else(|| {
            let detail = format!("no unreadable push has the id {id}");
            Problem::new(StatusCode::NOT_FOUND, detail)
        })
    }

    async fn offer_of(&self, row: UnreadableRow, body: Bytes) -> Result<Offer, Problem> {
        let rules = self.rules.load_full();
        let now = self.clock.now();
        let bytes = body.len() as u64;
        aside(bytes, move || offer_of(&rules, row, body, now)).await
    }
}

/// What is offered for an entry, as the rules are now.
fn offer_of(
    rules: &Rules,
    row: UnreadableRow,
    body: Bytes,
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
    let mut offer = rules.offer(envelope, arrival, now);
    let own = || entry_key(row.id, &offer.event);
    offer.key = Some(offer.key.unwrap_or_else(own));
    Ok(offer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::wiring;
    use crate::clock::SystemClock;
    use crate::config::{self, ConfigSource};
    use crate::event::Outcome;
    use crate::inbox::faulty::FaultyInbox;
    use crate::inbox::query::{AuditFilter, EventFilter, UnreadableFilter};
    use crate::inbox::sqlite::SqliteInbox;
    use crate::inbox::{CommitterOptions, Unreadable, UnreadableBounds};
    use crate::metrics::Metrics;
    use crate::routing::Routing;

    struct Scene {
        inbox: Arc<FaultyInbox<SqliteInbox>>,
        reoffer: Reoffer,
    }

    impl Scene {
        /// A box with so many pushes that nothing tells apart, numbered from one.
        async fn with(count: usize) -> Self {
            let inbox = Arc::new(FaultyInbox::new(SqliteInbox::in_memory()));
            let push = Unreadable {
                received_at: Timestamp::UNIX_EPOCH,
                reason: "no JSON".to_owned(),
                route: Route::default(),
                source_ip: None,
                peer_ip: None,
                body: Bytes::from_static(br#"{"event_type":"i_new"}"#),
            };
            let bounds = UnreadableBounds {
                count,
                bytes: 1 << 20,
            };
            let kept = inbox.keep_unreadable(vec![push; count], bounds).await;
            kept.unwrap();
            let reoffer = reoffer(Arc::clone(&inbox) as Arc<dyn Inbox>);
            Self { inbox, reoffer }
        }

        async fn offer(&self, ids: Vec<i64>) -> Result<Vec<Outcome>, StatusCode> {
            let audit = Audit {
                who: "somebody".to_owned(),
                action: "offer_unreadable",
                selector: "all".to_owned(),
                reason: String::new(),
            };
            let offered = self.reoffer.offer(ids, audit).await;
            let offered = offered.map_err(|problem| problem.status)?;
            let outcomes = offered.into_iter().map(|one| one.unwrap().outcome);
            Ok(outcomes.collect())
        }

        async fn in_box(&self) -> usize {
            let page = self.inbox.unreadables(UnreadableFilter::newest(10)).await;
            page.unwrap().items.len()
        }

        /// How many pushes each line of the audit speaks of.
        async fn audited(&self) -> Vec<u64> {
            let page = self.inbox.audited(AuditFilter::newest(10)).await;
            page.unwrap().items.iter().map(|line| line.count).collect()
        }

        async fn stored(&self) -> usize {
            let all = EventFilter {
                limit: 10,
                ..EventFilter::default()
            };
            self.inbox.events(all).await.unwrap().items.len()
        }
    }

    fn reoffer(inbox: Arc<dyn Inbox>) -> Reoffer {
        let folder = tempfile::tempdir().unwrap();
        let source = ConfigSource {
            directory: folder.path().to_owned(),
            ..ConfigSource::default()
        };
        let loaded = config::load(&source).unwrap();
        let rules = wiring::rules(&loaded, Routing::new(Vec::new())).unwrap();
        let (metrics, lifecycle) = (Metrics::new(), Lifecycle::default());
        let (committer, committing) = Committer::new(CommitterOptions {
            inbox: Arc::clone(&inbox),
            clock: Arc::new(SystemClock),
            metrics: Arc::clone(&metrics),
            spill: None,
        });
        let _committing = lifecycle.spawn_vital_last("the group commit", committing);
        let (tracer, _exporter) = Tracer::new(&metrics.spans);
        Reoffer {
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            inbox,
            committer,
            clock: Arc::new(SystemClock),
            tracer,
            lifecycle,
        }
    }

    #[tokio::test]
    async fn a_push_that_was_taken_and_could_not_leave_the_box_is_not_taken_twice() {
        let scene = Scene::with(2).await;
        scene.inbox.box_is_stuck(true);
        let stuck = scene.offer(vec![1, 2]).await;
        assert_eq!(stuck, Err(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(scene.in_box().await, 2);
        assert_eq!(scene.audited().await, [2], "they are in the store");
        scene.inbox.box_is_stuck(false);
        let again = scene.offer(vec![1, 2]).await;
        assert_eq!(again, Ok(vec![Outcome::Duplicate; 2]));
        assert_eq!(scene.in_box().await, 0);
        assert_eq!(scene.audited().await, [2, 2], "each time");
        assert_eq!(scene.stored().await, 2, "equal pushes are two events");
    }

    #[tokio::test]
    async fn a_push_that_is_taken_leaves_the_box_though_whoever_asked_went_away() {
        let scene = Scene::with(1).await;
        let (is_done, go) = scene.inbox.hold_next();
        tokio::select! {
            _answered = scene.offer(vec![1]) => panic!("nothing is confirmed yet"),
            done = is_done => done.unwrap(),
        }
        drop(go);
        let lifecycle = &scene.reoffer.lifecycle;
        lifecycle.close();
        assert!(lifecycle.wait(Duration::from_secs(20)).await);
        assert_eq!(scene.in_box().await, 0);
    }
}

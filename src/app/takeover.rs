//! What a spill holds whose receiver is gone, taken over by this one.
//!
//! Offered again, events are duplicates, so that a step that failed half way is simply made again.
//! Unreadable pushes are not, so keeping them comes last.

use std::sync::Arc;

use http::StatusCode;

use super::hooks::unavailable;
use crate::aside::aside;
use crate::clock::Clock;
use crate::event::Event;
use crate::inbox::spill::{Drained, Spilled};
use crate::inbox::{
    Audit, Committer, Inbox, InboxError, Offer, Refusal, Unreadable, UnreadableBounds, Wanted,
};
use crate::intake::problem::Problem;

/// Tells the sinks that want an event.
pub(super) type Wants = Arc<dyn Fn(&Event) -> Arc<[Wanted]> + Send + Sync>;

/// What takes it over.
pub(super) struct Takeover {
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) committer: Committer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bounds: UnreadableBounds,
    pub(super) wanted: Wants,
}

impl Takeover {
    /// Offers the events, in their order, keeps the unreadable pushes, and says so in the audit.
    pub(super) async fn take(
        self,
        events: Vec<Spilled>,
        unreadable: Vec<Unreadable>,
        audit: Audit,
    ) -> Result<Drained, Problem> {
        let count = events.len() + unreadable.len();
        let bytes: u64 = events.iter().map(|row| row.event.body.len() as u64).sum();
        let wanted = Arc::clone(&self.wanted);
        let (events, offers) = aside(bytes, move || {
            let offers = events.iter().map(|row| row.offer(wanted(&row.event)));
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
                Ok(Err(Refusal::Event(reason))) => {
                    let kept = drained.refuse(row, self.bounds, &reason);
                    let no_room = |what| Problem::new(StatusCode::SERVICE_UNAVAILABLE, what);
                    unusable.push(kept.map_err(no_room)?);
                }
                Ok(Err(refusal)) => {
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return Err(Problem::new(status, refusal.to_string()));
                }
                Err(_) => return Err(unavailable(&InboxError::Closed)),
            }
        }
        if count > 0 {
            let noted = self.inbox.note(audit, count, self.clock.now()).await;
            noted.map_err(|error| unavailable(&error))?;
        }
        if !unusable.is_empty() {
            let kept = self.inbox.keep_unreadable(unusable, self.bounds).await;
            kept.map_err(|error| unavailable(&error))?;
        }
        Ok(drained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::spilled::drain;
    use crate::clock::SystemClock;
    use crate::event::Key;
    use crate::inbox::CommitterOptions;
    use crate::inbox::faulty::FaultyInbox;
    use crate::inbox::query::{AuditFilter, UnreadableFilter};
    use crate::inbox::sqlite::SqliteInbox;
    use crate::lifecycle::Lifecycle;
    use crate::metrics::Metrics;

    /// What takes over into `inbox`, again and again.
    fn taker(inbox: Arc<dyn Inbox>) -> impl Fn() -> Takeover {
        let (committer, committing) = Committer::new(CommitterOptions {
            inbox: Arc::clone(&inbox),
            clock: Arc::new(SystemClock),
            metrics: Metrics::new(),
            spill: None,
        });
        let _committing = Lifecycle::default().spawn_vital_last("the group commit", committing);
        move || Takeover {
            inbox: Arc::clone(&inbox),
            committer: committer.clone(),
            clock: Arc::new(SystemClock),
            bounds: UnreadableBounds {
                count: 10,
                bytes: 100,
            },
            wanted: Arc::new(|_| Arc::default()),
        }
    }

    #[tokio::test]
    async fn a_step_that_is_made_again_for_want_of_its_line_in_the_audit_keeps_no_push_twice() {
        let inbox = Arc::new(FaultyInbox::new(SqliteInbox::in_memory()));
        let taker = taker(Arc::clone(&inbox) as Arc<dyn Inbox>);
        inbox.fail_next([Some(InboxError::Away("the network is down".to_owned()))]);
        let mut taken = Vec::new();
        for _ in 0..2 {
            let push = Unreadable::of(&Event::sample("{}"), "no JSON".to_owned());
            let audit = drain("somebody".to_owned(), (0, 1));
            let step = taker().take(Vec::new(), vec![push], audit).await;
            taken.push(step.map_err(|problem| problem.status));
        }
        assert_eq!(taken[0], Err(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(taken[1].as_ref().map(|drained| drained.unreadable), Ok(1));
        let kept = inbox.unreadables(UnreadableFilter::newest(10)).await;
        assert_eq!(kept.unwrap().items.len(), 1);
    }

    #[tokio::test]
    async fn what_is_taken_over_from_a_spill_stands_in_the_audit_each_time() {
        let inbox: Arc<dyn Inbox> = Arc::new(SqliteInbox::in_memory());
        let taker = taker(Arc::clone(&inbox));
        let event = Arc::new(Event::sample("{}"));
        for (accepted, duplicate) in [(1, 0), (0, 1)] {
            let spilled = Spilled {
                id: 1,
                event: Arc::clone(&event),
                key: Some(Key([7; 16])),
                moves_mark: true,
            };
            let push = Unreadable::of(&event, "no JSON".to_owned());
            let audit = drain("token from 192.0.2.7".to_owned(), (1, 1));
            let drained = taker().take(vec![spilled], vec![push], audit).await;
            let expected = Drained {
                accepted,
                duplicate,
                unreadable: 1,
                ..Drained::default()
            };
            assert_eq!(drained, Ok(expected));
        }
        let lines = inbox.audited(AuditFilter::newest(10)).await.unwrap().items;
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert_eq!(line.who, "token from 192.0.2.7");
            assert_eq!((line.action.as_str(), line.count), ("drain_spill", 2));
            assert_eq!(line.selector, "events=1 unreadable=1");
        }
    }
}

//! Recovery as the configuration has it, and the way a recovered push takes into the inbox.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::Live;
use super::unreadable::InBox;
use crate::aside::aside;
use crate::clock::Clock;
use crate::config::{Loaded, Recover};
use crate::envelope::record_key;
use crate::event::{Event, Origin, Outcome, Route};
use crate::flashduty::Api;
use crate::inbox::query::EventFilter;
use crate::inbox::{Committer, Inbox, InboxError, Offer, Refusal, Taken, Unreadable};
use crate::intake::{Arrival, Rules, misrouted};
use crate::metrics::Metrics;
use crate::recover::{
    self, Admission, Found, NotAdmitted, Plan, Recovery, Scope, Surroundings, Tries, Verdict,
};
use crate::trace::Tracer;

/// What is recovered and how; `None` without a key, or when nothing says what is ours.
///
/// # Errors
/// A [`crate::config::ConfigError`] when the API cannot be asked.
pub(super) fn plan(loaded: &Loaded) -> anyhow::Result<Option<Arc<Plan>>> {
    let (flashduty, recover) = (&loaded.settings.flashduty, &loaded.settings.recover);
    let Some(key) = flashduty
        .app_key
        .as_ref()
        .filter(|_key| recover.has_scope())
    else {
        return Ok(None);
    };
    let api = Api::new(&flashduty.base_url, key.clone(), recover::PATIENCE)
        .map_err(|error| loaded.problem("flashduty.base_url", error.to_string()))?;
    let Recover {
        integrations,
        endpoint,
        ..
    } = recover.clone();
    Ok(Some(Arc::new(Plan {
        api,
        scope: Scope {
            integrations,
            endpoint,
            path: loaded.settings.server.path.clone(),
        },
        interval: recover.interval,
        lookback: recover.lookback,
        settle_delay: recover.settle_delay,
        rate: recover.rate,
    })))
}

/// Judges recovered pushes by the rules in force, as one that comes in is judged.
pub(super) struct Admit {
    pub(super) live: Arc<Live>,
    pub(super) rules: Arc<ArcSwap<Rules>>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) committer: Committer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tracer: Tracer,
    pub(super) in_box: InBox,
}

#[async_trait]
impl Admission for Admit {
    async fn admit(&self, found: Found) -> Result<Verdict, NotAdmitted> {
        let rules = self.rules.load_full();
        let Found {
            record,
            at,
            route,
            body,
            dry_run,
        } = found;
        if let Some(why) = misrouted(&route, &*self.inbox) {
            return Ok(Verdict::Misrouted(why));
        }
        let bytes = body.len() as u64;
        let (reading, whole) = (Arc::clone(&rules), body.clone());
        let read = aside(bytes, move || reading.envelope.read(&whole)).await;
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(error) => {
                let parts = (route, body);
                return self.keep(&rules, error.to_string(), parts, dry_run).await;
            }
        };
        let now = self.clock.now();
        let arrival = Arrival {
            route,
            source_ip: None,
            peer_ip: None,
            received_at: now,
            origin: Origin::Recovered,
            trace_parent: None,
            body,
        };
        let routing = Arc::clone(&rules);
        let mut offer = aside(bytes, move || routing.offer(envelope, arrival, now)).await;
        // What nothing tells from another push is offered again by a look that was cut off.
        let key = offer.key;
        offer.key = Some(key.unwrap_or_else(|| record_key(record.0, &offer.event)));
        let begun = (!dry_run).then(|| self.tracer.adopt(&mut offer.event));
        let trace = begun.flatten();
        let event = Arc::clone(&offer.event);
        if event.command && !self.carries_out(&event, at) {
            // Shown, and carried out only when a person replays it.
            offer.wanted = Arc::default();
        }
        if dry_run {
            return self.foretell(&event).await;
        }
        match self.offer(offer).await? {
            Ok(taken) => {
                if let Some(context) = trace {
                    let times = (now, self.clock.now());
                    let what = (&*event, taken.seq(), taken.outcome());
                    self.tracer.came_in(context, "recover", what, times);
                }
                Ok(verdict(&event, taken))
            }
            Err(reason) => {
                let parts = (event.route.clone(), event.body.clone());
                self.keep(&rules, reason, parts, dry_run).await
            }
        }
    }
}

impl Admit {
    /// Recovery that admits this way.
    pub(super) fn recovery(self) -> Arc<Recovery> {
        let plan = self.live.recovery();
        let surroundings = Surroundings {
            inbox: Arc::clone(&self.inbox),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            admission: Arc::new(self),
            tries: Tries::default(),
        };
        Recovery::new(surroundings, plan)
    }

    /// Whether a command is wanted. One that does not say its time, by which it would expire, is as old as
    /// its record.
    fn carries_out(&self, event: &Event, at: Option<Timestamp>) -> bool {
        let settings = self.live.settings();
        let age = at.map(|at| self.clock.now().duration_since(at));
        let is_old = age.is_none_or(|age| {
            Duration::try_from(age).is_ok_and(|age| age > settings.admission.command_max_age)
        });
        settings.recover.commands && (event.event_time.is_some() || !is_old)
    }

    /// Done once it is committed; the inner error is about this push alone.
    async fn offer(&self, offer: Offer) -> Result<Result<Taken, String>, NotAdmitted> {
        match self.committer.offer(offer).await {
            Ok(Ok(offered)) => Ok(Ok(offered)),
            Ok(Err(Refusal::Event(reason))) => Ok(Err(reason)),
            Ok(Err(refusal)) => Err(NotAdmitted(refusal.to_string())),
            Err(_ended) => Err(NotAdmitted(Refusal::Failed.to_string())),
        }
    }

    async fn keep(
        &self,
        rules: &Rules,
        reason: String,
        (route, body): (Route, Bytes),
        dry_run: bool,
    ) -> Result<Verdict, NotAdmitted> {
        // It may have been kept when it was pushed, or as another attempt at it.
        let known = self.in_box.has(&*self.inbox, &route, &body).await;
        if known.map_err(refused)? {
            return Ok(Verdict::Duplicate { differs: false });
        }
        if dry_run {
            return Ok(Verdict::Unreadable(reason));
        }
        let unreadable = Unreadable {
            received_at: self.clock.now(),
            reason: format!("recovered: {reason}"),
            route,
            source_ip: None,
            peer_ip: None,
            body,
        };
        let kept = self
            .inbox
            .keep_unreadable(vec![unreadable], rules.unreadable);
        kept.await.map_err(refused)?;
        self.metrics.unreadable.inc();
        Ok(Verdict::Unreadable(reason))
    }

    /// Whether the event is here already; of one without an id that cannot be told.
    async fn foretell(&self, event: &Event) -> Result<Verdict, NotAdmitted> {
        let new = Verdict::Accepted {
            command: event.command,
        };
        let Some(id) = &event.event_id else {
            return Ok(new);
        };
        let filter = EventFilter {
            event_id: Some(id.as_str().to_owned()),
            event_type: Some(event.event_type.as_str().to_owned()),
            route: Some(event.route.clone()),
            limit: 1,
            ..EventFilter::default()
        };
        let found = self.inbox.events(filter).await.map_err(refused)?;
        Ok(match found.items.is_empty() {
            true => new,
            false => Verdict::Duplicate { differs: false },
        })
    }
}

fn refused(error: InboxError) -> NotAdmitted {
    NotAdmitted(error.to_string())
}

fn verdict(event: &Event, taken: Taken) -> Verdict {
    match taken.outcome() {
        Outcome::Accepted => Verdict::Accepted {
            command: event.command,
        },
        Outcome::Stale => Verdict::Stale,
        Outcome::Duplicate => Verdict::Duplicate {
            differs: taken.differs(),
        },
    }
}

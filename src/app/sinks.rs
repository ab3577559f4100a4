//! The running sinks: started, changed and stopped as the configuration says.
//!
//! A sink that is turned off keeps its backlog in the store, parked, until it is back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::plans::{self, Parts};
use super::wiring;
use crate::clock::Clock;
use crate::config::{Identity, Loaded, Settings};
use crate::dispatch::{Dispatcher, Neglected, Plan};
use crate::inbox::{Committer, Inbox, InboxError, SinkId};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::routing::Routing;
use crate::trace::Tracer;

/// What sinks are made with, and those that run.
pub(super) struct Sinks {
    inbox: Arc<dyn Inbox>,
    committer: Committer,
    parts: Parts,
    metrics: Arc<Metrics>,
    running: Mutex<BTreeMap<String, Running>>,
    known: Arc<Mutex<BTreeMap<String, SinkId>>>,
    dispatchers: TaskTracker,
    /// Whatever a sink is doing is left as it is.
    leave: CancellationToken,
}

/// The plans of all enabled sinks, made and not yet in force.
pub(super) struct Prepared(BTreeMap<String, (Identity, Arc<Plan>)>);

struct Running {
    /// Of what the plan was made from.
    identity: Identity,
    plan: watch::Sender<Arc<Plan>>,
    stop: CancellationToken,
}

impl Sinks {
    pub(super) fn new(
        inbox: Arc<dyn Inbox>,
        committer: Committer,
        parts: Parts,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            inbox,
            committer,
            parts,
            metrics,
            running: Mutex::default(),
            known: Arc::default(),
            dispatchers: TaskTracker::new(),
            leave: CancellationToken::new(),
        }
    }

    /// Where their numbers are counted.
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// What they tell the time by.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.parts.clock)
    }

    /// What their spans are made with.
    pub(super) fn tracer(&self) -> Tracer {
        self.parts.tracer.clone()
    }

    /// Waits until no sink is at work, at most for `patience`: what has not ended by then keeps its
    /// lease, as after a crash, and the next process decides about it. For use once resting began.
    pub(super) async fn put_down(&self, patience: Duration) {
        self.dispatchers.close();
        if tokio::time::timeout(patience, self.dispatchers.wait())
            .await
            .is_err()
        {
            self.leave.cancel();
            self.dispatchers.wait().await;
        }
    }

    /// Learns every sink's number, also of those that only have a backlog.
    pub(super) async fn learn(&self, settings: &Settings) -> Result<(), InboxError> {
        let stored = self.inbox.counts().await?.sinks;
        for sink in stored {
            self.learn_one(&sink.sink).await?;
        }
        self.learn_new(settings).await
    }

    /// Learns the numbers of sinks that are new. The store, which may be away, is asked for nothing else.
    pub(super) async fn learn_new(&self, settings: &Settings) -> Result<(), InboxError> {
        for name in settings.sinks.keys() {
            self.learn_one(name).await?;
        }
        Ok(())
    }

    async fn learn_one(&self, name: &str) -> Result<(), InboxError> {
        if !self.known().contains_key(name) {
            let sink = self.inbox.sink(name).await?;
            self.known().insert(name.to_owned(), sink);
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, SinkId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which sinks get new events, with the numbers that were learned.
    pub(super) fn routing(&self, settings: &Settings) -> Routing {
        let known = self.known();
        let enabled = settings.sinks.iter().filter(|(_, sink)| sink.is_enabled());
        let targets = enabled.map(|(name, sink)| {
            let errors = self.metrics.sink(&Arc::from(name.as_str())).filter_errors;
            let number = known.get(name).copied().unwrap_or(SinkId::UNKNOWN);
            wiring::target(name, sink, number, errors)
        });
        Routing::new(targets.collect())
    }

    /// Makes the plans of all enabled sinks, and changes nothing yet. A sink about which nothing
    /// changed keeps its plan, and with it its connections.
    pub(super) fn prepare(&self, loaded: &Loaded) -> anyhow::Result<Prepared> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = &loaded.settings;
        let mut prepared = BTreeMap::new();
        for (name, sink) in settings.sinks.iter().filter(|(_, sink)| sink.is_enabled()) {
            let identity = plans::identity(settings, sink);
            let kept = running
                .get(name)
                .filter(|running| running.identity == identity)
                .map(|running| Arc::clone(&running.plan.borrow()));
            let plan = match kept {
                Some(plan) => plan,
                None => Arc::new(plans::plan(loaded, name, sink, &self.parts)?),
            };
            prepared.insert(name.clone(), (identity, plan));
        }
        Ok(Prepared(prepared))
    }

    /// Starts what is new, changes what runs, stops what is gone. Their numbers have been learned.
    pub(super) fn apply(&self, Prepared(mut prepared): Prepared, lifecycle: &Lifecycle) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|name, sink| {
            let Some((identity, plan)) = prepared.remove(name) else {
                sink.stop.cancel();
                tracing::info!(sink = name, "the sink is off; its backlog is parked");
                return false;
            };
            sink.identity = identity;
            sink.plan.send_replace(plan);
            true
        });
        for (name, (identity, plan)) in prepared {
            let started = self.start(&name, plan, lifecycle, identity);
            running.insert(name, started);
        }
    }

    fn start(
        &self,
        name: &str,
        plan: Arc<Plan>,
        lifecycle: &Lifecycle,
        identity: Identity,
    ) -> Running {
        let running = Running {
            identity,
            plan: watch::Sender::new(plan),
            stop: lifecycle.resting_token(),
        };
        let sink = self.known()[name];
        let name: Arc<str> = Arc::from(name);
        let dispatcher = Dispatcher::new(
            (Arc::clone(&name), sink),
            running.plan.subscribe(),
            Arc::clone(&self.parts.clock),
            self.metrics.sink(&name),
        )
        .with_tracer(self.tracer());
        let run = dispatcher.run(self.committer.clone(), running.stop.clone());
        let (leave, closing) = (self.leave.clone(), lifecycle.clone());
        let run = self.dispatchers.track_future(async move {
            match leave.run_until_cancelled(run).await {
                Some(ended) => ended,
                None => {
                    tracing::info!(
                        sink = &*name,
                        "what the sink is doing is left to the next process"
                    );
                    Ok(())
                }
            }
        });
        lifecycle.spawn_vital("a dispatcher", async move {
            run.await?;
            // A sink that was turned off is no crash.
            closing.closing().await;
            Ok(())
        });
        running
    }

    /// The sinks that take nothing now: parked, or paused.
    pub(super) fn neglected(
        &self,
        routing: impl Fn(SinkId) -> bool + Send + Sync + 'static,
    ) -> Neglected {
        let (known, metrics) = (Arc::clone(&self.known), Arc::clone(&self.metrics));
        Arc::new(move || {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let paused = |name: &str| metrics.sink(&Arc::from(name)).paused.get() == 1;
            known
                .iter()
                .filter(|(name, sink)| !routing(**sink) || paused(name))
                .map(|(_, sink)| *sink)
                .collect()
        })
    }
}

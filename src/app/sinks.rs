//! The running sinks: started, changed and stopped as the configuration says.
//!
//! A sink that is turned off keeps its backlog in the store, parked, until it is back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::wiring;
use crate::clock::Clock;
use crate::config::{Settings, Sink};
use crate::dispatch::{Ages, DispatchOptions, Dispatcher, Neglected, Retry};
use crate::inbox::{Committer, Inbox, SinkId};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::routing::Routing;
use crate::sink::log::{LogSink, LogSinkOptions};
use crate::stdout::Stdout;

/// Lines written together, and deliveries leased at once.
const BATCH: usize = 256;
const SLOTS: usize = 1024;
/// A reader of stdout may take its time; while it does, no other process takes the lines over.
const LEASE: Duration = Duration::from_secs(600);

/// What sinks are made with, and those that run.
pub(super) struct Sinks {
    inbox: Arc<dyn Inbox>,
    committer: Committer,
    stdout: Stdout,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    running: Mutex<BTreeMap<String, Running>>,
    known: Arc<Mutex<BTreeMap<String, SinkId>>>,
}

struct Running {
    options: Arc<ArcSwap<LogSinkOptions>>,
    ages: Arc<ArcSwap<Ages>>,
    stop: CancellationToken,
}

impl Sinks {
    pub(super) fn new(
        inbox: Arc<dyn Inbox>,
        committer: Committer,
        stdout: Stdout,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            inbox,
            committer,
            stdout,
            clock,
            metrics,
            running: Mutex::default(),
            known: Arc::default(),
        }
    }

    /// Learns every sink's number, also of those that only have a backlog, and says which of them
    /// get new events.
    pub(super) async fn routing(&self, settings: &Settings) -> anyhow::Result<Routing> {
        let stored = self.inbox.counts().await?.sinks;
        let stored = stored.into_iter().map(|sink| sink.sink);
        let mut targets = Vec::new();
        for name in stored.chain(settings.sinks.keys().cloned()) {
            let sink = self.inbox.sink(&name).await?;
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name, sink);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, sink) in settings.sinks.iter().filter(|(_, sink)| sink.is_enabled()) {
            let errors = self.metrics.sink(&Arc::from(name.as_str())).filter_errors;
            targets.push(wiring::target(name, sink, known[name], errors));
        }
        Ok(Routing::new(targets))
    }

    /// Starts what is new, changes what runs, stops what is gone.
    pub(super) fn apply(&self, settings: &Settings, lifecycle: &Lifecycle) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |name: &String| settings.sinks.get(name).is_some_and(Sink::is_enabled);
        running.retain(|name, sink| {
            let stays = wanted(name);
            if !stays {
                sink.stop.cancel();
                tracing::info!(sink = name, "the sink is off; its backlog is parked");
            }
            stays
        });
        for (name, sink) in settings.sinks.iter().filter(|(name, _)| wanted(name)) {
            let options = wiring::log_sink_options(settings, sink);
            let ages = wiring::ages(settings, sink);
            match running.get(name) {
                Some(there) => {
                    there.options.store(Arc::new(options));
                    there.ages.store(Arc::new(ages));
                }
                None => {
                    let started = self.start(name, (options, ages), lifecycle);
                    running.insert(name.clone(), started);
                }
            }
        }
    }

    fn start(
        &self,
        name: &str,
        (options, ages): (LogSinkOptions, Ages),
        lifecycle: &Lifecycle,
    ) -> Running {
        let running = Running {
            options: Arc::new(ArcSwap::from_pointee(options)),
            ages: Arc::new(ArcSwap::from_pointee(ages)),
            stop: lifecycle.closing_token(),
        };
        let sink = LogSink::new(
            Arc::clone(&running.options),
            self.stdout.clone(),
            Arc::clone(&self.clock),
        );
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let options = DispatchOptions {
            sink: known[name],
            batch: BATCH,
            slots: SLOTS,
            lease: LEASE,
            ages: Arc::clone(&running.ages),
            retry: Retry::default(),
        };
        let name: Arc<str> = Arc::from(name);
        let dispatcher = Dispatcher::new(
            Arc::clone(&name),
            options,
            Arc::new(sink),
            Arc::clone(&self.clock),
            self.metrics.sink(&name),
        );
        let run = dispatcher.run(self.committer.clone(), running.stop.clone());
        let closing = lifecycle.clone();
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

//! The configuration in force, and how a new one takes its place.
//!
//! A configuration that does not load is refused and the old one stays. What cannot change under
//! a running service keeps its old value, and that is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use secrecy::SecretString;
use tokio::sync::{Mutex, Notify, watch};

use super::sinks::{Prepared, Sinks};
use super::tls::Certificates;
use super::{recovery, traces, wiring};
use crate::config::watch::{FileWatch, Seen};
use crate::config::{self, ConfigError, ConfigSource, Loaded, Settings};
use crate::dispatch::Neglected;
use crate::inbox::InboxError;
use crate::intake::Rules;
use crate::lifecycle::{Farewell, Lifecycle};
use crate::listener::ListenerOptions;
use crate::metrics::Metrics;
use crate::recover;
use crate::telemetry::Telemetry;
use crate::trace::Tracer;

/// How often what waits for the store is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What is in force now.
pub struct Live {
    source: ConfigSource,
    settings: ArcSwap<Settings>,
    rules: Arc<ArcSwap<Rules>>,
    listener: Arc<ArcSwap<ListenerOptions>>,
    admin: Arc<ArcSwap<ListenerOptions>>,
    admin_token: Arc<ArcSwapOption<SecretString>>,
    certificates: Arc<Certificates>,
    watched: ArcSwap<Seen>,
    /// Other files may have to be watched.
    rewatch: Notify,
    sinks: Sinks,
    recovery: watch::Sender<Option<Arc<recover::Plan>>>,
    /// What the sinks start with, until they have started.
    prepared: Mutex<Option<Prepared>>,
    telemetry: Option<Telemetry>,
    tracer: Tracer,
    metrics: Arc<Metrics>,
    farewell: Farewell,
    /// Absent until the sinks have started.
    lifecycle: ArcSwapOption<Lifecycle>,
    /// One reload at a time.
    reloading: Mutex<()>,
    /// What was read last waits for a store that is away.
    owed: AtomicBool,
    owing: Notify,
}

impl Live {
    /// Nothing is asked of the store: until [`Live::learn`] no sink has a number.
    pub(super) fn new(
        loaded: Loaded,
        source: ConfigSource,
        sinks: Sinks,
        telemetry: Option<Telemetry>,
        farewell: Farewell,
    ) -> anyhow::Result<Self> {
        let prepared = sinks.prepare(&loaded)?;
        let routing = sinks.routing(&loaded.settings);
        let rules = wiring::rules(&loaded, routing)?;
        let recovery = recovery::plan(&loaded)?;
        let tracer = sinks.tracer();
        tracer.change(traces::destination(&loaded, &tracer)?);
        for file in &loaded.files {
            tracing::info!("configuration read from {}", file.display());
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let settings = loaded.settings;
        wiring::warn_of_few_files(&settings);
        let metrics = sinks.metrics();
        let certificates = Certificates::new(&loaded.identities, &metrics, sinks.clock());
        Ok(Self {
            source,
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            listener: Arc::new(ArcSwap::from_pointee(wiring::listener_options(
                &settings, farewell,
            ))),
            admin: Arc::new(ArcSwap::from_pointee(wiring::admin_options(
                &settings, farewell,
            ))),
            admin_token: Arc::new(ArcSwapOption::from_pointee(settings.admin.token.clone())),
            certificates,
            watched: ArcSwap::from_pointee(loaded.watched),
            settings: ArcSwap::from_pointee(settings),
            rewatch: Notify::new(),
            sinks,
            recovery: watch::Sender::new(recovery),
            prepared: Mutex::new(Some(prepared)),
            telemetry,
            tracer,
            metrics,
            farewell,
            lifecycle: ArcSwapOption::empty(),
            reloading: Mutex::default(),
            owed: AtomicBool::new(false),
            owing: Notify::new(),
        })
    }

    /// Learns the sinks' numbers, and routes by them from now on.
    pub(super) async fn learn(&self) -> Result<(), InboxError> {
        let settings = self.settings();
        self.sinks.learn(&settings).await?;
        let rules = Rules {
            routing: self.sinks.routing(&settings),
            ..Rules::clone(&self.rules.load())
        };
        self.rules.store(Arc::new(rules));
        Ok(())
    }

    /// Starts the sinks, whose numbers have been learned.
    pub(super) async fn start(&self, lifecycle: &Lifecycle) {
        self.lifecycle.store(Some(Arc::new(lifecycle.clone())));
        if let Some(prepared) = self.prepared.lock().await.take() {
            self.sinks.apply(prepared, lifecycle);
        }
    }

    /// Learns and starts, while the service runs; no reload comes in between.
    pub(super) async fn meet(&self, lifecycle: &Lifecycle) -> Result<(), InboxError> {
        let _alone = self.reloading.lock().await;
        self.learn().await?;
        self.start(lifecycle).await;
        Ok(())
    }

    /// Waits until no sink is at work, at most for `patience`; then what is under way is left.
    pub(super) async fn put_sinks_down(&self, patience: Duration) {
        self.sinks.put_down(patience).await;
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Shared with the handlers, which read it anew for each push.
    pub(super) fn rules(&self) -> Arc<ArcSwap<Rules>> {
        Arc::clone(&self.rules)
    }

    pub(super) fn listener_options(&self) -> Arc<ArcSwap<ListenerOptions>> {
        Arc::clone(&self.listener)
    }

    pub(super) fn admin_options(&self) -> Arc<ArcSwap<ListenerOptions>> {
        Arc::clone(&self.admin)
    }

    pub(super) fn admin_token(&self) -> Arc<ArcSwapOption<SecretString>> {
        Arc::clone(&self.admin_token)
    }

    pub(super) fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.certificates)
    }

    /// What is recovered, also after a reload.
    pub(super) fn recovery(&self) -> watch::Receiver<Option<Arc<recover::Plan>>> {
        self.recovery.subscribe()
    }

    pub(super) fn neglected(&self) -> Neglected {
        let rules = self.rules();
        self.sinks
            .neglected(move |sink| rules.load().routing.knows(sink))
    }

    /// Reads the configuration again. Either way the log says what came of it.
    pub async fn reload(&self) -> Result<String, String> {
        let _alone = self.reloading.lock().await;
        let result = self.try_reload().await;
        if let Some(away) = waits_for_store(&result) {
            self.owed.store(true, Ordering::Release);
            self.owing.notify_one();
            let told = format!(
                "it has a sink that the store does not know yet, and is tried again until that answers: \
                 {away}"
            );
            tracing::error!(
                "the new configuration cannot be taken over, the old one stays: {told}"
            );
            return Err(told);
        }
        self.came_of(result)
    }

    /// Tries once more what had to wait for the store, and is silent while it has to.
    async fn catch_up(&self) {
        let _alone = self.reloading.lock().await;
        let result = self.try_reload().await;
        if waits_for_store(&result).is_none() {
            // Said in the log, by itself, what came of it.
            let _told = self.came_of(result);
        }
    }

    fn came_of(&self, result: anyhow::Result<Vec<&'static str>>) -> Result<String, String> {
        self.owed.store(false, Ordering::Release);
        self.metrics.reloaded(result.is_ok());
        match result {
            Ok(kept) if kept.is_empty() => {
                tracing::info!("the configuration was read again and is in force");
                Ok("the configuration was read again and is in force".to_owned())
            }
            Ok(kept) => {
                let keep = match kept.len() {
                    1 => "keeps its old value",
                    _ => "keep their old values",
                };
                let told = format!(
                    "the configuration was read again; {} {keep} until a restart",
                    kept.join(", ")
                );
                tracing::warn!("{told}");
                Ok(told)
            }
            Err(error) => {
                tracing::error!("the new configuration was refused, the old one stays: {error:#}");
                // A secret may come after the configuration that names it, as it does where the two
                // are mounted by themselves.
                let refused = error.downcast_ref::<ConfigError>();
                if let Some(seen) = refused.and_then(ConfigError::seen) {
                    self.watched.store(Arc::new(seen.clone()));
                    self.rewatch.notify_one();
                }
                Err(format!("{error:#}"))
            }
        }
    }

    async fn try_reload(&self) -> anyhow::Result<Vec<&'static str>> {
        let source = self.source.clone();
        let mut loaded = tokio::task::spawn_blocking(move || config::load(&source)).await??;
        let merged = config::merge_reload(&self.settings.load(), loaded.settings);
        loaded.settings = merged.settings;
        let prepared = self.sinks.prepare(&loaded)?;
        let lifecycle = self.lifecycle.load_full();
        if lifecycle.is_some() {
            self.sinks.learn_new(&loaded.settings).await?;
        }
        let routing = self.sinks.routing(&loaded.settings);
        let rules = wiring::rules(&loaded, routing)?;
        let recovery = recovery::plan(&loaded)?;
        let traces = traces::destination(&loaded, &self.tracer)?;
        let settings = &loaded.settings;
        if let Some(telemetry) = &self.telemetry {
            telemetry
                .change(&settings.log.level, wiring::format(settings))
                .map_err(|error| loaded.problem("log.level", error.to_string()))?;
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        wiring::warn_of_few_files(settings);
        // From here on nothing can fail.
        match lifecycle {
            Some(lifecycle) => self.sinks.apply(prepared, &lifecycle),
            // A database that was away at the start is not known yet: they begin with these.
            None => *self.prepared.lock().await = Some(prepared),
        }
        self.rules.store(Arc::new(rules));
        let farewell = self.farewell;
        self.listener
            .store(Arc::new(wiring::listener_options(settings, farewell)));
        self.admin
            .store(Arc::new(wiring::admin_options(settings, farewell)));
        self.admin_token
            .store(settings.admin.token.clone().map(Arc::new));
        self.certificates.apply(&loaded.identities);
        self.tracer.change(traces);
        self.watched.store(Arc::new(loaded.watched));
        self.rewatch.notify_one();
        self.settings.store(Arc::new(loaded.settings));
        // One that stays is not begun anew: a key that was refused is not asked for by each reload.
        self.recovery.send_if_modified(|now| {
            let stays = match (&*now, &recovery) {
                (Some(now), Some(new)) => now.is_same(new),
                (None, None) => true,
                _ => false,
            };
            if !stays {
                *now = recovery;
            }
            !stays
        });
        Ok(merged.kept)
    }

    /// Reloads whenever a file of configuration, secret or certificate changes, until closing.
    pub(super) async fn watch(self: Arc<Self>, lifecycle: Lifecycle) {
        let watch = FileWatch::new(Seen::clone(&self.watched.load()));
        let mut watch = match watch {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!("configuration files are not watched, SIGHUP reloads them: {error}");
                return;
            }
        };
        loop {
            tokio::select! {
                () = watch.changed() => {
                    // Said in the log, by itself, what came of it.
                    let _told = self.reload().await;
                }
                () = self.rewatch.notified() => {
                    if let Err(error) = watch.set(Seen::clone(&self.watched.load())) {
                        tracing::warn!("not all configuration files are watched: {error}");
                    }
                }
                () = lifecycle.closing() => return,
            }
        }
    }

    /// Tries again and again what has to wait for the store, until closing.
    pub(super) async fn keep_trying(self: Arc<Self>, lifecycle: Lifecycle) {
        loop {
            tokio::select! {
                () = self.owing.notified() => {}
                () = lifecycle.closing() => return,
            }
            while self.owed.load(Ordering::Acquire) {
                tokio::select! {
                    () = tokio::time::sleep(TRY_AGAIN) => self.catch_up().await,
                    () = lifecycle.closing() => return,
                }
            }
        }
    }
}

/// Why a configuration cannot be taken over as long as the store is away.
fn waits_for_store<T>(result: &anyhow::Result<T>) -> Option<&InboxError> {
    result.as_ref().err()?.downcast_ref()
}

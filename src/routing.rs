//! Which sinks want an event. Decided once, before the event is offered.

use std::sync::Arc;

use crate::inbox::{Order, SinkId, Wanted};

/// One configured sink, as far as routing goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its number in the store.
    pub sink: SinkId,
    /// Whether it wants stale events, too.
    pub include_stale: bool,
}

/// The sinks of the running configuration.
#[derive(Debug, Clone)]
pub struct Routing {
    targets: Vec<Target>,
    everyone: Arc<[Wanted]>,
}

impl Routing {
    /// Compiles the enabled sinks.
    pub fn new(targets: Vec<Target>) -> Self {
        let everyone = targets
            .iter()
            .map(|target| Wanted {
                sink: target.sink,
                order: Order::Subject,
                fresh: true,
                stale: target.include_stale,
            })
            .collect();
        Self { targets, everyone }
    }

    /// The sinks that want an event. Shared, so that asking costs nothing.
    pub fn wanted(&self) -> Arc<[Wanted]> {
        Arc::clone(&self.everyone)
    }

    /// Whether the sink numbered `sink` is configured and enabled.
    pub fn knows(&self, sink: SinkId) -> bool {
        self.targets.iter().any(|target| target.sink == sink)
    }

    /// What becomes of an event at each sink, in words, one sentence each.
    pub fn explain(&self) -> Vec<String> {
        self.targets
            .iter()
            .map(|target| {
                let stale = if target.include_stale {
                    "stale ones, too"
                } else {
                    "but no stale ones"
                };
                format!("sink {} takes every event, {stale}", target.name)
            })
            .collect()
    }
}

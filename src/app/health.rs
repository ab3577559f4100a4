//! Whether a push could be made durable now.

use std::sync::{Arc, Mutex, PoisonError};

use crate::inbox::{Committer, StoreState};
use crate::intake::health::{Health, Readiness};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;

const SPILLING: &str = "pushes are kept in the local spill until the database has what is there";

/// Readiness of the whole service: red only while draining, unless the next process takes over, or
/// while the store takes nothing.
pub(super) struct ServiceHealth {
    lifecycle: Lifecycle,
    committer: Committer,
    metrics: Arc<Metrics>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl ServiceHealth {
    pub(super) fn new(
        lifecycle: &Lifecycle,
        committer: &Committer,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            lifecycle: lifecycle.clone(),
            committer: committer.clone(),
            metrics: Arc::clone(metrics),
            warnings: Arc::default(),
        })
    }

    pub(super) fn shared(self: &Arc<Self>) -> Arc<dyn Health> {
        Arc::<Self>::clone(self) as Arc<dyn Health>
    }

    /// Where the janitor says what an operator should know.
    pub(super) fn warnings(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.warnings)
    }

    fn said(&self) -> Vec<String> {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps `flashduty_ready` true to [`Health::readiness`].
    pub(super) async fn show_in_metrics(self: Arc<Self>) {
        let mut store = self.committer.watch();
        loop {
            self.metrics.ready.set(i64::from(self.readiness().ready));
            tokio::select! {
                changed = store.changed() => if changed.is_err() {
                    break;
                },
                () = self.lifecycle.draining() => break,
            }
        }
        self.metrics.ready.set(0);
    }
}

impl Health for ServiceHealth {
    fn readiness(&self) -> Readiness {
        // Who asks at the very end of a hand-over must not look elsewhere: the next process answers.
        if self.lifecycle.is_draining() && !self.lifecycle.is_handing_over() {
            return Readiness::unready("the service is draining");
        }
        match self.committer.state() {
            StoreState::Working => Readiness {
                warnings: self.said(),
                ..Readiness::ready()
            },
            StoreState::Spilling => {
                let mut warnings = self.said();
                let waiting = self.metrics.spilled_events.get();
                warnings.push(format!("{SPILLING}; {waiting} events wait there"));
                Readiness {
                    warnings,
                    notice: Some(SPILLING),
                    ..Readiness::ready()
                }
            }
            StoreState::Away(why) => Readiness::unready(why),
            StoreState::Full(_) => Readiness::unready("the store has no room"),
            StoreState::Broken(_) => Readiness::unready("the store has failed"),
        }
    }
}

//! Getting to know the store: that it is fit, and which numbers it gave to the sinks.
//!
//! A file is known as soon as it is open. A database may be away at the start; then pushes go to the
//! spill, the rules route to sinks without a number, and what needs the store begins at first contact.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::Live;
use super::spill::RulesInForce;
use super::store::{GLANCE, LOOK_EVERY, Store};
use crate::inbox::InboxError;
use crate::inbox::postgres::PostgresOpenError;
use crate::lifecycle::Lifecycle;

/// How often it is said that a database was not reached yet, and why: from outside all looks well.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What is known of the store, and who sees to it that it becomes known.
pub(super) struct Contact {
    store: Store,
    live: Arc<Live>,
    in_force: Arc<RulesInForce>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone)]
enum State {
    Sought,
    Made,
    /// It was reached, and must not be used.
    Refused(PostgresOpenError),
}

/// What came of one look.
enum Look {
    Met,
    NotYet(String),
    Unfit(PostgresOpenError),
}

impl Contact {
    /// With a store that is known, contact is made at once.
    pub(super) async fn new(
        store: Store,
        live: &Arc<Live>,
        in_force: Arc<RulesInForce>,
    ) -> anyhow::Result<Arc<Self>> {
        let has_spill = live.settings().store.spill_file().is_some();
        let learned = match (store.is_known(), has_spill) {
            (true, false) => Some(live.learn().await),
            (true, true) => timeout(GLANCE.passed, live.learn()).await.ok(),
            (false, _) => None,
        };
        let state = match learned {
            Some(Ok(())) => {
                in_force.follow(live);
                State::Made
            }
            Some(Err(error @ InboxError::Away(_))) if has_spill => {
                tracing::warn!("{error}; the start goes on without it");
                State::Sought
            }
            Some(Err(error)) => return Err(error.into()),
            None => State::Sought,
        };
        Ok(Arc::new(Self {
            store,
            live: Arc::clone(live),
            in_force,
            state: watch::Sender::new(state),
        }))
    }

    /// Starts the sinks, or looks for the store that they need, until closing.
    pub(super) async fn begin(self: &Arc<Self>, lifecycle: &Lifecycle) {
        if self.is_made() {
            self.live.start(lifecycle).await;
        } else {
            let seeking = Arc::clone(self).seek(lifecycle.clone());
            lifecycle.spawn_vital("the first contact with the database", seeking);
        }
    }

    pub(super) fn is_made(&self) -> bool {
        matches!(*self.state.borrow(), State::Made)
    }

    /// Waits until the store is known.
    pub(super) async fn made(&self) {
        let mut state = self.state.subscribe();
        let made = state.wait_for(|state| matches!(state, State::Made));
        if made.await.is_err() {
            std::future::pending().await
        }
    }

    /// Why the store must not be used, once it was reached.
    pub(super) fn refusal(&self) -> Option<PostgresOpenError> {
        match &*self.state.borrow() {
            State::Refused(refused) => Some(refused.clone()),
            State::Sought | State::Made => None,
        }
    }

    async fn seek(self: Arc<Self>, lifecycle: Lifecycle) -> anyhow::Result<()> {
        let closing = lifecycle.closing_token();
        // The start has said it.
        let mut told = Instant::now();
        loop {
            match closing.run_until_cancelled(self.look(&lifecycle)).await {
                // Not in the middle of becoming known: what is begun is begun again by the next start.
                None => return Ok(()),
                Some(Look::Met) => break,
                Some(Look::Unfit(refused)) => {
                    self.state.send_replace(State::Refused(refused.clone()));
                    return Err(refused.into());
                }
                Some(Look::NotYet(why)) if told.elapsed() >= SAY_EVERY => {
                    tracing::warn!("{why}; nothing is delivered until it answers");
                    told = Instant::now();
                }
                Some(Look::NotYet(_)) => {}
            }
            lifecycle.sleep(LOOK_EVERY).await;
        }
        self.state.send_replace(State::Made);
        tracing::info!("first contact with the database: the sinks have started");
        lifecycle.closing().await;
        Ok(())
    }

    async fn look(&self, lifecycle: &Lifecycle) -> Look {
        match self.store.contact().await {
            Ok(()) => {}
            // What lets nobody in now may do so later, and meanwhile nothing is lost.
            Err(away @ (PostgresOpenError::Away { .. } | PostgresOpenError::Denied { .. })) => {
                return Look::NotYet(away.to_string());
            }
            Err(unfit) => return Look::Unfit(unfit),
        }
        match self.live.meet(lifecycle).await {
            Ok(()) => {
                // From here on what is drained finds its sinks.
                self.in_force.follow(&self.live);
                Look::Met
            }
            Err(error) => Look::NotYet(error.to_string()),
        }
    }
}

//! The way of pushes that could not be used while the database is away: into the spill, and on into the
//! store's box once it answers again.
//!
//! The sender was told that they were not taken, so little hangs on them: what was on its way when an
//! answer got lost is kept twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::SpillOptions;
use crate::inbox::{Committer, Inbox, InboxError, StoreState, Unreadable, UnreadableBounds};

/// Pushes brought back at once, and no further one once their bodies take so much: more would hold up
/// events.
const COUNT: usize = 256;
const BYTES: usize = 4 << 20;
/// Between two such transactions the store belongs to events.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether there is something to bring back, and the database is there for it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Stands beside the box of pushes that could not be used.
pub struct Detour {
    inbox: Arc<dyn Inbox>,
    spill: SpillOptions,
    committer: Committer,
}

impl Detour {
    /// Past `inbox` by way of `spill`, while `committer` does without the database.
    pub fn new(inbox: Arc<dyn Inbox>, spill: SpillOptions, committer: Committer) -> Self {
        Self {
            inbox,
            spill,
            committer,
        }
    }

    /// Keeps them in the store, or, while that is away, in the spill.
    ///
    /// # Errors
    /// When neither takes them.
    pub async fn keep(
        &self,
        unreadable: Vec<Unreadable>,
        bounds: UnreadableBounds,
    ) -> Result<(), InboxError> {
        if self.store_works() {
            tokio::select! {
                kept = self.inbox.keep_unreadable(unreadable.clone(), bounds) => match kept {
                    // It may be away without anybody having noticed.
                    Err(InboxError::Away(_) | InboxError::Full(_)) => {}
                    done => return done,
                },
                () = self.store_is_away() => {}
            }
        }
        let spill = &self.spill.spill;
        spill.keep_unreadable(unreadable, bounds).await
    }

    /// Brings back what is in the spill, whenever the database works. Never ends.
    pub async fn bring_back(&self) {
        let (mut wait, mut told) = (LOOK_EVERY, false);
        loop {
            sleep(wait).await;
            wait = match self.step().await {
                Ok(true) => PAUSE,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    if !told && !matches!(error, InboxError::Away(_)) {
                        tracing::warn!("unreadable pushes stay in the spill for now: {error}");
                        told = true;
                    }
                    LOOK_EVERY
                }
            };
            told &= wait == LOOK_EVERY;
        }
    }

    /// Moves the oldest; false when there are none, or the database is not there for them.
    pub(super) async fn step(&self) -> Result<bool, InboxError> {
        let SpillOptions { spill, in_force } = &self.spill;
        if spill.unreadable() == 0 || !in_force.is_known() || !self.store_works() {
            return Ok(false);
        }
        let rows = spill.oldest_unreadable(COUNT, BYTES).await?;
        let Some(last) = rows.last().map(|row| row.id) else {
            return Ok(false);
        };
        let pushes = rows.into_iter().map(|row| row.push).collect();
        let bounds = in_force.unreadable();
        self.inbox.keep_unreadable(pushes, bounds).await?;
        spill.remove_unreadable(last).await?;
        Ok(true)
    }

    /// Waits until events go elsewhere: they notice sooner than a single query does.
    async fn store_is_away(&self) {
        let mut state = self.committer.watch();
        let away = state.wait_for(|state| *state != StoreState::Working);
        if away.await.is_err() {
            std::future::pending().await
        }
    }

    fn store_works(&self) -> bool {
        self.committer.state() == StoreState::Working
    }
}

//! The spill as it is configured, the way of unreadable pushes through it, and the rules in force when it
//! is drained.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;

use super::{Live, Running};
use crate::config::Settings;
use crate::event::{Event, Origin};
use crate::inbox::spill::{Detour, InForce, SpillOptions};
use crate::inbox::sqlite::spill::SqliteSpill;
use crate::inbox::{Keeper, UnreadableBounds, Wanted};
use crate::words::Words;

/// Opens the configured spill; none where the store has no use for one.
///
/// # Errors
/// An [`crate::inbox::sqlite::OpenError`].
pub(super) async fn open(
    settings: &Settings,
    in_force: &Arc<RulesInForce>,
) -> anyhow::Result<Option<SpillOptions>> {
    let Some(path) = settings.store.spill_file().map(ToOwned::to_owned) else {
        return Ok(None);
    };
    let lock_wait = settings.store.lock_wait;
    // Waiting for the lock and moving the log into the file take their time.
    let opened = tokio::task::spawn_blocking(move || SqliteSpill::open(&path, lock_wait)).await?;
    Ok(Some(SpillOptions {
        spill: Arc::new(opened.context("cannot open the spill (store.spill)")?),
        in_force: Arc::<RulesInForce>::clone(in_force),
    }))
}

/// The box of unreadable pushes, with a way round a store that may be away.
pub(super) fn keeper(running: &Running) -> Keeper {
    let lifecycle = &running.lifecycle;
    let detour = running.spill.clone().map(|spill| {
        let detour = Detour::new(running.inbox(), spill, running.committer.clone());
        Arc::new(detour)
    });
    if let Some(detour) = detour.clone() {
        let closing = lifecycle.closing_token();
        let _returning = lifecycle.spawn(async move {
            // Cut off in the middle, it begins again at the next start.
            let _cut_off = closing.run_until_cancelled(detour.bring_back()).await;
        });
    }
    let metrics = Arc::clone(&running.metrics);
    let (keeper, keeping) = Keeper::new(running.inbox(), metrics, detour);
    let _keeping = lifecycle.spawn(keeping);
    keeper
}

/// The sinks that want an event out of a spill.
pub(super) fn wanted(live: &Live, event: &Event) -> Arc<[Wanted]> {
    let is_recovered = event.command && event.origin == Origin::Recovered;
    // How old one is that does not say it, the spill does not know.
    if is_recovered && (event.event_time.is_none() || !live.settings().recover.commands) {
        // As when it was recovered: shown, and carried out only when a person replays it.
        return Arc::default();
    }
    live.rules().load().routing.wanted(&Words::new(event))
}

/// What is in force, as soon as the sinks' numbers are known.
#[derive(Default)]
pub(super) struct RulesInForce(OnceLock<Arc<Live>>);

impl RulesInForce {
    /// From now on `live` says what is in force; it has learned the sinks' numbers.
    pub(super) fn follow(&self, live: &Arc<Live>) {
        let _first = self.0.get_or_init(|| Arc::clone(live));
    }
}

impl InForce for RulesInForce {
    fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    fn wanted(&self, event: &Event) -> Arc<[Wanted]> {
        // Nothing is drained, or routed again, before the numbers are known.
        self.0
            .get()
            .map_or_else(Arc::default, |live| wanted(live, event))
    }

    fn unreadable(&self) -> UnreadableBounds {
        let none = UnreadableBounds { count: 0, bytes: 0 };
        self.0
            .get()
            .map_or(none, |live| live.rules().load().unreadable)
    }
}

//! What a person asks for: a look of its own, and the line that the audit has of it.

use std::sync::Arc;

use super::feed::Window;
use super::progress::Progress;
use super::walk::{Task, Walk};
use super::{Ask, KEPT, NotBegun, Plan, Recovery, before, signed};
use crate::inbox::Audit;
use crate::lifecycle::Lifecycle;

impl Recovery {
    /// Begins what a person asks for; [`Recovery::by_hand`] says how it goes. What it brings in stands in the
    /// audit when it is over.
    ///
    /// # Errors
    /// When it is not begun.
    pub fn begin(
        self: &Arc<Self>,
        ask: Ask,
        audit: Audit,
        lifecycle: &Lifecycle,
    ) -> Result<Progress, NotBegun> {
        let plan = self.plan.borrow().clone().ok_or(NotBegun::Off)?;
        let waiting = Progress {
            running: true,
            dry_run: ask.dry_run,
            all: ask.all,
            ..Progress::default()
        };
        let begun = self.by_hand.send_if_modified(|now| {
            let is_free = !now.running;
            if is_free {
                *now = waiting.clone();
            }
            is_free
        });
        if !begun {
            return Err(NotBegun::Busy);
        }
        let (recovery, closing) = (Arc::clone(self), lifecycle.closing_token());
        let _tracked = lifecycle.spawn(async move {
            let looked = closing.run_until_cancelled(recovery.look(&plan, ask)).await;
            match looked {
                Some(progress) => {
                    recovery.note(audit, &progress).await;
                    recovery.by_hand.send_replace(progress);
                }
                // It is cut off, and what it brought in until then is in the store.
                None => recovery.note(audit, &recovery.by_hand()).await,
            }
        });
        Ok(waiting)
    }

    /// How the last look goes, or went, that a person asked for.
    pub fn by_hand(&self) -> Progress {
        self.by_hand.borrow().clone()
    }

    async fn look(&self, plan: &Plan, ask: Ask) -> Progress {
        let now = self.clock.now();
        let task = Task {
            window: Window {
                from: ask.since.max(before(now, KEPT)),
                to: before(now, signed(plan.settle_delay)),
            },
            dry_run: ask.dry_run,
            all: ask.all,
            by_hand: true,
        };
        let run = self.last.begin(&task, now);
        let (progress, looked) = Walk::new(self, plan, task).run().await;
        self.last.end(run, progress.clone(), self.clock.now());
        if looked.is_ok() {
            self.worked.notify_waiters();
        }
        progress
    }

    /// Says in the audit how much was brought into the store, if anything was.
    async fn note(&self, audit: Audit, progress: &Progress) {
        let count = progress.accepted + progress.stale + progress.unreadable;
        if count == 0 || progress.dry_run {
            return;
        }
        let who = audit.who.clone();
        let lines = usize::try_from(count).unwrap_or(usize::MAX);
        if let Err(error) = self.inbox.note(audit, lines, self.clock.now()).await {
            tracing::warn!(
                who,
                count,
                "the audit does not say that pushes were recovered by hand: {error}"
            );
        }
    }
}

//! What goes on beside the service, for as long as it runs: room, certificates, and changed files.

use std::sync::Arc;

use super::Running;
use crate::dispatch::{Janitor, JanitorOptions};

impl Running {
    pub(super) fn tend(&self) {
        let store = &self.live.settings().store;
        let janitor = Janitor {
            inbox: self.inbox(),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            options: JanitorOptions {
                retention: store.retention,
                min_free: store.min_free_disk,
            },
            neglected: self.live.neglected(),
            unclean: self.store.was_unclean(),
            warnings: self.health.warnings(),
        };
        let run = janitor.run(self.lifecycle.clone());
        let closing = self.lifecycle.closing_token();
        // A database that hangs does not hold up the end: whatever a step was about to do can wait.
        self.spawn_at_contact("the janitor", async move {
            let ended = closing.run_until_cancelled(run).await;
            ended.unwrap_or(Ok(()))
        });
        let (opened, committer) = (self.store.clone(), self.committer.clone());
        let lifecycle = self.lifecycle.clone();
        let _distrusting = self.lifecycle.spawn(async move {
            tokio::select! {
                what = opened.broken() => {
                    committer.distrust(what);
                    lifecycle.drain();
                }
                () = lifecycle.closing() => {}
            }
        });
        let (shared, committer) = (self.store.clone(), self.committer.clone());
        let lifecycle = self.lifecycle.clone();
        let _sharing = self.lifecycle.spawn(async move {
            tokio::select! {
                () = shared.share(&committer) => {}
                () = lifecycle.draining() => {}
            }
        });
        let watching = Arc::clone(&self.live).watch(self.lifecycle.clone());
        let _watching = self.lifecycle.spawn(watching);
        let trying = Arc::clone(&self.live).keep_trying(self.lifecycle.clone());
        let _trying = self.lifecycle.spawn(trying);
        let reminding = self.live.certificates().remind(self.lifecycle.clone());
        let _reminding = self.lifecycle.spawn(reminding);
    }
}

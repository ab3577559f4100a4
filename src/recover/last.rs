//! The last look into the history, for people who ask how recovery is.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Progress;
use super::walk::Task;

/// A look into the history, by itself or by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastRun {
    /// When it began.
    pub began: Timestamp,
    /// When it ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Whether a person asked for it.
    pub by_hand: bool,
    /// Events that had not come in: accepted or stale.
    pub found: u64,
    /// What else there is to say. Of one that looks by itself it is said at the end.
    #[serde(flatten)]
    pub progress: Progress,
}

impl LastRun {
    fn set(&mut self, progress: Progress) {
        self.found = progress.accepted + progress.stale;
        self.progress = progress;
    }

    pub(super) fn is_under_way_by_hand(&self) -> bool {
        self.by_hand && self.ended.is_none()
    }

    pub(super) fn with(mut self, progress: Progress) -> Self {
        self.set(progress);
        self
    }
}

/// Remembers the last one that began or ended.
#[derive(Debug, Default)]
pub(super) struct Last(Mutex<Option<LastRun>>);

impl Last {
    /// A look begins; what is returned is to be given back at its end.
    pub(super) fn begin(&self, task: &Task, now: Timestamp) -> LastRun {
        let run = LastRun {
            began: now,
            ended: None,
            by_hand: task.by_hand,
            found: 0,
            progress: Progress {
                running: true,
                dry_run: task.dry_run,
                all: task.all,
                since: Some(task.window.from),
                until: Some(task.window.to),
                ..Progress::default()
            },
        };
        self.put(run.clone());
        run
    }

    pub(super) fn end(&self, run: LastRun, progress: Progress, now: Timestamp) {
        let mut run = run.with(progress);
        run.ended = Some(now);
        self.put(run);
    }

    /// A look by itself does not go on, because the configuration has changed.
    pub(super) fn cut_off(&self, now: Timestamp) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = last
            .as_mut()
            .filter(|run| !run.by_hand && run.ended.is_none())
        {
            run.ended = Some(now);
            run.progress.running = false;
            run.progress.error = Some("the configuration was changed meanwhile".to_owned());
        }
    }

    pub(super) fn get(&self) -> Option<LastRun> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    fn put(&self, run: LastRun) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
    }
}

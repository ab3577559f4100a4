//! One look into the history: window by window, record by record, each push offered once.
//!
//! A record is remembered only after its push was committed or kept, and the mark moves only when a
//! window is done. So a crash repeats work, and what is offered again is a duplicate.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::call::{Caller, Pacer};
use super::feed::{Feeds, Window};
use super::history::{DETAIL, Detail, PAGE, Record};
use super::progress::Progress;
use super::scope::Aim;
use super::{Found, KEPT, Plan, Recovery, Verdict, before};
use crate::event::Route;
use crate::flashduty::Fault;
use crate::inbox::{InboxError, RecordId};

/// After so much of the history the mark moves.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// A record whose push could not be had in so many looks is passed over: the rest is not held up.
const TROUBLE: u32 = 10;
/// Records that are kept in mind for what was wrong with them.
const KEPT_IN_MIND: usize = 10_000;

/// Why a look ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// A person has to do something.
    #[error("{0}")]
    Refused(String),
    /// It may work later.
    #[error("{0}")]
    Later(String),
}

impl From<InboxError> for Stop {
    fn from(error: InboxError) -> Self {
        Self::Later(error.to_string())
    }
}

/// What outlives a look.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) pacer: Pacer,
    /// How often each record's push could not be had.
    troubled: HashMap<RecordId, u32>,
    /// Records that were complained about.
    told: HashSet<RecordId>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub(super) window: Window,
    pub(super) dry_run: bool,
    pub(super) all: bool,
    pub(super) by_hand: bool,
}

/// One look into the history.
pub(super) struct Walk<'a> {
    recovery: &'a Recovery,
    plan: &'a Plan,
    task: Task,
    caller: Caller<'a>,
    troubled: &'a mut HashMap<RecordId, u32>,
    told: &'a mut HashSet<RecordId>,
    /// Dealt with, and not yet remembered.
    handled: Vec<RecordId>,
    progress: Progress,
    /// Something could not be had and is asked for by the next look, too: the mark stays.
    left_behind: bool,
    /// What is new among what was misrouted or missing, with one example.
    strange: (u64, String),
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        recovery: &'a Recovery,
        plan: &'a Plan,
        task: Task,
        kept: &'a mut Kept,
    ) -> Self {
        if kept.told.len() + kept.troubled.len() > KEPT_IN_MIND {
            kept.told.clear();
            kept.troubled.clear();
        }
        Self {
            recovery,
            plan,
            task,
            caller: Caller {
                api: &plan.api,
                rate: plan.rate,
                tries: recovery.tries,
                pacer: &mut kept.pacer,
            },
            troubled: &mut kept.troubled,
            told: &mut kept.told,
            handled: Vec::new(),
            progress: Progress {
                running: true,
                dry_run: task.dry_run,
                all: task.all,
                since: Some(task.window.from),
                until: Some(task.window.to),
                at: Some(task.window.from),
                ..Progress::default()
            },
            left_behind: false,
            strange: (0, String::new()),
        }
    }

    /// Looks at all of it, and says what was found.
    pub(super) async fn run(mut self) -> (Progress, Result<(), Stop>) {
        let looked = self.windows().await;
        self.progress.running = false;
        self.progress.error = looked.as_ref().err().map(ToString::to_string);
        self.progress.tell(self.task.by_hand);
        if let (1.., example) = &self.strange {
            tracing::warn!(
                misrouted = self.progress.misrouted,
                missing = self.progress.missing,
                "{} pushes of the sender's history could not be recovered: {example}",
                self.strange.0
            );
        }
        (self.progress, looked)
    }

    async fn windows(&mut self) -> Result<(), Stop> {
        let Window { mut from, to } = self.task.window;
        while from < to {
            // What the sender keeps becomes less while a look goes on.
            from = from.max(before(self.recovery.clock.now(), KEPT)).min(to);
            let end = from.saturating_add(WINDOW).unwrap_or(to).min(to);
            let ended = self.window(Window { from, to: end }).await;
            // What was dealt with is not to be fetched again, whatever came after it.
            let moves = ended.is_ok() && !self.left_behind && !self.task.by_hand;
            self.remember(moves.then_some(end)).await?;
            ended?;
            self.show(|progress| progress.at = Some(end));
            from = end;
        }
        Ok(())
    }

    async fn window(&mut self, window: Window) -> Result<(), Stop> {
        let mut feeds = Feeds::new(&self.plan.scope.integrations, window, self.task.all);
        // A page that shifted, or a window begun again, shows a record twice.
        let mut met = HashSet::new();
        loop {
            let listed = feeds.next(PAGE, &mut self.caller).await;
            let mut records = listed.map_err(|fault| match fault {
                Fault::Refused(what) => Stop::Refused(what),
                other => Stop::Later(other.to_string()),
            })?;
            if records.is_empty() {
                return Ok(());
            }
            records.retain(|record| met.insert(record.id()));
            self.records(records).await?;
            self.remember(None).await?;
        }
    }

    async fn records(&mut self, records: Vec<Record>) -> Result<(), Stop> {
        let mut ours = Vec::new();
        for record in records {
            match self.plan.scope.aim(&record.endpoint) {
                Aim::Elsewhere => {}
                Aim::Here(route) => ours.push((record, route)),
                Aim::Astray => {
                    self.show(|progress| {
                        progress.records += 1;
                        progress.misrouted += 1;
                    });
                    self.complain(&record, "it went to a URL that is no webhook of ours");
                }
            }
        }
        let ids = ours.iter().map(|(record, _)| record.id()).collect();
        let known = self.recovery.inbox.handled(ids).await?;
        for ((record, route), known) in ours.into_iter().zip(known) {
            if !known {
                self.one(&record, route).await?;
            }
            self.show(|progress| {
                progress.records += 1;
                progress.known += u64::from(known);
                progress.at = record.at().or(progress.at);
            });
        }
        Ok(())
    }

    async fn one(&mut self, record: &Record, route: Route) -> Result<(), Stop> {
        let Some(body) = self.body(record).await? else {
            self.progress.missing += 1;
            self.complain(record, "the sender does not give what was pushed");
            return Ok(());
        };
        let found = Found {
            route,
            body,
            dry_run: self.task.dry_run,
        };
        let admitted = self.recovery.admission.admit(found).await;
        let verdict = admitted.map_err(|refused| Stop::Later(refused.0))?;
        self.progress.count(&verdict, self.late(record));
        if let Verdict::Misrouted(why) = &verdict {
            self.complain(record, why);
        } else if !self.task.dry_run {
            self.recovery.metrics.recovered(verdict.outcome(), 1);
            self.handled.push(record.id());
        }
        if verdict == (Verdict::Duplicate { differs: true }) {
            tracing::warn!(
                record = record.event_id,
                "a push of the sender's history came before with another body, which is the one kept"
            );
        }
        Ok(())
    }

    /// What was pushed; `None` when it cannot be had.
    async fn body(&mut self, record: &Record) -> Result<Option<Bytes>, Stop> {
        let id = record.id();
        let given_up = self
            .troubled
            .get(&id)
            .is_some_and(|times| *times >= TROUBLE);
        if given_up && !self.task.by_hand {
            return Ok(None);
        }
        match self.caller.ask::<Detail>(DETAIL, &record.detail()).await {
            Ok(detail) => Ok(Some(detail.request_body)),
            // The next look may find it: records are indexed late at times.
            Err(Fault::Invalid(_) | Fault::TooLarge(_)) => {
                self.left_behind |= !self.trouble(id);
                Ok(None)
            }
            Err(Fault::Refused(what)) => Err(Stop::Refused(what)),
            Err(Fault::Throttled { what, .. }) => Err(Stop::Later(what)),
            // A person who asks gets to what comes behind it.
            Err(Fault::Transient(what)) => match self.trouble(id) && self.task.by_hand {
                true => Ok(None),
                false => Err(Stop::Later(what)),
            },
        }
    }

    /// Notes that a record's push could not be had; whether it is given up.
    fn trouble(&mut self, id: RecordId) -> bool {
        let times = self.troubled.entry(id).or_default();
        *times += u32::from(!self.task.by_hand);
        *times >= TROUBLE
    }

    async fn remember(&mut self, reached: Option<Timestamp>) -> Result<(), Stop> {
        if self.handled.is_empty() && reached.is_none() {
            return Ok(());
        }
        let (inbox, now) = (&self.recovery.inbox, self.recovery.clock.now());
        inbox
            .recovered(std::mem::take(&mut self.handled), reached, now)
            .await?;
        Ok(())
    }

    /// Seconds from the event to now.
    fn late(&self, record: &Record) -> Option<f64> {
        let late = self.recovery.clock.now().duration_since(record.at()?);
        Some(late.as_secs_f64().max(0.0))
    }

    /// Notes what is wrong with a record, once: every look meets it again for a while.
    fn complain(&mut self, record: &Record, why: &str) {
        if !self.told.insert(record.id()) {
            return;
        }
        let (count, example) = &mut self.strange;
        if *count == 0 {
            // A query may hold a secret.
            let url = record.endpoint.split('?').next().unwrap_or_default();
            *example = format!("the record {} to {url}, since {why}", record.event_id);
        }
        *count += 1;
    }

    fn show(&mut self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress);
        if self.task.by_hand {
            self.recovery.by_hand.send_replace(self.progress.clone());
        }
    }
}

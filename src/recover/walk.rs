//! One look into the history: window by window, record by record, each push offered once.
//!
//! A record is remembered only after its push was committed or kept, and the mark moves only when a
//! window is done. So a crash repeats work, and what is offered again is a duplicate. Looks take turns,
//! a page each, so that a long one holds up no other.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::call::{Caller, Pacer};
use super::feed::{Feeds, Window};
use super::history::{DETAIL, Detail, PAGE, Record};
use super::progress::Progress;
use super::recent::Recent;
use super::scope::{Aim, Scope};
use super::stop::Stop;
use super::trouble::{Doubt, Next, Troubles};
use super::{Found, KEPT, Plan, Recovery, Verdict, before, signed};
use crate::event::Route;
use crate::flashduty::Fault;
use crate::inbox::RecordId;
use crate::metrics::RecoveredOutcome;

/// By so much the time in an answer may be less than it was: it has no fractions, and came a long way.
const INEXACT: SignedDuration = SignedDuration::from_secs(5);

/// After so much of the history the mark moves.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What outlives a look.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pacer: Pacer,
    troubles: Troubles,
    /// Records that were complained about.
    told: Recent<()>,
    /// Records of others that were counted.
    elsewhere: Recent<()>,
    /// Whose endpoint was said to find nothing.
    lost: Option<Scope>,
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
    doubt: Doubt,
    /// The last record that failed, and what the API said.
    failed: Option<(Record, String)>,
    /// Dealt with, and not yet remembered.
    handled: Vec<RecordId>,
    progress: Progress,
    /// Something could not be had and is asked for by the next look, too: the mark stays.
    left_behind: bool,
    /// What is new among what was misrouted or missing, with one example.
    strange: (u64, String),
    /// Where others' pushes went, for one.
    example: String,
}

impl<'a> Walk<'a> {
    pub(super) fn new(recovery: &'a Recovery, plan: &'a Plan, task: Task) -> Self {
        Self {
            recovery,
            plan,
            task,
            doubt: Doubt::new(task.by_hand),
            failed: None,
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
            example: String::new(),
        }
    }

    /// Looks at all of it, and says what was found.
    pub(super) async fn run(mut self) -> (Progress, Result<(), Stop>) {
        let looked = self.windows().await;
        if looked.is_ok() {
            self.conclude().await;
        }
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

    async fn conclude(&mut self) {
        let mut kept = self.recovery.turn.lock().await;
        if let Some((record, what)) = self.failed.take().filter(|_| self.doubt.is_open()) {
            let why = format!("it cannot be had now, and is asked for again: {what}");
            self.complain(&mut kept, &record, &why);
        }
        self.tell_of_elsewhere(&mut kept.lost);
    }

    /// Says so when nothing was ours: to a person each time, else once until something is.
    fn tell_of_elsewhere(&self, lost: &mut Option<Scope>) {
        if self.progress.records > 0 {
            *lost = None;
        }
        let is_told = !self.task.by_hand && lost.as_ref() == Some(&self.plan.scope);
        if self.progress.is_all_elsewhere() && !is_told {
            *lost = Some(self.plan.scope.clone());
            tracing::warn!(
                elsewhere = self.progress.elsewhere,
                "all pushes that were found in the sender's history went elsewhere, for instance to \
                 {}: if that is this receiver's URL, recover.endpoint is wrong",
                self.example
            );
        }
    }

    async fn windows(&mut self) -> Result<(), Stop> {
        let Window { mut from, to } = self.task.window;
        while from < to {
            // What the sender keeps becomes less while a look goes on.
            from = from.max(before(self.recovery.clock.now(), KEPT)).min(to);
            let end = from.saturating_add(WINDOW).unwrap_or(to).min(to);
            self.window(Window { from, to: end }).await?;
            if !self.left_behind && !self.task.by_hand {
                let read = self.what_is_over(end).await;
                self.remember(Some(read)).await?;
            }
            self.show(|progress| progress.at = Some(end));
            from = end;
        }
        match self.failed.take_if(|_failed| self.doubt.remains()) {
            Some((_record, what)) => Err(Stop::Later(what)),
            None => Ok(()),
        }
    }

    /// The end of what was read up to `end`. The sender's history ends where its own clock is: behind
    /// that there is nothing yet, whatever a clock that is ahead says here.
    async fn what_is_over(&self, end: Timestamp) -> Timestamp {
        let there = self.recovery.turn.lock().await.pacer.there;
        // One of long ago is no clock's: all that the sender keeps would be read at each look.
        let long_ago = before(self.recovery.clock.now(), KEPT);
        let over = there.filter(|there| *there > long_ago).and_then(|there| {
            let settled = before(there, signed(self.plan.settle_delay));
            settled.checked_add(INEXACT).ok()
        });
        over.map_or(end, |over| end.min(over))
    }

    async fn window(&mut self, window: Window) -> Result<(), Stop> {
        let mut feeds = Feeds::new(&self.plan.scope.integrations, window, self.task.all);
        // A page that shifted, or a window begun again, shows a record twice.
        let mut met = HashSet::new();
        while self.page(&mut feeds, &mut met).await? {}
        Ok(())
    }

    /// Deals with the next records; false when there are none.
    async fn page(&mut self, feeds: &mut Feeds, met: &mut HashSet<RecordId>) -> Result<bool, Stop> {
        let mut kept = self.recovery.turn.lock().await;
        let mut records = feeds.next(PAGE, &mut self.caller(&mut kept.pacer)).await?;
        if records.is_empty() {
            return Ok(false);
        }
        records.retain(|record| met.insert(record.id()));
        let ended = self.records(&mut kept, records).await;
        // What was dealt with is not to be fetched again, whatever came after it.
        self.remember(None).await?;
        ended.map(|()| true)
    }

    fn caller<'c>(&self, pacer: &'c mut Pacer) -> Caller<'c>
    where
        'a: 'c,
    {
        Caller {
            api: &self.plan.api,
            rate: self.plan.rate,
            tries: self.recovery.tries,
            pacer,
        }
    }

    async fn records(&mut self, kept: &mut Kept, records: Vec<Record>) -> Result<(), Stop> {
        let mut ours = Vec::new();
        for record in records {
            let aim = self.plan.scope.aim(&record.endpoint);
            // Without a URL it may be anybody's.
            let is_ours = aim != Aim::Elsewhere || record.endpoint.is_empty();
            if record.strange.is_some() && is_ours {
                self.missing(kept, &record, "it cannot be read, and so not asked for");
                self.show(|progress| progress.records += 1);
                continue;
            }
            match aim {
                Aim::Elsewhere => self.elsewhere(kept, &record),
                Aim::Here(route) => ours.push((record, route)),
                Aim::Astray => {
                    self.show(|progress| {
                        progress.records += 1;
                        progress.misrouted += 1;
                    });
                    self.complain(kept, &record, "it went to a URL that is no webhook of ours");
                }
            }
        }
        let ids = ours.iter().map(|(record, _)| record.id()).collect();
        let known = self.recovery.inbox.handled(ids).await?;
        for ((record, route), known) in ours.into_iter().zip(known) {
            if !known {
                self.one(kept, &record, route).await?;
            }
            self.show(|progress| {
                progress.records += 1;
                progress.known += u64::from(known);
                progress.at = record.at().or(progress.at);
            });
        }
        Ok(())
    }

    async fn one(&mut self, kept: &mut Kept, record: &Record, route: Route) -> Result<(), Stop> {
        let Some(body) = self.body(kept, record).await? else {
            return Ok(());
        };
        let found = Found {
            record: record.id(),
            at: record.at(),
            route,
            body,
            dry_run: self.task.dry_run,
        };
        let admitted = self.recovery.admission.admit(found).await;
        let verdict = admitted.map_err(|refused| Stop::Later(refused.0))?;
        let late = self.late(record);
        self.show(|progress| progress.count(&verdict, late));
        if let Verdict::Misrouted(why) = &verdict {
            self.complain(kept, record, why);
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
    async fn body(&mut self, kept: &mut Kept, record: &Record) -> Result<Option<Bytes>, Stop> {
        let id = record.id();
        let next = kept.troubles.next(&id, &mut self.doubt);
        if next != Next::Ask {
            self.left_behind |= next != Next::Pass;
            self.progress.missing += 1;
            return Ok(None);
        }
        let mut caller = self.caller(&mut kept.pacer);
        match caller.ask::<Detail>(DETAIL, &record.detail()).await {
            Ok(detail) => {
                kept.troubles.had(&id, &mut self.doubt);
                Ok(Some(detail.request_body))
            }
            // The next look may find it: records are indexed late at times.
            Err(Fault::Invalid(_) | Fault::TooLarge(_) | Fault::Strange(_)) => {
                self.missing(kept, record, "the sender does not give what was pushed");
                Ok(None)
            }
            Err(Fault::Transient(what)) => {
                self.left_behind = true;
                if kept.troubles.failed(id, &mut self.doubt) {
                    return Err(Stop::Later(what));
                }
                self.failed = Some((record.clone(), what));
                self.progress.missing += 1;
                if kept.troubles.knows(&id) {
                    self.complain(kept, record, "the sender does not give what was pushed");
                }
                Ok(None)
            }
            Err(fault @ (Fault::Refused { .. } | Fault::Throttled { .. })) => Err(fault.into()),
        }
    }

    /// Notes that a record cannot be had while the API answers: the mark stays, for hours.
    fn missing(&mut self, kept: &mut Kept, record: &Record, why: &str) {
        let given_up = match record.strange {
            Some(_) => kept.troubles.blame(record.id(), &self.doubt),
            None => kept.troubles.lacks(record.id(), &mut self.doubt),
        };
        self.left_behind |= !given_up;
        self.progress.missing += 1;
        self.complain(kept, record, why);
    }

    /// Counts a push that was none of ours, each once: every look meets it again for a while.
    fn elsewhere(&mut self, kept: &mut Kept, record: &Record) {
        self.show(|progress| progress.elsewhere += 1);
        if self.example.is_empty() {
            self.example = match without_query(record) {
                "" => "a URL that is not told".to_owned(),
                url => url.to_owned(),
            };
        }
        if !self.task.dry_run && kept.elsewhere.meet(record.id(), ()).1 {
            let metrics = &self.recovery.metrics;
            metrics.recovered(RecoveredOutcome::elsewhere, 1);
        }
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
    fn complain(&mut self, kept: &mut Kept, record: &Record, why: &str) {
        if !kept.told.meet(record.id(), ()).1 {
            return;
        }
        let (count, example) = &mut self.strange;
        if *count == 0 {
            let (name, url) = (self.plan.api.shown(&record.name()), without_query(record));
            *example = match url {
                "" => format!("{name}, since {why}"),
                url => format!("{name} to {url}, since {why}"),
            };
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

/// The URL a record's push went to; a query may hold a secret.
fn without_query(record: &Record) -> &str {
    record.endpoint.split('?').next().unwrap_or_default()
}

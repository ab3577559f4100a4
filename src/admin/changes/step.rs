//! One step of a change: what is selected, what becomes of each, and what is told of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Action, ChangeRequest, Step, StepItem};
use crate::admin::api::{STATES, store_problem};
use crate::admin::audit::selected;
use crate::admin::params::{MAX_LIMIT, limit_in_body, moment_in_body, unprocessable, wrong_cursor};
use crate::aside::aside;
use crate::event::{Event, Id, Route, Seq, Subject};
use crate::inbox::query::{Candidate, DeliveryFilter, DeliveryState, EventFilter, EventRow};
use crate::inbox::{Audit, Change, Changed, Inbox, InboxError, What};
use crate::intake::problem::Problem;
use crate::routing::Target;
use crate::words::Words;

/// Who changes what where.
pub struct Hand<'a> {
    /// The store.
    pub inbox: &'a dyn Inbox,
    /// The sinks as they are configured now.
    pub target: &'a (dyn Fn(&str) -> Option<Target> + Send + Sync),
    /// For the audit.
    pub who: String,
    /// Now.
    pub now: Timestamp,
}

/// What is to become of one candidate.
enum Verdict {
    Change(What, &'static str),
    Leave(&'static str),
}

impl Hand<'_> {
    /// Takes one step.
    ///
    /// # Errors
    /// A problem that says what is wrong with the request, or with the store.
    pub async fn step(&self, action: Action, request: &ChangeRequest) -> Result<Step, Problem> {
        let (filter, upto) = self.filter(action, request).await?;
        let selector = selector(request, &filter);
        let page = self.inbox.candidates(filter, request.create).await;
        let page = page.map_err(|error| match (&request.cursor, error) {
            (Some(cursor), InboxError::Refused(_)) => wrong_cursor(cursor),
            (_, error) => store_problem(error),
        })?;
        let mut step = Step {
            upto,
            next_cursor: page.next_cursor.map(|cursor| format!("{upto}:{cursor}")),
            changed: 0,
            skipped: BTreeMap::new(),
            commands: 0,
            items: Vec::new(),
        };
        let mut told = Vec::with_capacity(page.items.len());
        let mut changes = Vec::new();
        for candidate in page.items {
            let verdict = self.judge(action, request, &candidate).await?;
            if let Verdict::Change(what, _) = verdict {
                changes.push(Change {
                    seq: candidate.seq,
                    sink: candidate.sink,
                    what,
                });
            }
            told.push((candidate, verdict));
        }
        let mut done = if request.dry_run || changes.is_empty() {
            vec![Changed::Done; changes.len()]
        } else {
            let audit = Audit {
                who: self.who.clone(),
                action: action.as_str(),
                selector,
                reason: request.reason.clone().unwrap_or_default(),
            };
            let done = self.inbox.change(changes, audit, self.now).await;
            done.map_err(store_problem)?
        }
        .into_iter();
        for (candidate, verdict) in told {
            let result = match verdict {
                Verdict::Leave(why) => why,
                Verdict::Change(_, word) => match done.next() {
                    Some(Changed::Done) => word,
                    Some(Changed::Waiting) => "waiting",
                    Some(Changed::Running) => "running",
                    Some(Changed::Settled) => "settled",
                    Some(Changed::Gone) | None => "gone",
                },
            };
            step.note(candidate, result);
        }
        Ok(step)
    }

    async fn judge(
        &self,
        action: Action,
        request: &ChangeRequest,
        candidate: &Candidate,
    ) -> Result<Verdict, Problem> {
        use DeliveryState::{Dead, Leased, Pending};
        let ended = candidate.leased_until.is_none_or(|end| end <= self.now);
        let state = match candidate.state {
            // Where nobody delivers any more, nobody takes it over either.
            Some(Leased) if ended => Some(Pending),
            state => state,
        };
        if action == Action::Drop {
            return Ok(match state {
                Some(Pending | Dead) => Verdict::Change(What::Drop, "dropped"),
                Some(Leased) => Verdict::Leave("running"),
                Some(_) => Verdict::Leave("settled"),
                None => Verdict::Leave("gone"),
            });
        }
        let Some(target) = (self.target)(&candidate.name) else {
            return Ok(Verdict::Leave("parked"));
        };
        Ok(match state {
            Some(Pending) => Verdict::Leave("waiting"),
            Some(Leased) => Verdict::Leave("running"),
            Some(_) => Verdict::Change(What::Replay(target.order), "replayed"),
            None if request.no_filter || self.wants(&target, candidate).await? => {
                Verdict::Change(What::Replay(target.order), "created")
            }
            None => Verdict::Leave("unwanted"),
        })
    }

    /// Whether the sink, as it is configured now, wants an event it never got.
    async fn wants(&self, target: &Target, candidate: &Candidate) -> Result<bool, Problem> {
        if target.filter.is_none() {
            return Ok(target.include_stale || !candidate.stale);
        }
        let found = self.inbox.event(candidate.seq).await;
        let Some((row, body)) = found.map_err(store_problem)? else {
            return Ok(false);
        };
        let (target, stale) = (target.clone(), candidate.stale);
        let event = event(row, body);
        let bytes = event.body.len() as u64;
        Ok(aside(bytes, move || target.wants(&Words::new(&event), stale)).await)
    }

    async fn filter(
        &self,
        action: Action,
        request: &ChangeRequest,
    ) -> Result<(DeliveryFilter, Seq), Problem> {
        self.refuse_vague(action, request)?;
        let limit = limit_in_body(request.limit, MAX_LIMIT)?;
        let subject = match &request.subject {
            None => None,
            Some(text) => Some(Subject::parse(text).ok_or_else(|| {
                unprocessable(format!(
                    "subject cannot be {text:?}; allowed: incident:<id> or alert:<id>"
                ))
            })?),
        };
        let (upto, cursor) = match &request.cursor {
            Some(text) => {
                let (upto, cursor) = text.split_once(':').ok_or_else(|| wrong_cursor(text))?;
                let upto = upto.parse().map_err(|_no_number| wrong_cursor(text))?;
                (Seq(upto), Some(cursor.to_owned()))
            }
            None => (self.newest(request).await?, None),
        };
        let filter = DeliveryFilter {
            cursor,
            limit,
            seq: request.seq,
            sink: request.sink.clone(),
            state: request.state,
            subject,
            event_id: request.event_id.clone(),
            event_type: request.event_type.clone(),
            since: moment_in_body("since", request.since.as_deref(), self.now)?,
            until: moment_in_body("until", request.until.as_deref(), self.now)?,
            upto: Some(upto),
        };
        Ok((filter, upto))
    }

    /// Refuses what would change more than anyone means, or cannot be meant.
    fn refuse_vague(&self, action: Action, request: &ChangeRequest) -> Result<(), Problem> {
        let chosen = request.state.is_some()
            || request.subject.is_some()
            || request.event_id.is_some()
            || request.event_type.is_some()
            || request.seq.is_some()
            || request.since.is_some()
            || request.until.is_some();
        let reason = request.reason.as_deref().unwrap_or_default();
        match action {
            Action::Replay if !chosen => Err(unprocessable(
                "this would replay all that is stored; give at least one of state, subject, \
                 event_id, event_type, seq, since and until",
            )),
            Action::Drop if !chosen && request.sink.is_none() => Err(unprocessable(
                "this would drop all that waits; give at least one of sink, state, subject, \
                 event_id, event_type, seq, since and until",
            )),
            Action::Drop if reason.trim().is_empty() => Err(unprocessable(
                "a drop needs a reason, which is kept in the audit and shown with the delivery",
            )),
            Action::Drop if request.create => {
                Err(unprocessable("a drop creates nothing; leave out create"))
            }
            Action::Replay if request.create && request.sink.is_none() => Err(unprocessable(
                "create makes deliveries to one sink; name it with sink",
            )),
            Action::Replay if request.create && request.state.is_some() => Err(unprocessable(
                "what is created has no state yet; leave out state or create",
            )),
            Action::Replay => self.refuse_parked(request),
            Action::Drop => Ok(()),
        }
    }

    fn refuse_parked(&self, request: &ChangeRequest) -> Result<(), Problem> {
        match &request.sink {
            Some(name) if (self.target)(name).is_none() => Err(unprocessable(format!(
                "no sink {name:?} is configured and enabled now, so nothing can be replayed to it"
            ))),
            _ => Ok(()),
        }
    }

    async fn newest(&self, request: &ChangeRequest) -> Result<Seq, Problem> {
        if let Some(upto) = request.upto {
            return Ok(upto);
        }
        let newest = EventFilter {
            limit: 1,
            ..EventFilter::default()
        };
        let page = self.inbox.events(newest).await.map_err(store_problem)?;
        Ok(page.items.first().map_or(Seq(0), |row| row.seq))
    }
}

impl Step {
    fn note(&mut self, candidate: Candidate, result: &'static str) {
        if ["replayed", "created", "dropped"].contains(&result) {
            self.changed += 1;
            self.commands += u64::from(candidate.command);
        } else {
            *self.skipped.entry(result.to_owned()).or_default() += 1;
        }
        if result != "unwanted" {
            self.items.push(StepItem {
                seq: candidate.seq,
                sink: candidate.name,
                event_id: candidate.event_id,
                event_type: candidate.event_type,
                result: result.to_owned(),
            });
        }
    }
}

/// What was selected, for the audit.
fn selector(request: &ChangeRequest, filter: &DeliveryFilter) -> String {
    let state = filter.state.and_then(|state| {
        let mut words = STATES.iter();
        words.find(|(_, known)| *known == state)
    });
    selected([
        ("sink", filter.sink.clone()),
        ("state", state.map(|(word, _)| (*word).to_owned())),
        ("subject", filter.subject.as_ref().map(ToString::to_string)),
        ("event_id", filter.event_id.clone()),
        ("event_type", filter.event_type.clone()),
        ("seq", filter.seq.map(|seq| seq.to_string())),
        ("since", filter.since.map(|at| at.to_string())),
        ("until", filter.until.map(|at| at.to_string())),
        ("create", request.create.then(|| "true".to_owned())),
        ("no_filter", request.no_filter.then(|| "true".to_owned())),
    ])
}

/// A stored event as filters read it.
fn event(row: EventRow, body: Bytes) -> Event {
    Event {
        event_id: row.event_id.as_deref().map(Id::new),
        event_type: Id::new(&row.event_type),
        event_time: row.event_time,
        subject: row.subject.as_deref().and_then(Subject::parse),
        route: Route {
            tag: row.tag.map(Into::into),
            query: row.query.map(Into::into),
        },
        command: row.command,
        source_ip: row.source_ip,
        peer_ip: row.peer_ip,
        received_at: row.received_at,
        origin: row.origin,
        trace_parent: None,
        body,
    }
}

//! From a whole body to its answer: understood, offered, and waited for.
//!
//! The offer is never taken back. When its handler ends first, because the client hung up or the
//! time is over, the line about its end is written all the same.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, header};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::body::Share;
use super::receive::Push;
use super::rules::Arrival;
use super::spans::Commit;
use super::{Intake, OnLate, answer};
use crate::aside::aside;
use crate::event::{Event, Id, Origin};
use crate::inbox::{Offer, Refusal, Taken, Unreadable};
use crate::metrics::PushOutcome;

/// A body that took nearly all of the time still gets this much for its commit.
const LEAST_WAIT: Duration = Duration::from_millis(100);

impl Push {
    pub(super) async fn take(self, parts: &Parts, body: Bytes, share: Share) -> Response {
        let mut codings = parts.headers.get_all(header::CONTENT_ENCODING).iter();
        if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let detail = "the body has a content encoding; send it as plain JSON".to_owned();
            return self
                .keep(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail, body)
                .await;
        }
        let bytes = body.len() as u64;
        let (rules, whole) = (Arc::clone(&self.rules), body.clone());
        let read = aside(bytes, move || rules.envelope.read(&whole)).await;
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(error) => {
                let status = match error {
                    crate::envelope::Unreadable::NotJson { .. } => StatusCode::BAD_REQUEST,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                return self.keep(status, error.to_string(), body).await;
            }
        };
        if !envelope.placeholders.is_empty() && self.intake.refusals.admit(self.source_ip).is_some()
        {
            tracing::warn!(
                fields = ?envelope.placeholders,
                "a custom body names paths that this event does not have: the fields still hold {{{{ and count as absent"
            );
        }
        let now = self.intake.clock.now();
        let waited = self.start.elapsed();
        let arrival = Arrival {
            route: self.route.clone(),
            source_ip: self.source_ip,
            peer_ip: Some(self.peer.socket),
            received_at: now.checked_sub(waited).unwrap_or(now),
            origin: Origin::Push,
            trace_parent: self.trace_parent().map(|parent| parent.to_string().into()),
            body,
        };
        if let Some(time) = envelope.event_time {
            let lag = arrival.received_at.as_millisecond().saturating_sub(time);
            let lag = Duration::from_millis(u64::try_from(lag).unwrap_or_default());
            self.intake.metrics.lagged(lag);
        }
        let rules = Arc::clone(&self.rules);
        let offer = aside(bytes, move || rules.offer(envelope, arrival, now)).await;
        self.offer(offer, share).await
    }

    /// Offers the event and waits for the outcome, until the sender would have given up.
    async fn offer(mut self, offer: Offer, share: Share) -> Response {
        let event = Arc::clone(&offer.event);
        let deadline = self.deadline();
        let committed = self.intake.committer.offer(offer);
        // While the store works.
        if let Some(trace) = &mut self.trace {
            trace.is_about(&event);
        }
        let commit = self.trace.as_ref();
        let commit = commit.and_then(|trace| trace.commit(&self.intake));
        // Whatever becomes of this handler, the offer goes on, and somebody looks at its end.
        let mut waiting = Waiting {
            intake: Arc::clone(&self.intake),
            rest: Some((committed, event, share)),
            commit,
            late: false,
        };
        let answered = tokio::time::timeout_at(deadline, waiting.outcome()).await;
        if let Ok(ended) = &answered {
            waiting.end_commit(ended);
        }
        match answered {
            Ok(Ok(taken)) => {
                let (_, event, _) = waiting.rest.take().expect("taken once");
                self.report(&event, &taken).await;
                let response = answer::acknowledged(&taken, event.event_id.as_ref());
                self.done((taken.outcome().into(), response))
            }
            Ok(Err(Refusal::Event(reason))) => {
                let (_, event, _) = waiting.rest.take().expect("taken once");
                let body = event.body.clone();
                self.keep(StatusCode::SERVICE_UNAVAILABLE, reason, body)
                    .await
            }
            Ok(Err(refusal)) => {
                waiting.rest = None;
                let detail = format!("{refusal}; the push was not stored");
                self.refuse(
                    StatusCode::SERVICE_UNAVAILABLE,
                    PushOutcome::overloaded,
                    detail,
                )
            }
            Err(_elapsed) => {
                waiting.late = true;
                drop(waiting);
                self.outcome = Some(PushOutcome::late);
                self.late()
            }
        }
    }

    /// When the sender would have given up.
    fn deadline(&self) -> Instant {
        (self.start + self.rules.ack_deadline).max(Instant::now() + LEAST_WAIT)
    }

    fn late(self) -> Response {
        let response = match self.rules.on_late {
            OnLate::Close => answer::hung_up(),
            OnLate::Answer => answer::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                PushOutcome::late,
                "the store did not confirm in time; the push may still be stored".to_owned(),
            ),
        };
        self.done((PushOutcome::late, response))
    }

    /// Tells of a push that does not become a delivered event, and keeps a duplicate's other body.
    async fn report(&self, event: &Event, taken: &Taken) {
        let Taken::Judged(offered) = taken else {
            return;
        };
        offered.tell("push", event);
        if offered.differs {
            let reason = format!("a duplicate of event {} with another body", offered.seq);
            self.store_unreadable(reason, event.body.clone()).await;
        }
    }

    /// Keeps what a trusted source sent and cannot be used, then refuses it.
    async fn keep(self, status: StatusCode, detail: String, body: Bytes) -> Response {
        self.store_unreadable(detail.clone(), body).await;
        self.refuse(status, PushOutcome::invalid, detail)
    }

    async fn store_unreadable(&self, reason: String, body: Bytes) {
        let unreadable = Unreadable {
            received_at: self.intake.clock.now(),
            reason,
            route: self.route.clone(),
            source_ip: self.source_ip,
            peer_ip: Some(self.peer.socket),
            body,
        };
        let keeping = self.intake.keeper.keep(unreadable, self.rules.unreadable);
        // Late or not, it is kept, and the answer does not depend on it.
        if let Ok(Err(error)) = tokio::time::timeout_at(self.deadline(), keeping).await
            && self.intake.refusals.admit(self.source_ip).is_some()
        {
            tracing::error!("a push that cannot be used could not be kept: {error}");
        }
    }
}

/// The store's answer, on its way.
type Committing = oneshot::Receiver<Result<Taken, Refusal>>;

/// An offer whose handler may end before it does.
struct Waiting {
    intake: Arc<Intake>,
    rest: Option<(Committing, Arc<Event>, Share)>,
    commit: Option<Commit>,
    late: bool,
}

impl Waiting {
    async fn outcome(&mut self) -> Result<Taken, Refusal> {
        match &mut self.rest {
            Some((committed, ..)) => committed.await.unwrap_or(Err(Refusal::Failed)),
            None => Err(Refusal::Failed),
        }
    }

    fn end_commit(&mut self, answer: &Result<Taken, Refusal>) {
        if let Some(commit) = self.commit.take() {
            commit.end(&self.intake, answer);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some((committed, event, mut share)) = self.rest.take() else {
            return;
        };
        share.leave_behind(event.body.len());
        let outcome = if self.late {
            PushOutcome::late
        } else {
            PushOutcome::aborted
        };
        let (commit, intake) = (self.commit.take(), Arc::clone(&self.intake));
        let _following = self.intake.lifecycle.spawn(async move {
            let committed = committed.await.unwrap_or(Err(Refusal::Failed));
            drop(share);
            if let Some(commit) = commit {
                commit.end(&intake, &committed);
            }
            tracing::warn!(
                target: "flashduty::push",
                outcome = outcome.as_str(),
                event_id = event.event_id.as_ref().map(Id::as_str),
                event_type = event.event_type.as_str(),
                subject = event.subject.as_ref().map(tracing::field::display),
                trace_id = event.trace_id(),
                committed = committed.is_ok(),
                seq = committed.as_ref().ok().and_then(Taken::seq).map(|seq| seq.0),
                error = committed.as_ref().err().map(tracing::field::display),
                "the store answered after the push was over"
            );
        });
    }
}

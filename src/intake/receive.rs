//! One push, from its head to its answer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use super::body::{self, BodyError, Bounds};
use super::misrouted::misrouted;
use super::problem::Problem;
use super::spans::{self, Trace};
use super::{Intake, Rules, answer};
use crate::event::Route;
use crate::listener::{BrokenHead, RequestStart};
use crate::metrics::PushOutcome;
use crate::source::denial::BESIDE;
use crate::source::{Decision, Judgement, Peer};
use crate::trace::TraceParent;

/// A push to the webhook path itself.
pub(super) async fn receive(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    Push::begin(intake, &request, None).answer(request).await
}

/// A push to a tag.
pub(super) async fn receive_tagged(
    State(intake): State<Arc<Intake>>,
    tag: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // What is not UTF-8 is refused with all else that is no tag, once the source is judged.
    let tag = tag.map_or_else(|_refused| "\u{FFFD}".to_owned(), |Path(tag)| tag);
    Push::begin(intake, &request, Some(tag.into()))
        .answer(request)
        .await
}

/// A path nobody serves. A push that went astray is told where to go.
pub(super) async fn not_found(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    if is_probe(&request) {
        let detail = "nothing is served at this path";
        return Problem::new(StatusCode::NOT_FOUND, detail).into_response();
    }
    let detail = "there is no webhook at this path; see server.path";
    Push::begin(intake, &request, None).astray(&request, StatusCode::NOT_FOUND, detail)
}

/// A method the path does not know.
pub(super) async fn method_not_allowed(intake: Arc<Intake>, request: Request) -> Response {
    let detail = "pushes come by POST to the webhook path; probes by GET or HEAD";
    if is_probe(&request) {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    }
    Push::begin(intake, &request, None).astray(&request, StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// A head that never became a request. What is no look counts as a push, and leaves a line.
pub(super) fn broken_head(intake: &Arc<Intake>, head: &BrokenHead) -> Problem {
    let problem = Problem::new(head.status, head.detail.clone());
    if head.is_look() {
        return problem;
    }
    let route = Route {
        tag: None,
        query: None,
    };
    let mut push = Push::from_peer(Arc::clone(intake), head.began, head.peer, route);
    // Counted whoever it is from: it may have been meant for the webhook. But anybody could use up
    // the budget with such heads, or hide behind many of them that it is used up.
    push.counts = Counts::Head;
    let _may_push = push.judge_astray(&HeaderMap::new());
    let outcome = PushOutcome::invalid;
    push.log_refusal(outcome, &head.detail);
    push.outcome = Some(outcome);
    problem.with_outcome(outcome.as_str())
}

/// Balancers, browsers and the curious ask; they carry no event, and leave no line.
fn is_probe(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// One push under way. Dropped without an outcome, it counts as aborted.
pub(super) struct Push {
    pub(super) intake: Arc<Intake>,
    pub(super) rules: Arc<Rules>,
    pub(super) start: Instant,
    pub(super) peer: Peer,
    pub(super) source_ip: Option<IpAddr>,
    /// Its address may not push.
    pub(super) stranger: bool,
    pub(super) route: Route,
    pub(super) outcome: Option<PushOutcome>,
    /// The trace that it says it is a part of; asked only of those who may push.
    pub(super) came_from: Option<TraceParent>,
    /// Absent where nothing is traced.
    pub(super) trace: Option<Trace>,
    counts: Counts,
}

/// As what it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Push,
    /// A head that never became a request.
    Head,
    Nothing,
}

impl Push {
    fn begin(intake: Arc<Intake>, request: &Request, tag: Option<Box<str>>) -> Self {
        let extensions = request.extensions();
        let start = extensions
            .get::<RequestStart>()
            .map_or_else(Instant::now, |start| start.0);
        let nowhere = Peer::new(IpAddr::from([0, 0, 0, 0]), None);
        let query = request.uri().query().filter(|query| !query.is_empty());
        let peer = extensions.get::<Peer>().copied().unwrap_or(nowhere);
        let route = Route {
            tag,
            query: query.map(Into::into),
        };
        Self::from_peer(intake, start, peer, route)
    }

    fn from_peer(intake: Arc<Intake>, start: Instant, peer: Peer, route: Route) -> Self {
        Self {
            rules: intake.rules.load_full(),
            intake,
            start,
            peer,
            source_ip: None,
            stranger: false,
            route,
            outcome: None,
            came_from: None,
            trace: None,
            counts: Counts::Push,
        }
    }

    /// Refuses what went to the wrong place. From who may push it is a push that went astray; from
    /// anybody else it is what every port gets to see, and leaves no more than a line.
    fn astray(mut self, request: &Request, status: StatusCode, detail: &'static str) -> Response {
        if self.judge_astray(request.headers()) {
            self.came_from = spans::parent(request.headers());
            return self.refuse(status, PushOutcome::invalid, detail.to_owned());
        }
        self.counts = Counts::Nothing;
        self.log_refusal(PushOutcome::invalid, detail);
        Problem::new(status, detail).into_response()
    }

    /// Finds out whose it is, which the answer does not depend on. Whether they may push.
    fn judge_astray(&mut self, headers: &HeaderMap) -> bool {
        let judgement = self.rules.source.judge(&self.peer, headers);
        self.source_ip = judgement.client;
        self.stranger = matches!(judgement.decision, Decision::Denied { .. });
        matches!(judgement.decision, Decision::Allowed { .. })
    }

    async fn answer(mut self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let judgement = self.rules.source.judge(&self.peer, &parts.headers);
        self.source_ip = judgement.client;
        if let Some(refusal) = self.judge_source(judgement, &parts.headers) {
            return self.done(refusal);
        }
        self.came_from = spans::parent(&parts.headers);
        self.trace = Trace::begin(&self.intake, self.came_from);
        if let Some(detail) = misrouted(&self.route, &*self.intake.inbox) {
            return self.refuse(StatusCode::NOT_FOUND, PushOutcome::invalid, detail);
        }
        let now = self.intake.clock.now();
        self.intake
            .metrics
            .last_push
            .set(now.as_duration().as_secs_f64());
        let bounds = Bounds {
            max_body: self.rules.max_body,
            max_inflight: self.rules.max_inflight,
            timeout: self.rules.body_timeout,
        };
        match body::read(body, bounds, &self.intake.budget).await {
            Ok((bytes, share)) => self.take(&parts, bytes, share).await,
            Err(error) => self.refuse_body(error),
        }
    }

    /// The refusal of a source that may not push, with its log line.
    fn judge_source(
        &self,
        judgement: Judgement,
        headers: &HeaderMap,
    ) -> Option<(PushOutcome, Response)> {
        match judgement.decision {
            Decision::Allowed { unlisted } => {
                if unlisted {
                    self.intake.metrics.unlisted_source.inc();
                    self.warn_unlisted("was let in by its secret alone");
                }
                None
            }
            Decision::Denied {
                reason,
                hint,
                secret_right,
            } => {
                if secret_right {
                    self.intake.metrics.unlisted_source.inc();
                    self.warn_unlisted("was refused");
                }
                let address = judgement.client.unwrap_or(self.peer.socket);
                if let Some(suppressed) = self.intake.strangers.admit(Some(address)) {
                    tracing::warn!(
                        target: "flashduty::push",
                        outcome = "denied",
                        reason = reason.as_str(),
                        source_ip = judgement.client.map(tracing::field::display),
                        peer_ip = %self.peer.socket,
                        forwarded = self.rules.source.forwarding_excerpt(headers),
                        hint,
                        suppressed = (suppressed > 0).then_some(suppressed),
                        "push denied"
                    );
                }
                let detail = format!("the source {address} may not push here");
                let outcome = PushOutcome::denied;
                Some((
                    outcome,
                    answer::refused(StatusCode::FORBIDDEN, outcome, detail),
                ))
            }
            Decision::Unauthorized { header, missing } => {
                let what = if missing { "is missing" } else { "is wrong" };
                let detail = format!("the secret header {header} {what}");
                self.log_refusal(PushOutcome::unauthorized, &detail);
                let outcome = PushOutcome::unauthorized;
                Some((
                    outcome,
                    answer::refused(StatusCode::UNAUTHORIZED, outcome, detail),
                ))
            }
        }
    }

    fn warn_unlisted(&self, what: &str) {
        let Some(address) = self.source_ip else {
            return;
        };
        if self.intake.unlisted.admit(Some(address)).is_some() {
            tracing::warn!(
                source_ip = %address,
                peer_ip = %self.peer.socket,
                "a push with the right secret {what}: this address is not listed; if the sender \
                 has moved, add it to source.allow, {BESIDE}"
            );
        }
    }

    fn refuse_body(self, error: BodyError) -> Response {
        let (status, outcome, detail) = match error {
            BodyError::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                PushOutcome::too_large,
                format!(
                    "the body is over server.max_body, {} bytes",
                    self.rules.max_body
                ),
            ),
            BodyError::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                PushOutcome::timeout,
                format!(
                    "the body was not complete after {:?}",
                    self.rules.body_timeout
                ),
            ),
            BodyError::NoMemory => (
                StatusCode::SERVICE_UNAVAILABLE,
                PushOutcome::overloaded,
                "bodies under way take all of server.max_inflight".to_owned(),
            ),
            BodyError::Aborted => (
                StatusCode::BAD_REQUEST,
                PushOutcome::aborted,
                "the connection ended before the body did".to_owned(),
            ),
        };
        self.refuse(status, outcome, detail)
    }

    pub(super) fn refuse(
        self,
        status: StatusCode,
        outcome: PushOutcome,
        detail: String,
    ) -> Response {
        self.log_refusal(outcome, &detail);
        self.done((outcome, answer::refused(status, outcome, detail)))
    }

    pub(super) fn log_refusal(&self, outcome: PushOutcome, detail: &str) {
        let source = self.source_ip.unwrap_or(self.peer.socket);
        let lines = if self.stranger {
            &self.intake.strangers
        } else {
            &self.intake.refusals
        };
        if let Some(suppressed) = lines.admit(Some(source)) {
            let trace = self.trace_parent().map(|parent| parent.trace);
            tracing::warn!(
                target: "flashduty::push",
                outcome = outcome.as_str(),
                source_ip = self.source_ip.map(tracing::field::display),
                peer_ip = %self.peer.socket,
                tag = self.route.tag.as_deref(),
                trace_id = trace.map(tracing::field::display),
                suppressed = (suppressed > 0).then_some(suppressed),
                "push refused: {detail}"
            );
        }
    }

    pub(super) fn done(mut self, (outcome, response): (PushOutcome, Response)) -> Response {
        self.outcome = Some(outcome);
        if let Some(trace) = &mut self.trace {
            trace.answered(response.status());
        }
        response
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        if self.counts == Counts::Nothing {
            return;
        }
        let outcome = self.outcome.unwrap_or_else(|| {
            self.log_refusal(
                PushOutcome::aborted,
                "the connection ended before the answer",
            );
            PushOutcome::aborted
        });
        let (metrics, took) = (&self.intake.metrics, self.start.elapsed());
        match self.counts {
            Counts::Head => metrics.head(outcome, took),
            _ => metrics.push(outcome, took),
        }
        self.end_trace(outcome);
    }
}

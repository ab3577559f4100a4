//! One push, from its head to its answer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::body::{self, BodyError, Bounds, Share};
use super::problem::Problem;
use super::{Intake, OnLate, Rules, answer};
use crate::envelope::Envelope;
use crate::event::{Event, Id, Origin, Outcome, Route};
use crate::inbox::{Offer, Offered, Refusal, Unreadable};
use crate::listener::RequestStart;
use crate::metrics::PushOutcome;
use crate::source::{Decision, Judgement, Peer};

/// The longest query string that names a route: routes are remembered for good.
const MAX_QUERY: usize = 1024;
/// A body that took nearly all of the time still gets this much for its commit.
const LEAST_WAIT: std::time::Duration = std::time::Duration::from_millis(100);

/// A push to the webhook path itself.
pub(super) async fn receive(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    Push::begin(intake, &request, None).answer(request).await
}

/// A push to a tag.
pub(super) async fn receive_tagged(
    State(intake): State<Arc<Intake>>,
    Path(tag): Path<String>,
    request: Request,
) -> Response {
    Push::begin(intake, &request, Some(tag.into()))
        .answer(request)
        .await
}

/// A path nobody serves. A push that went astray is told where to go.
pub(super) async fn not_found(State(intake): State<Arc<Intake>>, request: Request) -> Response {
    let astray = request.method() == Method::POST;
    if astray {
        let push = Push::begin(intake, &request, None);
        let detail = "there is no webhook at this path; see server.path".to_owned();
        return push.refuse(StatusCode::NOT_FOUND, PushOutcome::invalid, detail);
    }
    Problem::new(StatusCode::NOT_FOUND, "nothing is served at this path").into_response()
}

/// A method the path does not know.
pub(super) async fn method_not_allowed() -> Response {
    let detail = "pushes come by POST to the webhook path; probes by GET or HEAD";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

/// One push under way. Dropped without an outcome, it counts as aborted.
struct Push {
    intake: Arc<Intake>,
    rules: Arc<Rules>,
    start: Instant,
    peer: Peer,
    source_ip: Option<IpAddr>,
    route: Route,
    outcome: Option<PushOutcome>,
}

/// What is left of a push once its event is understood, for its log line.
struct About {
    event_id: Option<Id>,
    event_type: Id,
    subject: Option<String>,
    body: Bytes,
}

impl Push {
    fn begin(intake: Arc<Intake>, request: &Request, tag: Option<Box<str>>) -> Self {
        let extensions = request.extensions();
        let start = extensions
            .get::<RequestStart>()
            .map_or_else(Instant::now, |start| start.0);
        let nowhere = Peer::new(IpAddr::from([0, 0, 0, 0]), None);
        let query = request.uri().query().filter(|query| !query.is_empty());
        Self {
            rules: intake.rules.load_full(),
            intake,
            start,
            peer: extensions.get::<Peer>().copied().unwrap_or(nowhere),
            source_ip: None,
            route: Route {
                tag,
                query: query.map(Into::into),
            },
            outcome: None,
        }
    }

    async fn answer(mut self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let judgement = self.rules.source.judge(&self.peer, &parts.headers);
        self.source_ip = judgement.client;
        if let Some(refusal) = self.judge_source(judgement, &parts.headers) {
            return self.done(refusal);
        }
        if let Some(detail) = self.misrouted() {
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
                if let Some(suppressed) = self.intake.refusals.admit(Some(address)) {
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
                 has moved, add it to source.allow"
            );
        }
    }

    /// Why the URL names no route.
    fn misrouted(&self) -> Option<String> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let tag_is_good = self
            .route
            .tag
            .as_ref()
            .is_none_or(|tag| (1..=64).contains(&tag.len()) && tag.bytes().all(good));
        if !tag_is_good {
            return Some("a tag is 1 to 64 of A-Z a-z 0-9 . _ -".to_owned());
        }
        let long = self
            .route
            .query
            .as_ref()
            .is_some_and(|query| query.len() > MAX_QUERY);
        long.then(|| format!("a query string has at most {MAX_QUERY} bytes"))
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
                "large bodies under way take all of server.max_inflight".to_owned(),
            ),
            BodyError::Aborted => (
                StatusCode::BAD_REQUEST,
                PushOutcome::aborted,
                "the connection ended before the body did".to_owned(),
            ),
        };
        self.refuse(status, outcome, detail)
    }

    async fn take(self, parts: &Parts, body: Bytes, share: Share) -> Response {
        let coding = parts.headers.get(header::CONTENT_ENCODING);
        if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let detail = "the body has a content encoding; send it as plain JSON".to_owned();
            return self
                .keep(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail, body)
                .await;
        }
        let envelope = match self.rules.envelope.read(&body) {
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
        let offer = offer_of(&self, envelope, body, trace_parent(&parts.headers));
        self.offer(offer, share).await
    }

    /// Offers the event and waits for the outcome, until the sender would have given up.
    async fn offer(mut self, offer: Offer, share: Share) -> Response {
        let about = About {
            event_id: offer.event.event_id.clone(),
            event_type: offer.event.event_type.clone(),
            subject: offer.event.subject.as_ref().map(ToString::to_string),
            body: offer.event.body.clone(),
        };
        let deadline = (self.start + self.rules.ack_deadline).max(Instant::now() + LEAST_WAIT);
        let committed = self.intake.committer.offer(offer);
        // Whatever becomes of this handler, the offer goes on, and somebody looks at its end.
        let mut waiting = Waiting {
            intake: Arc::clone(&self.intake),
            rest: Some((committed, about, share)),
            late: false,
        };
        let answered = tokio::time::timeout_at(deadline, waiting.outcome()).await;
        match answered {
            Ok(Ok(offered)) => {
                let (_, about, _) = waiting.rest.take().expect("taken once");
                self.report(&about, &offered).await;
                let response = answer::acknowledged(&offered, about.event_id.as_ref());
                self.done((offered.outcome.into(), response))
            }
            Ok(Err(Refusal::Event(reason))) => {
                let (_, about, _) = waiting.rest.take().expect("taken once");
                self.keep(StatusCode::SERVICE_UNAVAILABLE, reason, about.body)
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

    /// The line of a push that does not become a delivered event.
    async fn report(&self, about: &About, offered: &Offered) {
        if offered.outcome == Outcome::Accepted {
            return;
        }
        tracing::info!(
            target: "flashduty::push",
            outcome = offered.outcome.as_str(),
            seq = offered.seq.0,
            event_id = about.event_id.as_ref().map(Id::as_str),
            event_type = about.event_type.as_str(),
            subject = about.subject,
            tag = self.route.tag.as_deref(),
            source_ip = self.source_ip.map(tracing::field::display),
            peer_ip = %self.peer.socket,
            differs = offered.differs.then_some(true),
            "push {}", offered.outcome.as_str()
        );
        if offered.differs {
            let reason = format!("a duplicate of event {} with another body", offered.seq);
            self.store_unreadable(reason, about.body.clone()).await;
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
        match self
            .intake
            .inbox
            .keep_unreadable(unreadable, self.rules.unreadable)
            .await
        {
            Ok(_id) => {
                self.intake.metrics.unreadable.inc();
            }
            Err(error) => tracing::error!("a push that cannot be used could not be kept: {error}"),
        }
    }

    fn refuse(self, status: StatusCode, outcome: PushOutcome, detail: String) -> Response {
        self.log_refusal(outcome, &detail);
        self.done((outcome, answer::refused(status, outcome, detail)))
    }

    fn log_refusal(&self, outcome: PushOutcome, detail: &str) {
        let source = self.source_ip.unwrap_or(self.peer.socket);
        if let Some(suppressed) = self.intake.refusals.admit(Some(source)) {
            tracing::warn!(
                target: "flashduty::push",
                outcome = outcome.as_str(),
                source_ip = self.source_ip.map(tracing::field::display),
                peer_ip = %self.peer.socket,
                tag = self.route.tag.as_deref(),
                suppressed = (suppressed > 0).then_some(suppressed),
                "push refused: {detail}"
            );
        }
    }

    fn done(mut self, (outcome, response): (PushOutcome, Response)) -> Response {
        self.outcome = Some(outcome);
        response
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or_else(|| {
            self.log_refusal(PushOutcome::aborted, "the client went away");
            PushOutcome::aborted
        });
        self.intake.metrics.push(outcome);
        self.intake
            .metrics
            .ack_seconds
            .observe(self.start.elapsed().as_secs_f64());
    }
}

/// The store's answer, on its way.
type Committing = oneshot::Receiver<Result<Offered, Refusal>>;

/// An offer whose handler may end before it does.
struct Waiting {
    intake: Arc<Intake>,
    rest: Option<(Committing, About, Share)>,
    late: bool,
}

impl Waiting {
    async fn outcome(&mut self) -> Result<Offered, Refusal> {
        match &mut self.rest {
            Some((committed, ..)) => committed.await.unwrap_or(Err(Refusal::Failed)),
            None => Err(Refusal::Failed),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some((committed, about, share)) = self.rest.take() else {
            return;
        };
        let outcome = if self.late {
            PushOutcome::late
        } else {
            PushOutcome::aborted
        };
        let _following = self.intake.lifecycle.spawn(async move {
            let committed = committed.await.unwrap_or(Err(Refusal::Failed));
            drop(share);
            tracing::warn!(
                target: "flashduty::push",
                outcome = outcome.as_str(),
                event_id = about.event_id.as_ref().map(Id::as_str),
                event_type = about.event_type.as_str(),
                subject = about.subject,
                committed = committed.is_ok(),
                seq = committed.as_ref().ok().map(|offered| offered.seq.0),
                error = committed.as_ref().err().map(tracing::field::display),
                "the store answered after the push was over"
            );
        });
    }
}

fn offer_of(push: &Push, envelope: Envelope, body: Bytes, trace_parent: Option<Box<str>>) -> Offer {
    let now = push.intake.clock.now();
    let waited = push.start.elapsed();
    let received_at = now.checked_sub(waited).unwrap_or(now);
    let key = envelope.key(&push.route, &body);
    if let Some(time) = envelope.event_time {
        let lag = received_at.as_millisecond().saturating_sub(time);
        #[expect(clippy::cast_precision_loss, reason = "a lag in seconds")]
        push.intake
            .metrics
            .event_lag
            .observe(lag.max(0) as f64 / 1000.0);
    }
    let skew = i64::try_from(push.rules.max_clock_skew.as_millis()).unwrap_or(i64::MAX);
    let latest = now.as_millisecond().saturating_add(skew);
    Offer {
        key,
        moves_mark: !envelope.command && envelope.event_time.is_some_and(|time| time <= latest),
        wanted: push.rules.routing.wanted(),
        event: Arc::new(Event {
            event_id: envelope.event_id,
            event_type: envelope.event_type,
            event_time: envelope.event_time,
            subject: envelope.subject,
            route: push.route.clone(),
            command: envelope.command,
            source_ip: push.source_ip,
            peer_ip: Some(push.peer.socket),
            received_at,
            origin: Origin::Push,
            trace_parent,
            body,
        }),
    }
}

/// The trace context, when it has the shape that W3C Trace Context gives version 00.
fn trace_parent(headers: &HeaderMap) -> Option<Box<str>> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let shaped = text.len() == 55
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    shaped.then(|| text.into())
}

//! The public side: a push comes in, is made durable, and is answered in time.
//!
//! The source is judged before the body is read. 200 is answered only after the commit. An offer
//! is never taken back: a client that hangs up after its last byte has still delivered its event.

mod answer;
mod body;
pub mod health;
mod misrouted;
pub mod problem;
mod offer;
mod receive;
mod refusals;
mod rules;
mod spans;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue};
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};

pub use self::body::Budget;
use self::health::Health;
pub use self::misrouted::misrouted;
pub use self::refusals::Refusals;
pub use self::rules::{Arrival, OnLate, Rules};
use crate::clock::Clock;
use crate::inbox::{Committer, Inbox, Keeper};
use crate::lifecycle::Lifecycle;
use crate::listener::RefuseHead;
use crate::metrics::Metrics;
use crate::trace::Tracer;

const REQUEST_ID: &str = "x-request-id";

/// The longest request id that is taken over; a W3C trace id and a UUID are shorter by far.
const MAX_REQUEST_ID: usize = 128;

/// What the handlers share.
pub struct Intake {
    /// Read anew for each push.
    pub rules: Arc<ArcSwap<Rules>>,
    /// Where events are offered.
    pub committer: Committer,
    /// Asked whether it takes a URL.
    pub inbox: Arc<dyn Inbox>,
    /// Where unreadable pushes are kept.
    pub keeper: Keeper,
    /// Asked by the probes.
    pub health: Arc<dyn Health>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What spans are made with.
    pub tracer: Tracer,
    /// What follows up on a push after its handler is gone.
    pub lifecycle: Lifecycle,
    /// Memory for large bodies.
    pub budget: Arc<Budget>,
    /// Keeps refusals from filling the log.
    pub refusals: Refusals,
    /// The same for those whose address may not push, so that they crowd out nobody else's lines.
    pub strangers: Refusals,
    /// Keeps the warning about an unlisted address to once in a while.
    pub unlisted: Refusals,
}

/// The routes of the public listener; pushes come to `path` and `path/{tag}`.
pub fn router(intake: Arc<Intake>, path: &str) -> Router {
    let health = Arc::clone(&intake.health);
    let misused = Arc::clone(&intake);
    let balancer = Router::new()
        .route("/", get(health::readyz))
        .with_state(Arc::clone(&health));
    let base = path.trim_end_matches('/');
    let own = if base.is_empty() { "/" } else { base };
    let pushes = Router::new()
        .route(own, post(receive::receive))
        .route(&format!("{base}/{{tag}}"), post(receive::receive_tagged))
        .fallback(receive::not_found)
        .with_state(intake);
    let header = HeaderName::from_static(REQUEST_ID);
    // As one, from the outermost: each layer on its own would put every route into one more box,
    // which is cloned for each request.
    let layers = ServiceBuilder::new()
        .layer(MapRequestLayer::new(without_odd_id))
        .layer(SetRequestIdLayer::new(header.clone(), RequestIds::new()))
        .layer(PropagateRequestIdLayer::new(header))
        .layer(CatchPanicLayer::custom(answer::panicked));
    // A webhook at the root shares it with the probes of balancers.
    pushes
        .merge(balancer)
        .merge(health::routes(health))
        .method_not_allowed_fallback(move |request| {
            receive::method_not_allowed(Arc::clone(&misused), request)
        })
        .layer(layers)
}

/// Answers heads on the public listener that are no HTTP, as every other refusal is answered.
pub fn refuse_heads(intake: Arc<Intake>) -> RefuseHead {
    let ids = RequestIds::new();
    Arc::new(move |head| {
        let mut answer = receive::broken_head(&intake, head).into_bytes();
        if let Some(id) = ids.next() {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer
    })
}

/// Drops a request id that is not worth repeating: it goes into an answer, and from there into the
/// logs of others.
fn without_odd_id(mut request: Request) -> Request {
    let mut given = request.headers().get_all(REQUEST_ID).iter();
    if let Some(first) = given.next() {
        let plain = (1..=MAX_REQUEST_ID).contains(&first.len())
            && first.as_bytes().iter().all(u8::is_ascii_graphic);
        if !plain || given.next().is_some() {
            request.headers_mut().remove(REQUEST_ID);
        }
    }
    request
}

/// Ids that cost no call of the system: what tells this process apart, then a number.
#[derive(Clone)]
struct RequestIds {
    process: Arc<str>,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    fn new() -> Self {
        // Version 7: sortable by the time of the start.
        let process = uuid::Uuid::now_v7().simple().to_string();
        Self {
            process: process.into(),
            next: Arc::default(),
        }
    }

    fn next(&self) -> Option<HeaderValue> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = String::with_capacity(self.process.len() + 17);
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{}-{number:x}", self.process);
        HeaderValue::try_from(text).ok()
    }
}

impl MakeRequestId for RequestIds {
    fn make_request_id<B>(&mut self, _request: &http::Request<B>) -> Option<RequestId> {
        self.next().map(RequestId::new)
    }
}

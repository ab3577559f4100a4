//! The admin listener: metrics, health, and a JSON API over the inbox for people and scripts, with a
//! console for browsers.
//!
//! Metrics, health and the console's files, which hold no data, are open to whoever reaches the
//! listener; everything else passes [`access`] first, also paths that do not exist. Bodies of events
//! come from strangers: they leave here as bytes to download, never as something a browser would
//! render.

pub mod access;
pub mod api;
mod audit;
mod body;
pub mod changes;
mod console;
mod events;
mod exposition;
mod guesses;
mod openapi;
mod params;
mod process;
pub mod recovery;
pub mod series;
mod session;
pub mod spilled;
pub mod status;
pub mod stream;
pub mod subjects;
#[cfg(test)]
mod tests;
pub mod unreadable;
mod who;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use self::api::Reoffered;
use self::exposition::Exposition;
use self::guesses::Guesses;
use self::spilled::SpillShown;
use self::stream::Streams;
use self::unreadable::Carried;
use crate::clock::Clock;
use crate::inbox::spill::{Drained, Spilled};
use crate::inbox::{Audit, Inbox, Rate, Replica, Unreadable};
use crate::intake::Refusals;
use crate::intake::health::{self, Health};
use crate::intake::problem::Problem;
use crate::listener::RefuseHead;
use crate::metrics::Metrics;
use crate::recover::{Ask, LastRun, Progress};
use crate::routing::Target;
use crate::source::Peer;

/// What the admin listener shows and does.
pub struct Admin {
    /// Read for the API; never written except through the hooks.
    pub inbox: Arc<dyn Inbox>,
    /// Printed by `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Asked by the probes and by `status`.
    pub health: Arc<dyn Health>,
    /// What changing requests do.
    pub hooks: Arc<dyn AdminHooks>,
    /// `admin.token`; a reload may change it under the running listener.
    pub token: Arc<ArcSwapOption<SecretString>>,
    /// Where the listener is bound: a loopback address needs no token.
    pub listen: SocketAddr,
    /// Tells the time for `status`, and for `since` and `until`.
    pub clock: Arc<dyn Clock>,
    /// Those who follow the events.
    pub streams: Streams,
}

/// The few things the API can set going, supplied by the wiring.
#[async_trait]
pub trait AdminHooks: Send + Sync {
    /// Re-reads the configuration. `Ok` says what was applied and what waits for a restart; `Err`
    /// says what is wrong with it, and the old one stays in force.
    async fn reload(&self) -> Result<String, String>;
    /// Offers unreadable pushes to the inbox again, in this order, and removes from the box what is
    /// taken, with `audit`. Of each a problem says why it still cannot be used (422), or that it is
    /// not there (404); it is the last one where it says that the store takes none now.
    async fn offer_unreadable(
        &self,
        ids: Vec<i64>,
        audit: Audit,
    ) -> Result<Vec<Result<Reoffered, Problem>>, Problem>;
    /// What an unreadable push carries, as the configuration is now; problems as above.
    async fn read_unreadable(&self, id: i64) -> Result<Carried, Problem>;
    /// Offers events of a spill, in their order, to be routed and judged as pushes are, and keeps its
    /// unreadable pushes. Done once all are durable, and `audit` is written; offered again, events are
    /// duplicates.
    async fn offer_spilled(
        &self,
        events: Vec<Spilled>,
        unreadable: Vec<Unreadable>,
        audit: Audit,
    ) -> Result<Drained, Problem>;
    /// What this receiver's own spill holds, and its events with this id.
    async fn spilled(&self, event_id: Option<String>) -> Result<SpillShown, Problem>;
    /// Begins a look into the sender's history; what it brings in stands in the audit by `audit` when it is over. A
    /// problem says why not.
    fn recover(&self, ask: Ask, audit: Audit) -> Result<Progress, Problem>;
    /// How the last look goes, or went, that was asked for here.
    fn recovered(&self) -> Progress;
    /// The last look into the history since the start, whoever asked for it.
    fn last_recovery(&self) -> Option<LastRun>;
    /// The sinks that are configured and not turned off, with how many attempts each may have.
    fn sinks(&self) -> BTreeMap<String, Arc<[Rate]>>;
    /// This receiver.
    fn replica(&self) -> Replica;
    /// The sink called `name` as it is configured now; `None` when it is not, or is off.
    fn target(&self, name: &str) -> Option<Target>;
    /// Deliveries were changed by hand: what waits is to be looked for anew.
    fn changed(&self);
}

/// What every handler sees.
struct Shared {
    admin: Admin,
    exposition: Exposition,
    started_at: Timestamp,
    /// Logins with a wrong token: ten a minute from one address are answered as what they are.
    logins: Refusals,
    guesses: Guesses,
    /// Searches that go on now have one each.
    searches: Semaphore,
}

/// The whole admin listener.
pub fn router(admin: Admin) -> Router {
    let health = health::routes(Arc::clone(&admin.health));
    let shared = Arc::new(Shared {
        started_at: admin.clock.now(),
        exposition: Exposition::new(),
        logins: Refusals::new(10, 1000, Duration::from_secs(60)),
        guesses: Guesses::new(),
        searches: Semaphore::new(events::SEARCHES),
        admin,
    });
    let guarded = Router::new()
        .nest(
            "/api/v1",
            api::routes()
                .merge(audit::routes())
                .merge(openapi::routes())
                .merge(series::routes())
                .merge(stream::routes()),
        )
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .layer(map_response(ask_again));
    Router::new()
        .route("/metrics", get(metrics))
        .merge(console::routes())
        .merge(guarded)
        .with_state(shared)
        .merge(health)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(map_response(harden))
}

/// Answers heads on the admin listener that are no HTTP.
pub fn refuse_heads() -> RefuseHead {
    Arc::new(|head| Problem::new(head.status, head.detail.clone()).into_bytes())
}

async fn guard(
    State(shared): State<Arc<Shared>>,
    mut request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    match shared.judge(request.method(), request.uri(), request.headers()) {
        Ok(pass) => {
            request.extensions_mut().insert(pass);
            next.run(request).await
        }
        Err(refusal) => shared
            .guesses
            .refuse(refusal, request.extensions().get::<Peer>()),
    }
}

impl Shared {
    /// Whether a request with this head may see and change what is here.
    fn judge(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<access::Pass, access::Refusal> {
        let token = self.admin.token.load();
        let door = access::Door {
            listen: self.admin.listen,
            token: token.as_deref(),
            now: self.admin.clock.now(),
        };
        door.judge(method, uri, headers)
    }
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    match shared.exposition.text(&shared.admin.metrics) {
        Ok(text) => ([(CONTENT_TYPE, exposition::content_type(accept))], text).into_response(),
        Err(error) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the metrics could not be printed: {error}"),
        )
        .into_response(),
    }
}

async fn index() -> &'static str {
    concat!(
        "flashduty-receiver ",
        env!("CARGO_PKG_VERSION"),
        "\n\n",
        "GET  /metrics                         for Prometheus\n",
        "GET  /livez, /readyz                  for probes\n",
        "GET  /api/v1/status                   readiness, warnings, counts\n",
        "GET  /api/v1/openapi.json             all of this for programs, in OpenAPI 3.1\n",
        "GET  /api/v1/series                   pushes, answers and lag of the last hour by the minute\n",
        "GET  /api/v1/events                   stored events, newest first\n",
        "GET  /api/v1/events/{seq}             one of them, with its deliveries and attempts\n",
        "GET  /api/v1/events/{seq}/body        the bytes as they came\n",
        "GET  /api/v1/subjects                 incidents and alerts, last changed first\n",
        "GET  /api/v1/subjects/{subject}       one of them, with its events\n",
        "GET  /api/v1/deliveries               events on their way to sinks\n",
        "GET  /api/v1/stream                   each event as it comes, as server-sent events\n",
        "GET  /api/v1/audit                    what was changed by hand\n",
        "POST /api/v1/replay                   delivers again what its body selects\n",
        "POST /api/v1/drop                     gives up what its body selects\n",
        "POST /api/v1/recover                  fetches from the sender's history since a time\n",
        "GET  /api/v1/recover                  how that goes, or went\n",
        "GET  /api/v1/unreadable               pushes that could not be understood\n",
        "GET  /api/v1/unreadable/{id}          one of them\n",
        "GET  /api/v1/unreadable/{id}/body     the bytes as they came\n",
        "POST /api/v1/unreadable/{id}/offer    offers it again\n",
        "POST /api/v1/unreadable/{id}/drop     drops it for good\n",
        "POST /api/v1/unreadable/offer         offers again what its body selects\n",
        "POST /api/v1/unreadable/drop          drops what its body selects\n",
        "GET  /api/v1/spilled                  what waits in this receiver's spill\n",
        "POST /api/v1/spilled                  offers events of a spill whose receiver is gone\n",
        "POST /api/v1/reload                   re-reads the configuration\n",
        "POST /login                           a session for the token, kept in a cookie\n",
        "POST /logout                          ends it in the browser\n",
        "\nA browser gets the console here.\n",
    )
}

async fn not_found(uri: Uri) -> Problem {
    let detail = format!("nothing is served at {}; GET / lists what is", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!(
        "{} does not take {method}; the Allow header names what it takes",
        uri.path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Says of what cannot be had now when to ask for it again.
async fn ask_again(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let second = HeaderValue::from_static("1");
        response.headers_mut().entry(RETRY_AFTER).or_insert(second);
    }
    response
}

/// Gives every answer the headers that keep a browser from making more of it than it is.
async fn harden(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 6] = [
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        // Whoever opens the console in a window of its own gets no hold of it.
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}

//! The listener over real sockets, with deadlines short enough to wait for.

mod broken;
mod client;
mod crowd;
mod deadlines;
mod drain;
mod proxy;
mod requests;
mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use http::Response;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{
    BrokenHead, CloseWithoutAnswer, Gate, Listener, ListenerMetrics, ListenerOptions, RequestStart,
    Serving,
};
use crate::lifecycle::Lifecycle;
use crate::source::{Peer, Standing};
use client::Client;

/// The address of those who may push.
const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Loopback too, but on no list.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

const SHORT: Duration = Duration::from_millis(300);
/// Nothing in these tests takes this long unless it is broken.
const BROKEN: Duration = Duration::from_secs(20);

/// What the handlers of the test router share with the test.
#[derive(Clone)]
struct Handlers {
    requests: Arc<AtomicUsize>,
    entered: Arc<Semaphore>,
    leave: Arc<Semaphore>,
}

struct Server {
    address: SocketAddr,
    lifecycle: Lifecycle,
    metrics: ListenerMetrics,
    handlers: Handlers,
    options: Arc<ArcSwap<ListenerOptions>>,
    run: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    fn start(options: ListenerOptions) -> Self {
        let listener = Listener::bind(SocketAddr::new(SENDER, 0)).expect("a free port");
        Self::serve(listener, options, Lifecycle::default())
    }

    fn serve(listener: Listener, options: ListenerOptions, lifecycle: Lifecycle) -> Self {
        let address = listener.local_addr();
        let metrics = ListenerMetrics::default();
        let options = Arc::new(ArcSwap::from_pointee(options));
        let handlers = Handlers {
            requests: Arc::default(),
            entered: Arc::new(Semaphore::new(0)),
            leave: Arc::new(Semaphore::new(0)),
        };
        let serving = Serving {
            router: router(handlers.clone()),
            options: Arc::clone(&options),
            refuse: Arc::new(refuse),
            gate: Gate {
                standing: Arc::new(|peer| {
                    if peer.proxied.unwrap_or(peer.socket) == SENDER {
                        Standing::MayPush
                    } else {
                        Standing::Stranger
                    }
                }),
                trusted: Arc::new(|ip| ip == SENDER),
            },
            metrics: metrics.clone(),
        };
        let run = lifecycle.spawn(listener.run(serving, lifecycle.clone()));
        Self {
            address,
            lifecycle,
            metrics,
            handlers,
            options,
            run,
        }
    }

    async fn client(&self) -> Client {
        Client::connect(SENDER, self.address).await
    }

    async fn stranger(&self) -> Client {
        Client::connect(STRANGER, self.address).await
    }

    fn requests(&self) -> usize {
        self.handlers.requests.load(Ordering::Relaxed)
    }

    /// Waits until a request to `/hold` is in its handler.
    async fn held(&self) {
        self.handlers.entered.acquire().await.unwrap().forget();
    }

    fn release(&self) {
        self.handlers.leave.add_permits(1);
    }

    async fn ended(self) -> anyhow::Result<()> {
        let run = tokio::time::timeout(BROKEN, self.run).await;
        run.expect("the listener ends").expect("without a panic")
    }
}

fn refuse(head: &BrokenHead) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(head.detail.clone()));
    let client = head.peer.proxied.unwrap_or(head.peer.socket).to_string();
    let client = client.parse().expect("an address is a header's value");
    response.headers_mut().insert("x-client", client);
    response
}

fn options() -> ListenerOptions {
    ListenerOptions::default()
}

fn short_heads() -> ListenerOptions {
    ListenerOptions {
        header_timeout: SHORT,
        ..options()
    }
}

fn router(handlers: Handlers) -> Router {
    Router::new()
        .route("/", any(root))
        .route(
            "/length",
            post(|body: String| async move { body.len().to_string() }),
        )
        .route("/refuse", post(|| async { http::StatusCode::FORBIDDEN }))
        .route("/peer", get(peer))
        .route("/age", get(age))
        .route("/hold", get(hold))
        .route("/vanish", any(|| async { Extension(CloseWithoutAnswer) }))
        .with_state(handlers)
}

async fn root(State(handlers): State<Handlers>) -> &'static str {
    handlers.requests.fetch_add(1, Ordering::Relaxed);
    "ok"
}

async fn peer(Extension(peer): Extension<Peer>) -> String {
    match peer.proxied {
        Some(proxied) => format!("{proxied} by {}", peer.socket),
        None => peer.socket.to_string(),
    }
}

async fn age(Extension(start): Extension<RequestStart>) -> String {
    start.0.elapsed().as_millis().to_string()
}

async fn hold(State(handlers): State<Handlers>) -> impl IntoResponse {
    handlers.entered.add_permits(1);
    handlers.leave.acquire().await.unwrap().forget();
    "held"
}

//! The accept loop: takes connections, keeps the slow and the strange ones from harming the
//! others, and hands complete request heads to a router.
//!
//! hyper parses HTTP/1; everything that has to do with time and number of connections is here.
//!
//! Invariants:
//! - Accepting does no I/O on a connection and awaits nothing but the next one, and that those
//!   which had to make room are closed.
//! - Every connection always has a deadline, except while the router works on a complete head; a
//!   TLS handshake has that of the head.
//! - A connection that is closed to make room never had a request in the router.
//! - A request whose bytes reached this machine before closing began is answered, if need be by
//!   the next process that has the socket.

mod answer;
mod bind;
mod broken;
mod complaints;
mod connection;
mod door;
mod outflow;
mod progress;
mod proxied;
mod seats;
#[cfg(test)]
mod tests;
mod throttle;
pub mod tls;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::Router;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

use crate::lifecycle::{Farewell, Lifecycle};
use crate::metrics::Metrics;
use crate::source::{Peer, Standing};

pub use bind::{ListenError, try_bind};
pub use broken::{BrokenHead, RefuseHead};
use door::Door;
use tls::Tls;

/// Limits of the connections. A change applies to connections accepted after it, but for
/// `proxy_protocol`, which is read once when [`Listener::run`] begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerOptions {
    /// From the first byte of a head to its end; also the time a new connection may stay silent.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request once it got an answer.
    pub idle_timeout: Duration,
    /// How long a peer may go without taking a byte of its answer.
    pub write_timeout: Duration,
    /// Open connections; peers that may not push get at most a tenth of them.
    pub max_connections: usize,
    /// Every connection begins with a PROXY protocol header, and only trusted peers may connect.
    pub proxy_protocol: bool,
    /// How long requests in flight may take once closing began.
    pub drain_timeout: Duration,
    /// [`Farewell::Brief`]: the socket stays open elsewhere. What it has queued when closing begins
    /// is left there, and requests that are not complete get a tenth of a second.
    pub farewell: Farewell,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(10),
            max_connections: 4096,
            proxy_protocol: false,
            drain_timeout: Duration::from_secs(10),
            farewell: Farewell::Patient,
        }
    }
}

/// What the listener asks about an address. Asked in the accept loop, and once a PROXY header has
/// named a client: the answers come from memory.
#[derive(Clone)]
pub struct Gate {
    /// Whether pushes over a connection from this peer could be accepted at all.
    pub standing: Arc<dyn Fn(&Peer) -> Standing + Send + Sync>,
    /// Whether this socket address is believed when it names another one.
    pub trusted: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

impl Gate {
    /// For a port whose peers need no telling apart.
    pub fn open() -> Self {
        Self {
            standing: Arc::new(|_| Standing::MayPush),
            trusted: Arc::new(|_| true),
        }
    }
}

/// Where connections are counted.
#[derive(Debug, Clone, Default)]
pub struct ListenerMetrics {
    open: Gauge,
    evicted: Counter,
}

impl ListenerMetrics {
    /// The exported metrics of the public port. Other ports count into
    /// [`ListenerMetrics::default`], which nobody sees.
    pub fn public(metrics: &Metrics) -> Self {
        Self {
            open: metrics.connections.clone(),
            evicted: metrics.connections_evicted.clone(),
        }
    }
}

/// What a listener serves, and under which limits.
pub struct Serving {
    /// Gets every complete head, with [`RequestStart`] and [`crate::source::Peer`] as extensions.
    pub router: Router,
    /// Read anew for each connection.
    pub options: Arc<ArcSwap<ListenerOptions>>,
    /// Answers heads that are no HTTP, and never reach the router.
    pub refuse: RefuseHead,
    /// Tells the peers apart.
    pub gate: Gate,
    /// Counts them.
    pub metrics: ListenerMetrics,
}

/// Request extension: when the first byte of this request's head arrived.
///
/// A head that was sent before the previous answer (pipelining) begins when the router gets it.
#[derive(Debug, Clone, Copy)]
pub struct RequestStart(pub tokio::time::Instant);

/// Request extension: it came encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverTls {
    /// Whose certificate the client showed, by its common name, where one is asked for.
    pub client: Option<Arc<str>>,
}

/// Response extension: the connection is closed without a byte of an answer.
#[derive(Debug, Clone, Copy)]
pub struct CloseWithoutAnswer;

/// A bound socket. Connections queue up in the kernel until [`Listener::run`].
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl Listener {
    /// Binds `address` (port 0: any free one) with a queue of 4096 connections: an overflowing
    /// queue drops the SYN, and its resend after a second is the sender's whole budget.
    ///
    /// `[::]` takes IPv4 as well.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let socket = bind::open(address).map_err(|error| ListenError::of(address, error))?;
        Self::from_std(socket)
    }

    /// Takes over a socket that listens already, such as one held by a supervisor so that
    /// restarts refuse nobody.
    pub fn from_std(socket: std::net::TcpListener) -> Result<Self, ListenError> {
        let address = socket.local_addr().map_err(ListenError::Inherited)?;
        bind::configure(&socket).map_err(ListenError::Inherited)?;
        Ok(Self {
            socket,
            address,
            tls: None,
        })
    }

    /// The same, speaking TLS on every connection, or plain HTTP where there is none.
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The address with the port that was really bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until closing begins and the last connection is done or `drain_timeout` is over.
    ///
    /// # Errors
    /// When the socket cannot accept any more, whatever comes.
    pub async fn run(self, serving: Serving, lifecycle: Lifecycle) -> anyhow::Result<()> {
        let Self {
            socket,
            address,
            tls,
        } = self;
        let options = Arc::clone(&serving.options);
        let (open, mut all_closed) = mpsc::channel(1);
        let door = Door::new(serving, tls, lifecycle, open);
        let seats = door.seats();
        door.accept_until_closed(socket)
            .await
            .with_context(|| format!("cannot accept connections on {address}"))?;
        let grace = options.load().drain_timeout;
        if tokio::time::timeout(grace, all_closed.recv())
            .await
            .is_err()
        {
            let connections = seats.abort_all();
            tracing::warn!(
                connections,
                "cut off, still busy {grace:?} after closing began"
            );
            let _closed = all_closed.recv().await;
        }
        Ok(())
    }
}

//! Takes connections off the listening socket and starts a task for each.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::progress::{Limits, Progress};
use super::seats::{Full, Seats, stranger_share};
use super::throttle::Throttle;
use super::{Gate, ListenerOptions, Serving, connection};
use crate::lifecycle::Lifecycle;
use crate::source::Standing;

/// A head, or one piece of a body, is never larger than this in memory.
const MAX_BUFFER: usize = 64 * 1024;

/// Pause after the process or the machine ran out of descriptors or memory.
const BACKOFF: Duration = Duration::from_millis(50);

/// What every connection of one listener shares.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) http: http1::Builder,
    pub(super) lifecycle: Lifecycle,
    pub(super) proxy_protocol: bool,
    pub(super) complaints: Complaints,
}

/// The lines that strangers can provoke.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    pub(super) header: Throttle,
    untrusted: Throttle,
    evicted: Throttle,
    full: Throttle,
    accept: Throttle,
}

pub(super) struct Door {
    shared: Arc<Shared>,
    seats: Arc<Seats>,
    gate: Gate,
    options: Arc<ArcSwap<ListenerOptions>>,
    /// Each connection holds a clone, so that the receiver sees when the last one is gone.
    open: mpsc::Sender<Infallible>,
}

impl Door {
    pub(super) fn new(
        serving: Serving,
        lifecycle: Lifecycle,
        open: mpsc::Sender<Infallible>,
    ) -> Self {
        let mut http = http1::Builder::new();
        // The head's clock is Progress's: hyper's would be the idle time as well. A client that
        // shuts its side after its last byte still gets its answer.
        http.timer(TokioTimer::new())
            .header_read_timeout(None)
            .half_close(true)
            .max_buf_size(MAX_BUFFER);
        let shared = Shared {
            // Resolves the routes once rather than at each request.
            router: serving.router.with_state(()),
            http,
            lifecycle,
            proxy_protocol: serving.options.load().proxy_protocol,
            complaints: Complaints::default(),
        };
        Self {
            shared: Arc::new(shared),
            seats: Seats::new(serving.metrics),
            gate: serving.gate,
            options: serving.options,
            open,
        }
    }

    pub(super) fn seats(&self) -> Arc<Seats> {
        Arc::clone(&self.seats)
    }

    /// Accepts until closing begins, then what the kernel has queued by then, and closes the
    /// socket.
    pub(super) async fn accept_until_closed(self, socket: std::net::TcpListener) -> io::Result<()> {
        let socket = TcpListener::from_std(socket)?;
        let lifecycle = self.shared.lifecycle.clone();
        let mut closing = pin!(lifecycle.closing());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut closing => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.let_in(stream, address),
                Err(error) => self.after_failure(error).await?,
            }
        }
        self.let_in_the_queue(&socket.into_std()?)
    }

    /// Asks the kernel itself: the runtime may not have heard yet of the last ones.
    fn let_in_the_queue(&self, socket: &std::net::TcpListener) -> io::Result<()> {
        loop {
            match socket.accept() {
                Ok((stream, address)) => {
                    stream.set_nonblocking(true)?;
                    self.let_in(TcpStream::from_std(stream)?, address);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if AcceptFailure::of(&error) == AcceptFailure::OfOne => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn let_in(&self, stream: TcpStream, address: SocketAddr) {
        let socket = address.ip().to_canonical();
        if self.shared.proxy_protocol && !(self.gate.trusted)(socket) {
            return self.report_untrusted(socket);
        }
        let options = self.options.load();
        let standing = (self.gate.standing)(socket);
        let stranger = matches!(standing, Standing::Stranger);
        let (seat, evicted) = self.seats.admit(standing, options.max_connections);
        if evicted {
            self.report_evicted();
        }
        let seat = match seat {
            Ok(seat) => seat,
            Err(Full) => return self.report_full(socket, stranger, options.max_connections),
        };
        let id = seat.id();
        let progress = Progress::new(Limits::from(&**options), seat);
        let served = connection::serve(Arc::clone(&self.shared), stream, socket, progress);
        let open = self.open.clone();
        let task = self.shared.lifecycle.spawn(async move {
            served.await;
            drop(open);
        });
        self.seats.attach(id, task.abort_handle());
    }

    async fn after_failure(&self, error: io::Error) -> io::Result<()> {
        match AcceptFailure::of(&error) {
            AcceptFailure::OfOne => Ok(()),
            AcceptFailure::OutOfResources => {
                let made_room = self.seats.evict_one();
                if let Some(silenced) = self.shared.complaints.accept.pass() {
                    tracing::error!(
                        silenced,
                        made_room,
                        "cannot accept connections: {error}; raise the limit of open files \
                         (ulimit -n) above server.max_connections"
                    );
                }
                self.shared.lifecycle.sleep(BACKOFF).await;
                Ok(())
            }
            AcceptFailure::OfTheSocket => Err(error),
        }
    }

    fn report_untrusted(&self, socket: IpAddr) {
        if let Some(silenced) = self.shared.complaints.untrusted.pass() {
            tracing::warn!(
                peer_ip = %socket,
                silenced,
                "connection refused: peer {socket} is not in source.trusted_proxies, and \
                 server.proxy_protocol takes connections from those only"
            );
        }
    }

    fn report_evicted(&self) {
        if let Some(silenced) = self.shared.complaints.evicted.pass() {
            tracing::warn!(
                silenced,
                "connection limit reached: the connection longest without a request was closed"
            );
        }
    }

    fn report_full(&self, socket: IpAddr, stranger: bool, max_connections: usize) {
        if let Some(silenced) = self.shared.complaints.full.pass() {
            let limit = if stranger {
                stranger_share(max_connections)
            } else {
                max_connections
            };
            tracing::warn!(
                peer_ip = %socket,
                silenced,
                limit,
                "connection refused: all connections are in use; raise server.max_connections"
            );
        }
    }
}

/// Whom a failed accept concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptFailure {
    /// That connection only; it is off the queue, so that trying again cannot spin.
    OfOne,
    /// The connection stays queued until there is room.
    OutOfResources,
    OfTheSocket,
}

impl AcceptFailure {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                Self::OutOfResources
            }
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => {
                Self::OfTheSocket
            }
            _ => Self::OfOne,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_gives_up_early_or_a_full_table_does_not_end_the_accept_loop() {
        for (errno, failure) in [
            (Errno::CONNABORTED, AcceptFailure::OfOne),
            (Errno::INTR, AcceptFailure::OfOne),
            (Errno::PERM, AcceptFailure::OfOne),
            (Errno::MFILE, AcceptFailure::OutOfResources),
            (Errno::NFILE, AcceptFailure::OutOfResources),
            (Errno::NOBUFS, AcceptFailure::OutOfResources),
            (Errno::BADF, AcceptFailure::OfTheSocket),
            (Errno::INVAL, AcceptFailure::OfTheSocket),
        ] {
            assert_eq!(AcceptFailure::of(&errno.into()), failure, "{errno}");
        }
    }
}

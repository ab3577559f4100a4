//! Takes connections off the listening socket and starts a task for each.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::complaints::Complaints;
use super::progress::{Limits, Progress};
use super::seats::{Class, Full, Seats};
use super::tls::{Handshakes, Tls};
use super::{Gate, ListenerOptions, RefuseHead, Serving, connection};
use crate::lifecycle::{Farewell, Lifecycle};
use crate::source::Peer;

/// A head, or one piece of a body, is never larger than this in memory.
pub(super) const MAX_BUFFER: usize = 64 * 1024;

/// Pause after the machine ran out of descriptors or memory, or the process twice in a row.
const BACKOFF: Duration = Duration::from_millis(50);

/// Pause while no descriptor is left and nobody waits for one.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// So many connections that had to make room may still be closing while the next is accepted.
const LEAVING: usize = 2;

/// What every connection of one listener shares.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) http: http1::Builder,
    pub(super) lifecycle: Lifecycle,
    pub(super) proxy_protocol: bool,
    pub(super) complaints: Complaints,
    pub(super) refuse: RefuseHead,
    pub(super) tls: Option<Handshakes>,
    gate: Gate,
    options: Arc<ArcSwap<ListenerOptions>>,
}

impl Shared {
    /// Classes a connection by the client that its PROXY header named. `false`: it is a stranger's,
    /// and strangers hold all that they may.
    pub(super) fn name(&self, peer: &Peer, progress: &Progress) -> bool {
        let class = Class::from((self.gate.standing)(peer));
        let max_connections = self.options.load().max_connections;
        let (named, evicted) = progress.name(class, max_connections);
        if evicted {
            self.complaints.evicted();
        }
        if named.is_err() {
            let client = peer.proxied.unwrap_or(peer.socket);
            self.complaints.full(client, class, max_connections);
        }
        named.is_ok()
    }
}

pub(super) struct Door {
    shared: Arc<Shared>,
    seats: Arc<Seats>,
    /// Each connection holds a clone, so that the receiver sees when the last one is gone.
    open: mpsc::Sender<Infallible>,
}

impl Door {
    pub(super) fn new(
        serving: Serving,
        tls: Option<Tls>,
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
            refuse: serving.refuse,
            tls: tls.map(Handshakes::new),
            gate: serving.gate,
            options: serving.options,
        };
        Self {
            shared: Arc::new(shared),
            seats: Seats::new(serving.metrics),
            open,
        }
    }

    pub(super) fn seats(&self) -> Arc<Seats> {
        Arc::clone(&self.seats)
    }

    /// Accepts until closing begins, then what the kernel has queued by then unless somebody else
    /// will, and closes the socket.
    pub(super) async fn accept_until_closed(self, socket: std::net::TcpListener) -> io::Result<()> {
        let socket = TcpListener::from_std(socket)?;
        let lifecycle = self.shared.lifecycle.clone();
        let mut closing = pin!(lifecycle.closing());
        let mut failed = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut closing => break,
                accepted = socket.accept() => accepted,
            };
            failed = match accepted {
                Ok((stream, address)) => {
                    self.let_in(stream, address).await;
                    false
                }
                Err(error) => self.after_failure(error, &socket, failed).await?,
            };
        }
        if self.shared.options.load().farewell == Farewell::Brief {
            return Ok(());
        }
        self.let_in_the_queue(&socket.into_std()?).await
    }

    /// Asks the kernel itself: the runtime may not have heard yet of the last ones.
    async fn let_in_the_queue(&self, socket: &std::net::TcpListener) -> io::Result<()> {
        let mut failed = false;
        while is_readable(socket)? {
            match socket.accept() {
                Ok((stream, address)) => {
                    stream.set_nonblocking(true)?;
                    self.let_in(TcpStream::from_std(stream)?, address).await;
                    failed = false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Nothing gets better while the rest of the service ends.
                Err(_) if failed => return Ok(()),
                Err(error) => failed = self.after_failure(error, socket, failed).await?,
            }
        }
        Ok(())
    }

    async fn let_in(&self, stream: TcpStream, address: SocketAddr) {
        let socket = address.ip().to_canonical();
        let Shared {
            gate, complaints, ..
        } = &*self.shared;
        if self.shared.proxy_protocol && !(gate.trusted)(socket) {
            return complaints.untrusted(socket);
        }
        let options = self.shared.options.load_full();
        let class = if self.shared.proxy_protocol {
            Class::Unnamed
        } else {
            Class::from((gate.standing)(&Peer::new(socket, None)))
        };
        let (seat, evicted) = self.seats.admit(class, options.max_connections);
        match seat {
            Ok(seat) => self.serve(stream, socket, Progress::new(Limits::from(&*options), seat)),
            Err(Full) => complaints.full(socket, class, options.max_connections),
        }
        if evicted {
            complaints.evicted();
        }
        // A closed connection gives its descriptor back once its task has run: accepting faster
        // than that would need more of them than there are connections.
        self.seats.settled(LEAVING).await;
    }

    fn serve(&self, stream: TcpStream, socket: IpAddr, progress: Progress) {
        let id = progress.seat();
        let served = connection::serve(Arc::clone(&self.shared), progress, stream, socket);
        let open = self.open.clone();
        let task = self.shared.lifecycle.spawn(async move {
            served.await;
            drop(open);
        });
        self.seats.attach(id, task.abort_handle());
    }

    /// `true`: whoever waits to be accepted could not be; `again`: for the second time.
    async fn after_failure(
        &self,
        error: io::Error,
        socket: &impl AsFd,
        again: bool,
    ) -> io::Result<bool> {
        let failure = AcceptFailure::of(&error);
        match failure {
            AcceptFailure::OfOne => return Ok(false),
            AcceptFailure::OfTheSocket => return Err(error),
            AcceptFailure::OutOfFiles | AcceptFailure::OutOfResources => {}
        }
        if !is_readable(socket)? {
            // The system wants a free file before it looks whether anybody is there. Nobody has
            // to make room for nobody; and the runtime tells of no change while it has not been
            // told that there is nothing to accept.
            self.shared.lifecycle.sleep(LOOK_AGAIN).await;
            return Ok(false);
        }
        let made_room = self.seats.evict_one();
        self.shared.complaints.accept(&error, made_room);
        let rest = self.shared.lifecycle.sleep(BACKOFF);
        if made_room && !again && failure == AcceptFailure::OutOfFiles {
            // What that one gives back is all that the next one needs.
            tokio::select! {
                () = self.seats.settled(0) => {}
                () = rest => {}
            }
        } else {
            rest.await;
        }
        Ok(true)
    }
}

/// Whether somebody waits to be accepted.
fn is_readable(socket: &impl AsFd) -> io::Result<bool> {
    let mut sockets = [PollFd::new(socket, PollFlags::IN)];
    let at_once = Timespec::default();
    Ok(rustix::event::poll(&mut sockets, Some(&at_once))? > 0)
}

/// Whom a failed accept concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptFailure {
    /// That connection only; it is off the queue, so that trying again cannot spin.
    OfOne,
    /// The connection stays queued until this process has closed a file.
    OutOfFiles,
    /// The same, but of what the whole machine shares.
    OutOfResources,
    OfTheSocket,
}

impl AcceptFailure {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE) => Self::OutOfFiles,
            Some(Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::OutOfResources,
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
            (Errno::MFILE, AcceptFailure::OutOfFiles),
            (Errno::NFILE, AcceptFailure::OutOfResources),
            (Errno::NOBUFS, AcceptFailure::OutOfResources),
            (Errno::BADF, AcceptFailure::OfTheSocket),
            (Errno::INVAL, AcceptFailure::OfTheSocket),
        ] {
            assert_eq!(AcceptFailure::of(&errno.into()), failure, "{errno}");
        }
    }
}

//! One connection, from its first byte to its end.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::answer;
use super::broken::{self, BrokenHead};
use super::door::Shared;
use super::progress::Progress;
use super::proxied::read_header;
use super::wire::Wire;
use crate::lifecycle::Lifecycle;
use crate::source::Peer;

/// Serves requests until the peer, a deadline or closing ends it.
pub(super) async fn serve(
    shared: Arc<Shared>,
    // Dropped after the stream, so that a seat is given back once its descriptor is.
    progress: Progress,
    mut stream: TcpStream,
    socket: IpAddr,
) {
    let (mut proxied, mut ahead) = (None, Bytes::new());
    if shared.proxy_protocol {
        let header = read_header(&mut stream, &progress);
        match within(header, &progress, &shared.lifecycle).await {
            Ok(Ok(read)) => (proxied, ahead) = read,
            Ok(Err(error)) => return shared.complaints.header(socket, &error),
            Err(Overdue) => {
                return tracing::debug!(%socket, "no PROXY protocol header in time");
            }
        }
    }
    let peer = Peer::new(socket, proxied);
    if shared.proxy_protocol && !shared.name(&peer, &progress) {
        return;
    }
    let progress = Arc::new(progress);
    let wire = Wire::new(stream, ahead, Arc::clone(&progress));
    let conversation = converse(&shared, wire, &progress, peer);
    match within(conversation, &progress, &shared.lifecycle).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%socket, "connection ended: {error:?}"),
        Err(Overdue) => tracing::debug!(%socket, "connection closed at its deadline"),
    }
}

/// Request after request; after a head that cannot be read, a refusal of our own.
async fn converse(
    shared: &Arc<Shared>,
    wire: Wire<TcpStream>,
    progress: &Arc<Progress>,
    peer: Peer,
) -> hyper::Result<()> {
    let service = answer::service(Arc::clone(shared), Arc::clone(progress), peer);
    let mut connection = shared.http.serve_connection(TokioIo::new(wire), service);
    let ended = (&mut connection).await;
    let parts = connection.into_parts();
    let mut wire = parts.io.into_inner();
    let (Some(refusal), Err(error)) = (wire.take_refusal(), &ended) else {
        return ended;
    };
    let status = broken::status_of(&refusal);
    let head = BrokenHead {
        peer,
        began: progress.head_began(),
        status,
        detail: broken::detail(status, &parts.read_buf, &error.to_string()),
        bytes: parts.read_buf,
    };
    let answer = head.answer(&refusal, &shared.refuse);
    let said = wire.write_all(&answer).await;
    if said.is_ok() {
        // Whether the peer hears all of it is its own affair.
        let _closed = wire.shutdown().await;
    }
    ended
}

/// A deadline of [`Progress`] passed.
struct Overdue;

/// Runs `work` under the deadlines of `progress`, which `work` itself moves.
///
/// The timer is set anew only when a deadline comes nearer, and otherwise when it fires: with
/// requests following each other that is once per `header_timeout`, not twice a request.
async fn within<F: Future>(
    work: F,
    progress: &Progress,
    lifecycle: &Lifecycle,
) -> Result<F::Output, Overdue> {
    let mut work = pin!(work);
    let mut closing = pin!(lifecycle.closing());
    let mut closed = false;
    let mut alarm = pin!(tokio::time::sleep_until(
        progress.due().unwrap_or_else(Instant::now)
    ));
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if !closed && closing.as_mut().poll(cx).is_ready() {
            closed = true;
            progress.closing();
        }
        let Some(due) = progress.due() else {
            return Poll::Pending;
        };
        if due < alarm.deadline() {
            alarm.as_mut().reset(due);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(Err(Overdue));
            }
            alarm.as_mut().reset(due);
        }
        Poll::Pending
    })
    .await
}

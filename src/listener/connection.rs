//! One connection, from its first byte to its end.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::broken::{self, BrokenHead};
use super::door::Shared;
use super::outflow::Outflow;
use super::progress::Progress;
use super::proxied::read_header;
use super::tls::{Ahead, Failure, Handshakes};
use super::wire::Wire;
use super::{OverTls, answer};
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
    let stream = Outflow::new(stream, Arc::clone(&progress));
    match &shared.tls {
        None => {
            let wire = Wire::new(stream, ahead, Arc::clone(&progress));
            talk(&shared, wire, &progress, (peer, None)).await;
        }
        // In a place of its own: it takes much more than a connection in the clear.
        Some(tls) => {
            let stream = Ahead::new(stream, ahead);
            Box::pin(encrypt(&shared, tls, &progress, stream, peer)).await;
        }
    }
}

/// Shakes hands, and serves what comes then.
async fn encrypt(
    shared: &Arc<Shared>,
    tls: &Handshakes,
    progress: &Arc<Progress>,
    stream: Ahead<Outflow<TcpStream>>,
    peer: Peer,
) {
    let socket = peer.socket;
    let shaken = within(tls.shake(stream), progress, &shared.lifecycle).await;
    match shaken {
        Ok(Ok((stream, over_tls))) => {
            let wire = Wire::new(stream, Bytes::new(), Arc::clone(progress));
            talk(shared, wire, progress, (peer, Some(over_tls))).await;
        }
        Ok(Err(Failure::Silent)) => {}
        Ok(Err(Failure::Plain(stream))) => {
            tls.plain(socket);
            let answer = answer_in_the_clear(shared, stream, progress, peer);
            // Whoever does not take it in time goes without.
            let _taken = within(answer, progress, &shared.lifecycle).await;
        }
        Ok(Err(Failure::Other(error))) => tls.failed(socket, &error),
        Err(Overdue) => tls.overdue(socket),
    }
}

/// What a plain request is told on a port of TLS, in words that its client understands.
async fn answer_in_the_clear(
    shared: &Shared,
    stream: Ahead<Outflow<TcpStream>>,
    progress: &Arc<Progress>,
    peer: Peer,
) {
    let (stream, bytes) = stream.into_parts();
    let head = BrokenHead {
        peer,
        began: Instant::now(),
        status: StatusCode::BAD_REQUEST,
        detail: PLAIN.to_owned(),
        bytes,
    };
    let answer = head.answer(PLAIN_REFUSAL, &shared.refuse);
    let mut wire = Wire::new(stream, Bytes::new(), Arc::clone(progress));
    let _nothing_withheld = wire.take_refusal();
    say(&mut wire, &answer).await;
}

const PLAIN: &str = "this port speaks TLS, and this is plain HTTP: let the URL begin with https://, \
                     or let the proxy or balancer in front of this port speak TLS to it";
const PLAIN_REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";

/// Requests and answers, in whatever they are wrapped, until the end or a deadline.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared>,
    wire: Wire<S>,
    progress: &Arc<Progress>,
    (peer, over_tls): (Peer, Option<OverTls>),
) {
    let socket = peer.socket;
    let conversation = converse(shared, wire, progress, (peer, over_tls));
    match within(conversation, progress, &shared.lifecycle).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%socket, "connection ended: {error:?}"),
        Err(Overdue) => tracing::debug!(%socket, "connection closed at its deadline"),
    }
}

/// The last that is said. Whether the peer hears all of it is its own affair.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, answer: &[u8]) {
    if wire.write_all(answer).await.is_ok() {
        let _closed = wire.shutdown().await;
    }
}

/// Request after request; after a head that cannot be read, a refusal of our own.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared>,
    wire: Wire<S>,
    progress: &Arc<Progress>,
    (peer, over_tls): (Peer, Option<OverTls>),
) -> hyper::Result<()> {
    let service = answer::service(Arc::clone(shared), Arc::clone(progress), peer, over_tls);
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
    say(&mut wire, &answer).await;
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

//! The connection as hyper sees it: reports to [`Progress`] what comes, and where an answer ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;

/// Wraps any byte stream, so that TLS can sit below it.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    /// Bytes that were read behind the PROXY protocol header.
    ahead: Bytes,
    progress: Arc<Progress>,
    refusal: Refusal,
    finished: bool,
}

/// What hyper says by itself to a head that it cannot read: a bare status.
#[derive(Debug)]
enum Refusal {
    None,
    /// It is kept from the peer, as is the end of the connection, until it is taken.
    Withheld(Vec<u8>),
    Taken,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, ahead: Bytes, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            ahead,
            progress,
            refusal: Refusal::None,
            finished: false,
        }
    }

    /// The refusal that hyper wrote, if it did; from now on everything goes out.
    pub(super) fn take_refusal(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.refusal, Refusal::Taken) {
            Refusal::Withheld(refusal) => Some(refusal),
            Refusal::None | Refusal::Taken => None,
        }
    }

    /// Whether hyper is refusing a head; what it writes then is kept.
    ///
    /// A refusal of a pipelined head may follow an answer that is not all written yet, and goes
    /// out behind it as it is.
    fn withholds(&mut self, bufs: &[io::IoSlice<'_>]) -> Option<usize> {
        if matches!(self.refusal, Refusal::None) && self.progress.is_before_request() {
            self.refusal = Refusal::Withheld(Vec::new());
        }
        let Refusal::Withheld(refusal) = &mut self.refusal else {
            return None;
        };
        let before = refusal.len();
        for buf in bufs {
            refusal.extend_from_slice(buf);
        }
        Some(refusal.len() - before)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let take = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..take]);
            self.ahead.advance(take);
        }
        // Some clients end a body with a line break that belongs to nothing (RFC 9112, 2.2).
        if !buf.filled()[before..]
            .iter()
            .all(|byte| b"\r\n".contains(byte))
        {
            self.progress.arrived();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(count) = self.withholds(&[io::IoSlice::new(buf)]) {
            return Poll::Ready(Ok(count));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(count) = self.withholds(bufs) {
            return Poll::Ready(Ok(count));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes once all it has is handed over.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    /// Sends our end, then reads and forgets until the peer's. Not before a refusal is out.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.refusal, Refusal::Withheld(_)) {
            return Poll::Ready(Ok(()));
        }
        if !self.finished {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.finished = true;
            self.progress.ending();
        }
        let mut scratch = [0; 4096];
        loop {
            let mut forgotten = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut forgotten))?;
            if forgotten.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

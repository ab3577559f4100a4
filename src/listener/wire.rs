//! The socket as hyper sees it: reports what happens on it to [`Progress`].

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

    /// Also of a flush and of the end: encrypted, what was written may still wait for the peer.
    fn note_write<T>(&self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &poll {
            Poll::Ready(_) => self.progress.written(),
            Poll::Pending => self.progress.blocked(),
        }
        poll
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
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(count) = self.withholds(bufs) {
            return Poll::Ready(Ok(count));
        }
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes once all it has is handed over.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.note_write(poll))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    /// Sends our end, then reads and forgets until the peer's. Not before a refusal is out.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.refusal, Refusal::Withheld(_)) {
            return Poll::Ready(Ok(()));
        }
        if !self.finished {
            let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.note_write(poll))?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::ListenerMetrics;
    use super::super::progress::Limits;
    use super::super::seats::{Class, Seats};
    use super::*;
    use crate::lifecycle::Farewell;

    const WRITE: Duration = Duration::from_secs(10);

    /// Takes all that is written and passes nothing on, as TLS does while its peer does not read.
    struct Stuck;

    impl AsyncRead for Stuck {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_written_and_does_not_go_out_is_one_that_is_not_taken() {
        let seats = Seats::new(ListenerMetrics::default());
        let (seat, _) = seats.admit(Class::MayPush, 1);
        let limits = Limits {
            header: Duration::from_secs(5),
            idle: Duration::from_secs(120),
            write: WRITE,
            farewell: Farewell::Patient,
        };
        let progress = Arc::new(Progress::new(limits, seat.unwrap()));
        progress.arrived();
        let _began = progress.begin_request();
        progress.answered();
        let mut wire = Wire::new(Stuck, Bytes::new(), Arc::clone(&progress));
        let flushed =
            std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut wire).poll_flush(cx).is_ready()));
        assert!(!flushed.await);
        assert_eq!(progress.due(), Some(Instant::now() + WRITE));
    }
}

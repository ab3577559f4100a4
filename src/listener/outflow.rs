//! The socket itself, below TLS where that is spoken: reports to [`Progress`] what the peer takes.
//!
//! Whatever is above it may take bytes and keep them, as TLS does. That says nothing of the peer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;

/// Passes everything on.
#[derive(Debug)]
pub(super) struct Outflow<S> {
    stream: S,
    progress: Arc<Progress>,
}

impl<S> Outflow<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, progress }
    }

    fn note(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Ready(_) => self.progress.written(),
            Poll::Pending => self.progress.blocked(),
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outflow<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outflow<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::ready;
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::Instant;

    use super::super::ListenerMetrics;
    use super::super::progress::Limits;
    use super::super::seats::{Class, Seats};
    use super::super::wire::Wire;
    use super::*;
    use crate::lifecycle::Farewell;

    const WRITE: Duration = Duration::from_secs(10);

    /// A socket whose peer takes nothing.
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Takes all that is written, and passes on what there is room for below, as TLS does.
    struct Layer<S> {
        below: S,
        kept: Vec<u8>,
    }

    impl<S: AsyncWrite + Unpin> Layer<S> {
        fn pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            while !self.kept.is_empty() {
                let count = ready!(Pin::new(&mut self.below).poll_write(cx, &self.kept))?;
                self.kept.drain(..count);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl<S: Unpin> AsyncRead for Layer<S> {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for Layer<S> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.kept.extend_from_slice(buf);
            match self.pass_on(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(buf.len())),
            }
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.pass_on(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.pass_on(cx)
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
        let layer = Layer {
            below: Outflow::new(Full, Arc::clone(&progress)),
            kept: Vec::new(),
        };
        let mut wire = Wire::new(layer, Bytes::new(), Arc::clone(&progress));
        progress.received();
        let stalled = Instant::now();
        for _ in 0..3 {
            wire.write_all(b"one more event of a stream").await.unwrap();
            let flushed = std::future::poll_fn(|cx| {
                Poll::Ready(Pin::new(&mut wire).poll_flush(cx).is_ready())
            });
            assert!(!flushed.await);
            assert_eq!(progress.due(), Some(stalled + WRITE));
            tokio::time::advance(Duration::from_secs(3)).await;
        }
    }
}

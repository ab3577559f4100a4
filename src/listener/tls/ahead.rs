//! A socket of which something was read already: that is read once more, and then the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// The usual first flight of a client.
const USUAL: usize = 2048;

/// Passes everything else on, without a copy.
#[derive(Debug)]
pub(in crate::listener) struct Ahead<S> {
    ahead: Bytes,
    stream: S,
}

impl<S> Ahead<S> {
    /// `ahead` was read of `stream`.
    pub(in crate::listener) fn new(stream: S, ahead: Bytes) -> Self {
        Self { ahead, stream }
    }

    /// The socket, and what was read of it and not read once more.
    pub(in crate::listener) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.ahead)
    }
}

impl<S: AsyncRead + Unpin> Ahead<S> {
    /// What comes first; nothing at the end.
    pub(super) async fn first(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() {
            let mut buf = BytesMut::with_capacity(USUAL);
            self.stream.read_buf(&mut buf).await?;
            self.ahead = buf.freeze();
        }
        Ok(&self.ahead)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let take = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..take]);
        self.ahead.advance(take);
        if self.ahead.is_empty() {
            // Its memory is not held for as long as the connection lasts.
            self.ahead = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
    use super::*;

    #[tokio::test]
    async fn what_was_read_first_is_read_once_more_and_then_the_rest() {
        let stream: &[u8] = b"read later";
        let mut ahead = Ahead::new(stream, Bytes::from_static(b"read first, "));
        assert_eq!(ahead.first().await.unwrap(), b"read first, ");
        let mut all = String::new();
        ahead.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "read first, read later");
        assert_eq!(ahead.first().await.unwrap(), b"");
    }
}

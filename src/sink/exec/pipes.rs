//! The three pipes of a command. A command is never held up by them: what it does not read is not
//! written, and what it writes is read to the end, also when only its beginning is kept.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// The pipes, with what went through them so far.
pub(super) struct Pipes<'a> {
    pub(super) input: Input<'a>,
    pub(super) out: Output<ChildStdout>,
    pub(super) err: Output<ChildStderr>,
}

impl Pipes<'_> {
    /// Moves bytes until all pipes are closed. What was moved stays so when this is given up and
    /// begun again.
    pub(super) async fn pump(&mut self) {
        tokio::join!(self.input.feed(), self.out.drain(), self.err.drain());
    }
}

/// Stdin, and what is still to be written.
pub(super) struct Input<'a> {
    pipe: Option<ChildStdin>,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(pipe: Option<ChildStdin>, bytes: &'a [u8]) -> Self {
        Self { pipe, rest: bytes }
    }

    /// Nobody reads any more.
    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    async fn feed(&mut self) {
        while let Some(pipe) = &mut self.pipe {
            if self.rest.is_empty() {
                self.pipe = None;
                break;
            }
            match pipe.write(self.rest).await {
                Ok(written) if written > 0 => self.rest = &self.rest[written..],
                // It closed its stdin: it knows enough.
                _ => self.pipe = None,
            }
        }
    }
}

/// Stdout or stderr, and its beginning.
pub(super) struct Output<P> {
    pipe: Option<P>,
    chunk: Vec<u8>,
    kept: Vec<u8>,
    room: usize,
    dropped: usize,
}

impl<P: AsyncRead + Unpin> Output<P> {
    /// Keeps the first `room` bytes.
    pub(super) fn new(pipe: Option<P>, room: usize) -> Self {
        Self {
            pipe,
            chunk: vec![0; CHUNK],
            kept: Vec::new(),
            room,
            dropped: 0,
        }
    }

    async fn drain(&mut self) {
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut self.chunk).await {
                Ok(read) if read > 0 => {
                    let keep = read.min(self.room - self.kept.len());
                    self.kept.extend_from_slice(&self.chunk[..keep]);
                    self.dropped += read - keep;
                }
                _ => self.pipe = None,
            }
        }
    }

    /// Its beginning as text, which says how much is missing.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let text = text.trim_end();
        if self.dropped == 0 {
            return text.to_owned();
        }
        format!("{text}\n({} more bytes were not kept)", self.dropped)
    }
}

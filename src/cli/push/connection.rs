//! One keep-alive HTTP/1.1 connection to the receiver.
//!
//! Written on the socket rather than on an HTTP client: a load generator must cost much less than
//! what it measures, and this costs one write and one read a push and allocates nothing.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use crate::cli::target::Target;
use crate::cli::tls::Stream;

/// Answers are short; one this long is not from a receiver.
const MAX_ANSWER: usize = 1 << 20;
const MAX_HEADERS: usize = 64;

/// Makes connections; tests replace it.
pub trait Dial: Send + Sync + 'static {
    /// What a connection is made of.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;
    /// Connects.
    fn dial(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Dial for Target {
    type Stream = Stream;

    async fn dial(&self) -> io::Result<Stream> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        self.begin(stream).await
    }
}

/// A connection that is made when it is first needed and again whenever the last one ended.
pub struct Connection<D: Dial> {
    stream: Option<D::Stream>,
    buffer: Vec<u8>,
}

/// An answer; its body is in the connection's buffer until the next exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The decoded body.
    pub body: &'a [u8],
}

impl<D: Dial> Default for Connection<D> {
    fn default() -> Self {
        Self {
            stream: None,
            buffer: Vec::with_capacity(4096),
        }
    }
}

impl<D: Dial> Connection<D> {
    /// Connects, unless connected.
    pub async fn open(&mut self, dial: &D) -> io::Result<()> {
        if let Some(stream) = &mut self.stream
            && !is_idle(stream).await
        {
            self.stream = None;
        }
        if self.stream.is_none() {
            self.stream = Some(dial.dial().await?);
        }
        Ok(())
    }

    /// Writes one request and reads its answer.
    ///
    /// When it fails or is dropped half way the connection is gone with it: what the peer sends
    /// later must not be taken for the answer to a later request.
    pub async fn exchange(&mut self, dial: &D, request: &[u8]) -> io::Result<Answer<'_>> {
        self.open(dial).await?;
        let mut stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(request).await?;
        // Encrypted, the end of it may still be here.
        stream.flush().await?;
        self.buffer.clear();
        let head = read_head(&mut stream, &mut self.buffer).await?;
        let body = read_body(&mut stream, &mut self.buffer, &head).await?;
        if head.keep_alive {
            self.stream = Some(stream);
        }
        Ok(Answer {
            status: head.status,
            body: &self.buffer[head.len..body],
        })
    }
}

/// False when the peer has closed, or sent what nobody asked for.
async fn is_idle<S: AsyncRead + Unpin>(stream: &mut S) -> bool {
    poll_fn(|cx| {
        let mut byte = [0];
        let read = Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
        Poll::Ready(read.is_pending())
    })
    .await
}

struct Head {
    len: usize,
    status: u16,
    framing: Framing,
    keep_alive: bool,
}

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<Head> {
    loop {
        read_more(stream, buffer).await?;
        while let Some(head) = parse_head(buffer)? {
            if head.status >= 200 {
                return Ok(head);
            }
            // An interim answer: the real one follows.
            buffer.drain(..head.len);
        }
    }
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(buffer)
        .map_err(|error| invalid(&format!("not an HTTP answer: {error}")))?;
    let httparse::Status::Complete(len) = parsed else {
        return Ok(None);
    };
    let mut head = Head {
        len,
        status: response.code.unwrap_or_default(),
        framing: Framing::UntilClose,
        keep_alive: response.version == Some(1),
    };
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok();
            let length = length.and_then(|text| text.trim().parse().ok());
            head.framing = Framing::Length(length.ok_or_else(|| invalid("bad content-length"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.keep_alive = !header.value.eq_ignore_ascii_case(b"close");
        }
    }
    if head.status < 200 || matches!(head.status, 204 | 304) {
        head.framing = Framing::Length(0);
    }
    if matches!(head.framing, Framing::UntilClose) {
        head.keep_alive = false;
    }
    Ok(Some(head))
}

/// Reads the body behind the head, decodes it in place, and gives where it ends in the buffer.
async fn read_body<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    head: &Head,
) -> io::Result<usize> {
    match head.framing {
        Framing::Length(length) => {
            if length > MAX_ANSWER {
                return Err(invalid("the answer is too long"));
            }
            while buffer.len() < head.len + length {
                read_more(stream, buffer).await?;
            }
            Ok(head.len + length)
        }
        Framing::Chunked => {
            let mut end = head.len;
            while let Some(more) = take_chunk(buffer, end)? {
                match more {
                    Chunk::Partial => read_more(stream, buffer).await?,
                    Chunk::Whole(length) => end += length,
                }
            }
            Ok(end)
        }
        Framing::UntilClose => loop {
            match read_more(stream, buffer).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(buffer.len());
                }
                Err(error) => return Err(error),
            }
        },
    }
}

enum Chunk {
    Partial,
    Whole(usize),
}

/// Cuts the framing of the chunk at `at` away; `None` at the end of the body.
fn take_chunk(buffer: &mut Vec<u8>, at: usize) -> io::Result<Option<Chunk>> {
    let parsed = httparse::parse_chunk_size(&buffer[at..]).map_err(|_| invalid("bad chunk"))?;
    let httparse::Status::Complete((line, size)) = parsed else {
        return Ok(Some(Chunk::Partial));
    };
    let size = usize::try_from(size).map_err(|_| invalid("bad chunk"))?;
    if size > MAX_ANSWER {
        return Err(invalid("the answer is too long"));
    }
    // Behind the data, and behind the last chunk's empty trailer, stands a line end.
    if buffer.len() < at + line + size + 2 {
        return Ok(Some(Chunk::Partial));
    }
    buffer.drain(at + size + line..at + size + line + 2);
    buffer.drain(at..at + line);
    Ok((size > 0).then_some(Chunk::Whole(size)))
}

async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<()> {
    if buffer.len() > MAX_ANSWER {
        return Err(invalid("the answer is too long"));
    }
    buffer.reserve(2048);
    if stream.read_buf(buffer).await? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "closed before the answer was complete",
        ));
    }
    Ok(())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::DuplexStream;

    use super::*;

    /// Hands out prepared streams, one a dial.
    struct Prepared(Mutex<Vec<DuplexStream>>);

    impl Dial for Prepared {
        type Stream = DuplexStream;

        async fn dial(&self) -> io::Result<DuplexStream> {
            let next = self.0.lock().unwrap().pop();
            next.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
        }
    }

    /// What comes of answering a request with exactly these bytes, sent in pieces of `step`.
    async fn answered(bytes: &[u8], step: usize) -> io::Result<(u16, String, bool)> {
        let (near, mut far) = tokio::io::duplex(step);
        let dial = Prepared(Mutex::new(vec![near]));
        let mut connection = Connection::default();
        let serve = async {
            let mut request = [0; 4];
            far.read_exact(&mut request).await.unwrap();
            far.write_all(bytes).await.unwrap();
            drop(far);
        };
        let ask = async {
            let answer = connection.exchange(&dial, b"PING").await?;
            let body = String::from_utf8(answer.body.to_vec()).unwrap();
            io::Result::Ok((answer.status, body))
        };
        let ((), answer) = tokio::join!(serve, ask);
        let (status, body) = answer?;
        Ok((status, body, connection.stream.is_some()))
    }

    #[tokio::test]
    async fn every_way_to_frame_an_answer_is_read_whole_in_pieces_of_any_size() {
        type Case<'a> = (&'a [u8], (u16, &'a str, bool));
        let cases: [Case<'_>; 5] = [
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                (200, "hello", true),
            ),
            (
                b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno",
                (503, "no", false),
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
                (200, "hello", true),
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nhello", (200, "hello", false)),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n",
                (204, "", true),
            ),
        ];
        for (bytes, (status, body, kept)) in cases {
            for step in [4, 7, 1024] {
                let text = String::from_utf8_lossy(bytes);
                let answer = answered(bytes, step).await.unwrap();
                assert_eq!(answer, (status, body.to_owned(), kept), "{text} by {step}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_ends_early_or_is_no_http_fails_and_drops_the_connection() {
        for bytes in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\ncontent-le",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ] {
            assert!(answered(bytes, 1024).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_connection_the_peer_closed_while_idle_is_made_anew() {
        let (near, far) = tokio::io::duplex(64);
        let (second, mut living) = tokio::io::duplex(64);
        let dial = Prepared(Mutex::new(vec![second, near]));
        let mut connection = Connection::default();
        connection.open(&dial).await.unwrap();
        drop(far);
        let serve = async {
            let mut request = [0; 4];
            living.read_exact(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            living.write_all(answer).await.unwrap();
        };
        let ((), answer) = tokio::join!(serve, connection.exchange(&dial, b"PING"));
        assert_eq!(answer.unwrap().status, 200);
    }
}

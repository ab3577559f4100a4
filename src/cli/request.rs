//! One request over a connection of its own, for the commands that ask a running receiver. Whatever listens there
//! takes no more time and memory than it is given.

use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::target::Target;
use super::tls::Stream;

/// Bytes in which a receiver says many times over how it is.
pub const PROBE_BYTES: usize = 4 << 20;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody listens there; another way may be tried.
    #[error("nothing answers at {address}")]
    Unreachable {
        /// What was connected to.
        address: String,
        /// Why that failed.
        source: io::Error,
    },
    /// Somebody listens, but gave no usable answer.
    #[error("{address} did not answer the request")]
    Failed {
        /// What was connected to.
        address: String,
        /// What went wrong.
        source: Cause,
    },
    /// Neither came in time.
    #[error("{address} did not answer within {}s", waited.as_secs_f64())]
    TimedOut {
        /// What was connected to.
        address: String,
        /// How long was waited.
        waited: Duration,
    },
}

type Cause = Box<dyn Error + Send + Sync>;

/// An answer that is not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("its answer is longer than {} MiB", .0 >> 20)]
struct TooLong(usize);

/// Sends `request`, whose URI is a path, to `target`, and reads the whole answer, whose body has `most` bytes at most.
///
/// # Errors
/// When there is no such answer within `timeout`. An answer of any status is an answer.
pub async fn send(
    target: &Target,
    request: Request<Full<Bytes>>,
    (timeout, most): (Duration, usize),
) -> Result<Reply, RequestError> {
    within(target, timeout, |stream| exchange(stream, request, most)).await
}

/// An answer that is read as it comes.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    body: Incoming,
    /// What moves the body, until it has ended.
    connection: Option<Driving>,
    /// Dropped, it would end the connection.
    _sender: http1::SendRequest<Full<Bytes>>,
}

type Driving = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub async fn piece(&mut self) -> Option<hyper::Result<Bytes>> {
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame?,
                // What it has brought is still to be read; an error is the body's as well.
                _ended = drive(&mut self.connection) => continue,
            };
            match frame {
                Ok(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Some(Ok(bytes));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Moves what a connection has to move until it ends, and rests from then on.
async fn drive(connection: &mut Option<Driving>) -> hyper::Result<()> {
    let Some(driving) = connection else {
        return std::future::pending().await;
    };
    let ended = driving.await;
    *connection = None;
    ended
}

/// Sends `request`, whose URI is a path, to `target`, and gives the answer as soon as its head is there.
///
/// # Errors
/// When there is none within `timeout`.
pub async fn open(
    target: &Target,
    request: Request<Full<Bytes>>,
    timeout: Duration,
) -> Result<Answer, RequestError> {
    within(target, timeout, |stream| begin(stream, request)).await
}

/// Connects to `target` and does on the connection what `ask` does, both of it within `timeout`.
async fn within<T, E, F>(
    target: &Target,
    timeout: Duration,
    ask: impl FnOnce(Stream) -> F,
) -> Result<T, RequestError>
where
    E: Into<Cause>,
    F: Future<Output = Result<T, E>>,
{
    let address = || target.address.clone();
    let asking = async {
        let stream = TcpStream::connect(&target.address)
            .await
            .map_err(|source| RequestError::Unreachable {
                address: address(),
                source,
            })?;
        let failed = |source: Cause| RequestError::Failed {
            address: address(),
            source,
        };
        let begun = target.begin(stream).await;
        let stream = begun.map_err(|error| failed(error.into()))?;
        let answered = ask(stream).await;
        answered.map_err(|error| failed(error.into()))
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(result) => result,
        Err(_elapsed) => Err(RequestError::TimedOut {
            address: address(),
            waited: timeout,
        }),
    }
}

async fn begin(stream: Stream, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    let shaken = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken?;
    let mut connection: Option<Driving> = Some(Box::pin(connection));
    let response = {
        let mut answering = pin!(sender.send_request(request));
        loop {
            tokio::select! {
                biased;
                response = &mut answering => break response?,
                // Whoever waits for the answer hears of it as well.
                _ended = drive(&mut connection) => {}
            }
        }
    };
    Ok(Answer {
        status: response.status(),
        body: response.into_body(),
        connection,
        _sender: sender,
    })
}

async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Reply, Cause> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let reply = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let collected = Limited::new(response.into_body(), most).collect().await;
        let body = collected.map_err(|error| match error.is::<LengthLimitError>() {
            true => Cause::from(TooLong(most)),
            false => error,
        });
        let body = body?.to_bytes();
        // Ends the connection, which would otherwise be kept for another request.
        drop(sender);
        Ok::<_, Cause>(Reply { status, body })
    };
    let closed = async {
        // What goes wrong there is the answer's trouble as well.
        let _ended = connection.await;
        Ok::<(), Cause>(())
    };
    // An answer that is given up is not waited for to its end.
    let (reply, ()) = tokio::try_join!(reply, closed)?;
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::tls::Known;

    /// What comes of a request that is answered with `head` and so many times 4 KiB, as long as anybody takes them.
    async fn asked(head: &str, pieces: usize) -> Result<Reply, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = Target::parse(&url, "/", &Known::default()).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut seen).await.unwrap();
            }
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut left = pieces;
            while left > 0 && stream.write_all(&[b' '; 4096]).await.is_ok() {
                left -= 1;
            }
        };
        let request = Request::get("/").body(Full::default()).unwrap();
        let sending = send(&target, request, (Duration::from_secs(20), 1 << 20));
        let (sent, ()) = tokio::join!(sending, serve);
        sent.map_err(|error| format!("{:#}", anyhow::Error::new(error)))
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_given_up_and_one_as_long_as_may_be_is_read() {
        let endless = asked("HTTP/1.1 200 OK\r\n\r\n", usize::MAX).await;
        let error = endless.unwrap_err();
        assert!(
            error.ends_with("its answer is longer than 1 MiB"),
            "{error}"
        );
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n";
        let whole = asked(head, 256).await;
        assert_eq!(whole.unwrap().body.len(), 1 << 20);
    }
}

//! One request over a connection of its own, for the commands that ask a running receiver.

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::target::Target;
use super::tls::Stream;

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
        source: Box<dyn std::error::Error + Send + Sync>,
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

/// Sends `request`, whose URI is a path, to `target`, and reads the whole answer.
///
/// # Errors
/// When there is no answer within `timeout`. An answer of any status is an answer.
pub async fn send(
    target: &Target,
    request: Request<Full<Bytes>>,
    timeout: Duration,
) -> Result<Reply, RequestError> {
    within(target, timeout, |stream| exchange(stream, request)).await
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
async fn within<T, F>(
    target: &Target,
    timeout: Duration,
    ask: impl FnOnce(Stream) -> F,
) -> Result<T, RequestError>
where
    F: Future<Output = hyper::Result<T>>,
{
    let address = || target.address.clone();
    let asking = async {
        let stream = TcpStream::connect(&target.address)
            .await
            .map_err(|source| RequestError::Unreachable {
                address: address(),
                source,
            })?;
        let failed = |source| RequestError::Failed {
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

async fn exchange(stream: Stream, request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let reply = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        // Ends the connection, which would otherwise be kept for another request.
        drop(sender);
        Ok(Reply { status, body })
    };
    let (reply, _closed) = tokio::join!(reply, connection);
    reply
}

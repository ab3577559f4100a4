//! The body of a request, which has to come in time: a client that stops in the middle of one would hold
//! its place at the listener for good, and whoever has not shown a token yet may begin one, too.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use axum::RequestExt as _;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError};
use tokio::time::{Instant, timeout_at};

use super::params::refused;
use crate::intake::problem::Problem;

/// What any body has to come in.
const LEAST: Duration = Duration::from_secs(10);
/// What comes gives the rest of it a second more for each so many bytes.
const BYTES_A_SECOND: usize = 64 << 10;

/// The body of a request.
pub(super) struct Sent(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        read(request.into_limited_body()).await.map(Self)
    }
}

async fn read(mut body: Body) -> Result<Bytes, Problem> {
    let (begun, mut come) = (Instant::now(), Vec::new());
    loop {
        let more = Duration::from_secs((come.len() / BYTES_A_SECOND) as u64);
        let Ok(frame) = timeout_at(begun + LEAST + more, body.frame()).await else {
            let detail = format!(
                "the body did not come in time: {} bytes of it did",
                come.len()
            );
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
        };
        match frame {
            None => return Ok(come.into()),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    come.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => return Err(broken(&error)),
        }
    }
}

fn broken(error: &(dyn Error + 'static)) -> Problem {
    let mut causes = successors(Some(error), |error| (*error).source());
    if causes.any(|cause| cause.is::<LengthLimitError>()) {
        let detail = "the body is larger than what is taken here";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail);
    }
    refused(format!("the body cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt as _};

    use super::*;

    /// So many bytes every so often, and no end.
    fn trickle(bytes: usize, every: Duration) -> Body {
        let piece = Bytes::from(vec![b'x'; bytes]);
        Body::from_stream(stream::repeat(piece).then(move |piece| async move {
            tokio::time::sleep(every).await;
            Ok::<_, std::io::Error>(piece)
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_or_trickles_is_refused_and_a_steady_one_has_its_time() {
        let second = Duration::from_secs(1);
        for (body, patience) in [
            (
                Body::from_stream(stream::pending::<std::io::Result<Bytes>>()),
                10,
            ),
            (trickle(1, second), 10),
            (trickle(BYTES_A_SECOND / 2, second), 19),
        ] {
            let begun = Instant::now();
            let refusal = read(body).await.unwrap_err();
            assert_eq!(refusal.status, 408);
            let waited = begun.elapsed().as_secs();
            assert!((patience..=patience + 1).contains(&waited), "{waited}");
        }
        let length = 100;
        let steady = trickle(BYTES_A_SECOND, second).into_data_stream();
        let whole = Body::from_stream(steady.take(length));
        assert_eq!(read(whole).await.unwrap().len(), length * BYTES_A_SECOND);
    }
}

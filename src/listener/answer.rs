//! Between hyper and the router: marks where a request begins and where its answer ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::{HttpService, service_fn};
use tower::Service as _;

use super::door::Shared;
use super::progress::Progress;
use super::{CloseWithoutAnswer, OverTls, RequestStart};
use crate::source::Peer;

/// Why a request gets no answer; hyper then drops the connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("the connection had to make room for another one")]
    Evicted,
    #[error("the service asked to close without an answer")]
    Asked,
}

/// The service of one connection.
pub(super) fn service(
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    peer: Peer,
    over_tls: Option<OverTls>,
) -> impl HttpService<
    Incoming,
    ResBody = Answer,
    Error = Unanswered,
    Future = impl Future<Output = Result<Response<Answer>, Unanswered>> + Send,
> {
    service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let progress = Arc::clone(&progress);
        let over_tls = over_tls.clone();
        let began = progress.begin_request();
        async move {
            let mut request = request.map(|body| Body::new(Receiving::new(body, &progress)));
            let extensions = request.extensions_mut();
            extensions.insert(RequestStart(began.ok_or(Unanswered::Evicted)?));
            extensions.insert(peer);
            if let Some(over_tls) = over_tls {
                extensions.insert(over_tls);
            }
            let answer = shared.router.clone().call(request).await;
            let mut answer = answer.unwrap_or_else(|never| match never {});
            if answer.extensions().get::<CloseWithoutAnswer>().is_some() {
                return Err(Unanswered::Asked);
            }
            if shared.lifecycle.is_parting() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok(answer.map(|body| Answer { body, progress }))
        }
    })
}

/// A request's body, which reports that all of it is there or that nobody wants the rest.
#[derive(Debug)]
struct Receiving {
    body: Incoming,
    progress: Arc<Progress>,
}

impl Receiving {
    fn new(body: Incoming, progress: &Arc<Progress>) -> Self {
        let receiving = Self {
            body,
            progress: Arc::clone(progress),
        };
        receiving.look_at_end();
        receiving
    }

    fn look_at_end(&self) {
        if self.body.is_end_stream() {
            self.progress.received();
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.progress.received();
    }
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.look_at_end();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body whose end is reported when hyper drops it, as it does at once after the last frame
/// (or without asking for any, when there is none or the request was a HEAD).
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    progress: Arc<Progress>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.progress.answered();
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

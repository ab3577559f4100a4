//! What the sender, and whoever else asks, gets to see.

use std::any::Any;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::problem::Problem;
use crate::event::{Id, Seq};
use crate::inbox::Taken;
use crate::listener::CloseWithoutAnswer;
use crate::metrics::PushOutcome;

/// The body of a 200.
#[derive(Serialize)]
struct Acknowledgement<'a> {
    outcome: &'static str,
    event_id: Option<&'a Id>,
    /// Absent while the push waits in the spill.
    seq: Option<Seq>,
}

/// 200, with what became of the event.
pub(super) fn acknowledged(taken: &Taken, event_id: Option<&Id>) -> Response {
    let acknowledgement = Acknowledgement {
        outcome: taken.outcome().as_str(),
        event_id,
        seq: taken.seq(),
    };
    let body = serde_json::to_vec(&acknowledgement).expect("strings and a number");
    let mut response = Response::new(axum::body::Body::new(Full::new(Bytes::from(body))));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A refusal. Its connection is closed when bytes of the body may still be on their way.
pub(super) fn refused(status: StatusCode, outcome: PushOutcome, detail: String) -> Response {
    let mut response = Problem::new(status, detail)
        .with_outcome(outcome.as_str())
        .into_response();
    if matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE
    ) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// No answer at all, for a sender that tries once more after an EOF.
pub(super) fn hung_up() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.extensions_mut().insert(CloseWithoutAnswer);
    response
}

/// A handler that panicked: a defect of ours, told apart from all else.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!("a request handler panicked: {what}");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the request ran into a defect of the receiver; its log has the details",
    )
    .into_response()
}

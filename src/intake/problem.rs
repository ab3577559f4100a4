//! Refusals as RFC 9457 problem documents.
//!
//! A problem never holds a secret or bytes of a body: it tells what is wrong, where, and what to do.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request was not answered as asked.
///
/// Answered as `application/problem+json` with `type`, `title`, `status`, `detail` and, where the
/// request has one, `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// A URI that names the kind of problem; `about:blank` when the status says it all (RFC 9457,
    /// section 4.2.1).
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// The kind of problem in a few words; the status's own phrase unless set.
    pub title: Cow<'static, str>,
    /// The answer's status; the document repeats it, for readers that see only the body.
    #[serde(serialize_with = "as_number")]
    #[schemars(with = "u16")]
    pub status: StatusCode,
    /// What is wrong with this very request, and what to do about it.
    pub detail: Cow<'static, str>,
    /// What became of the push, in the words of the log and the metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
}

impl Problem {
    /// A problem of the kind that `status` names by itself.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            type_: "about:blank",
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("Refused")),
            status,
            detail: detail.into(),
            outcome: None,
        }
    }

    /// The same with a kind of its own, named by a URI.
    #[must_use]
    pub fn with_type(mut self, type_: &'static str, title: impl Into<Cow<'static, str>>) -> Self {
        self.type_ = type_;
        self.title = title.into();
        self
    }

    /// The same with the push's outcome.
    #[must_use]
    pub fn with_outcome(mut self, outcome: &'static str) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// The answer, for those who write it themselves.
    pub fn into_bytes(self) -> http::Response<Bytes> {
        let body = serde_json::to_vec(&self).expect("a problem holds only strings and a number");
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, problem);
        // 404 and 405 are cacheable unless they say otherwise (RFC 9110, section 15.1).
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_bytes().map(Body::from)
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text_of(problem: Problem) -> String {
        let body = problem.into_response().into_body();
        let bytes = body.collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_problem_repeats_its_status_and_leaves_out_what_it_has_not() {
        let plain = Problem::new(StatusCode::NOT_FOUND, "no event has the seq 7");
        insta::assert_snapshot!(text_of(plain).await, @r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no event has the seq 7"}"#);
        let full = Problem::new(StatusCode::BAD_REQUEST, "line 1, column 2: expected `:`")
            .with_type("urn:example:not-json", "The body is not JSON")
            .with_outcome("invalid");
        insta::assert_snapshot!(text_of(full).await, @r#"{"type":"urn:example:not-json","title":"The body is not JSON","status":400,"detail":"line 1, column 2: expected `:`","outcome":"invalid"}"#);
    }

    #[test]
    fn a_problem_is_labelled_as_one_and_never_cached() {
        let response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "").into_response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}

//! Answers to heads that cannot be read. hyper gives them a bare status; here they get what every
//! other refusal has.

use std::sync::Arc;

use axum::body::Bytes;
use http::{Response, StatusCode};
use tokio::time::Instant;

use super::door::MAX_BUFFER;
use crate::source::Peer;

/// A head that is no HTTP/1, or more of it than is read.
#[derive(Debug, Clone)]
pub struct BrokenHead {
    /// Whose it is.
    pub peer: Peer,
    /// When its first byte came.
    pub began: Instant,
    /// What it is answered with.
    pub status: StatusCode,
    /// What is wrong with it, and what to do.
    pub detail: String,
    /// All that came of it.
    pub bytes: Bytes,
}

/// Makes the answer to such a head. Its status, `connection` and `content-length` are the
/// listener's.
pub type RefuseHead = Arc<dyn Fn(&BrokenHead) -> Response<Bytes> + Send + Sync>;

/// The first bytes of every TLS connection: a handshake record of version 3.
const TLS: [u8; 2] = [0x16, 3];

impl BrokenHead {
    /// Whether it would have been a look, and no push.
    pub fn is_look(&self) -> bool {
        self.bytes.starts_with(b"GET ") || self.is_of_head()
    }

    fn is_of_head(&self) -> bool {
        self.bytes.starts_with(b"HEAD ")
    }

    /// The whole answer, in the place of hyper's `refusal`, whose status and date it keeps.
    pub(super) fn answer(&self, refusal: &[u8], refuse: &RefuseHead) -> Vec<u8> {
        let response = refuse(self);
        let body = response.body();
        let mut answer = Vec::with_capacity(512 + body.len());
        let lines = refusal.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty()) {
            if !["connection:", "content-length:"]
                .iter()
                .any(|name| line.starts_with(name.as_bytes()))
            {
                push_line(&mut answer, &[line]);
            }
        }
        for (name, value) in response.headers() {
            push_line(
                &mut answer,
                &[name.as_str().as_bytes(), b": ", value.as_bytes()],
            );
        }
        let length = body.len().to_string();
        push_line(&mut answer, &[b"content-length: ", length.as_bytes()]);
        push_line(&mut answer, &[b"connection: close"]);
        push_line(&mut answer, &[]);
        if !self.is_of_head() {
            answer.extend_from_slice(body);
        }
        answer
    }
}

/// The status of hyper's `refusal`.
pub(super) fn status_of(refusal: &[u8]) -> StatusCode {
    let word = refusal.split(|byte| *byte == b' ').nth(1);
    word.and_then(|word| StatusCode::from_bytes(word).ok())
        .unwrap_or(StatusCode::BAD_REQUEST)
}

/// What is wrong with a head that begins with `bytes`, and what to do.
pub(super) fn detail(status: StatusCode, bytes: &[u8], error: &str) -> String {
    if bytes.starts_with(&TLS) {
        return "this port speaks plain HTTP, and this is the beginning of TLS: let the URL begin \
                with http://, or let a proxy or balancer in front of this port end TLS"
            .to_owned();
    }
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => format!(
            "the head is larger than {MAX_BUFFER} bytes or has more than 100 header lines: send \
             fewer or shorter ones"
        ),
        StatusCode::URI_TOO_LONG => {
            "the request's target is too long: shorten the URL's path or query string".to_owned()
        }
        _ => format!(
            "the head of the request cannot be read ({error}): this port speaks HTTP/1.1 and \
             HTTP/1.0"
        ),
    }
}

fn push_line(answer: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        answer.extend_from_slice(part);
    }
    answer.extend_from_slice(b"\r\n");
}

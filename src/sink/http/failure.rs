//! What went wrong before there was an answer: whether it can have had an effect, and words for it
//! that hold nothing of a URL but its host.

use std::error::Error;
use std::time::Duration;

use super::client::connect_timeout;
use crate::sink::{Failure, SinkError};

/// The failure of a request to `host` that got no whole answer within `timeout`.
///
/// Without a connection (no address, no route, no TLS) it had no effect. Otherwise it may have had
/// one: the request was written, and nobody knows how much of it was read.
pub(super) fn failed(error: reqwest::Error, host: &str, timeout: Duration) -> SinkError {
    let error = error.without_url();
    if error.is_builder() {
        let reason = format!("no request can be made for {host}: {}", cause(&error));
        return SinkError::Refused(Failure::new(reason));
    }
    if error.is_connect() {
        let reason = if error.is_timeout() {
            let limit = connect_timeout(timeout);
            format!("cannot connect to {host}: no connection within {limit:?}")
        } else {
            format!("cannot connect to {host}: {}", cause(&error))
        };
        return SinkError::Retry(Failure::new(reason));
    }
    if error.is_timeout() {
        let reason = format!("{host} gave no whole answer within {timeout:?}");
        return SinkError::Unknown(Failure::new(reason));
    }
    let reason = format!("{host} gave no whole answer: {}", cause(&error));
    if was_never_written(&error) {
        return SinkError::Retry(Failure::new(reason));
    }
    SinkError::Unknown(Failure::new(reason))
}

/// The connection was gone before the request was taken from its queue.
fn was_never_written(error: &reqwest::Error) -> bool {
    sources(error).any(|source| {
        source
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_canceled)
    })
}

fn sources(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

/// The chain without those that only say which part of the client speaks.
fn cause(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for source in sources(error) {
        let text = source.to_string();
        let says_nothing = text.starts_with("client error (") || text.starts_with("error sending");
        if !says_nothing && !parts.iter().any(|part| part.ends_with(&text)) {
            parts.push(text);
        }
    }
    if parts.is_empty() {
        parts.push(error.to_string());
    }
    parts.join(": ")
}

//! What the sinks for brokers share: the fields that go with a message, and what can be wrong with
//! their options.
//!
//! A message's value is the pushed bytes, unchanged; everything else goes beside it.

use std::borrow::Cow;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Failure, SinkError, Taken};
use crate::inbox::Lease;

/// How each lease of a batch ended, in order.
pub(super) type Results = Vec<Result<Taken, SinkError>>;

/// An option with which no sink can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Misconfigured {
    /// The option, such as `url`.
    pub key: &'static str,
    /// Why, for people. Holds no secret.
    pub reason: String,
}

impl Misconfigured {
    pub(super) fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self {
            key,
            reason: reason.into(),
        }
    }
}

/// Names and values that go with an event's message; values are visible ASCII, or left out. A line break
/// in one would begin a header of its own where a broker does not look, as that of NATS.
pub(super) fn fields(lease: &Lease) -> Vec<(&'static str, Cow<'_, str>)> {
    let event = &*lease.event;
    let mut fields: Vec<(&'static str, Cow<'_, str>)> = Vec::with_capacity(8);
    if let Some(id) = &event.event_id {
        fields.push(("Flashduty-Event-Id", id.as_str().into()));
    }
    fields.push(("Flashduty-Event-Type", event.event_type.as_str().into()));
    if let Some(subject) = &event.subject {
        fields.push(("Flashduty-Subject", subject.to_string().into()));
    }
    if let Some(tag) = &event.route.tag {
        fields.push(("Flashduty-Tag", (&**tag).into()));
    }
    fields.push(("Flashduty-Attempt", lease.attempt.to_string().into()));
    if lease.attempt > 1 {
        fields.push(("Flashduty-Redelivered", "true".into()));
    }
    if lease.replay {
        fields.push(("Flashduty-Replay", "true".into()));
    }
    if let Some(trace) = lease.trace_parent() {
        fields.push(("traceparent", trace));
    }
    // A push has no other, but whoever may bring in what a spill held may say anything.
    fields.retain(|(_, value)| value.bytes().all(|byte| byte.is_ascii_graphic()));
    fields
}

/// The same end for all of a batch.
pub(super) fn all(leases: &[Lease], error: &SinkError) -> Results {
    vec![Err(error.clone()); leases.len()]
}

/// A failure without effect.
pub(super) fn retry(reason: impl Into<String>) -> SinkError {
    SinkError::Retry(Failure::new(reason))
}

/// A failure whose effect is not known.
pub(super) fn unknown(reason: impl Into<String>) -> SinkError {
    SinkError::Unknown(Failure::new(reason))
}

/// A failure for good.
pub(super) fn refused(reason: impl Into<String>) -> SinkError {
    SinkError::Refused(Failure::new(reason))
}

/// `text`, which somebody else wrote, without the secrets it may quote, and on one line.
pub(super) fn redacted<'s>(
    text: &str,
    secrets: impl IntoIterator<Item = &'s SecretString>,
) -> String {
    let mut clean = text.replace(|at: char| at.is_control(), " ");
    for secret in secrets {
        let secret = secret.expose_secret();
        if !secret.is_empty() {
            clean = clean.replace(secret, "***");
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Route};

    #[test]
    fn a_value_with_a_line_break_does_not_become_a_header_of_its_own() {
        let named = |tag: &str, trace: &str| {
            let event = Event {
                route: Route {
                    tag: Some(tag.into()),
                    query: None,
                },
                trace_parent: Some(trace.into()),
                ..Event::sample("{}")
            };
            let lease = Lease::sample(1, event);
            let names = fields(&lease).into_iter().map(|(name, _)| name);
            names.collect::<Vec<_>>()
        };
        let always = [
            "Flashduty-Event-Id",
            "Flashduty-Event-Type",
            "Flashduty-Subject",
        ];
        let all = named("ops", "00-1");
        assert_eq!(all[..3], always);
        assert_eq!(
            all[3..],
            ["Flashduty-Tag", "Flashduty-Attempt", "traceparent"]
        );
        let forged = named("ops\r\nNats-Rollup: all", "00-1\r\nNats-Rollup: all");
        assert_eq!(forged[..3], always);
        assert_eq!(forged[3..], ["Flashduty-Attempt"]);
    }

    #[test]
    fn a_secret_in_somebody_elses_words_is_blotted_out() {
        let secrets = [SecretString::from("s3cret"), SecretString::from("")];
        assert_eq!(
            redacted("no s3cret\r\nhere", &secrets),
            "no ***  here".to_owned()
        );
    }
}

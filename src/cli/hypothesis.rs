//! What would become of a push, told without making one.
//!
//! Uses the very rules the receiver judges by. Only what the store knows is left open: whether the
//! event was there before, and whether a later one of its subject was.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use super::events;
use crate::envelope::{Envelope, EnvelopeRules, Unreadable};
use crate::event::Route;
use crate::source::{Decision, Peer, SourceRules};

/// The rules of one configuration, at one moment.
pub struct Hypothesis<'a> {
    /// Who may push.
    pub source: &'a SourceRules,
    /// How a body is read.
    pub envelope: &'a EnvelopeRules,
    /// The longest body, bytes.
    pub max_body: u64,
    /// The oldest command that is carried out.
    pub command_max_age: Duration,
    /// How far in the future an event time may lie.
    pub max_clock_skew: Duration,
    /// The time at which the push would come.
    pub now: Timestamp,
}

/// What would happen, step by step.
#[derive(Debug, PartialEq, Eq)]
pub struct Sentences {
    /// In order.
    pub steps: Vec<String>,
    /// Whether the inbox would get to judge it.
    pub accepted: bool,
}

impl Hypothesis<'_> {
    /// Follows a push through the receiver, in the order in which the receiver judges.
    pub fn judge(&self, peer: &Peer, headers: &HeaderMap, route: &Route, body: &[u8]) -> Sentences {
        let mut steps = self.source.explain(peer, headers);
        let status = match self.source.judge(peer, headers).decision {
            Decision::Allowed { .. } => None,
            Decision::Unauthorized { .. } => Some(401),
            Decision::Denied { .. } => Some(403),
        };
        if let Some(status) = status {
            steps.push(format!(
                "it is answered {status}, its body is not read, and nothing is stored"
            ));
            return refused(steps);
        }
        if body.len() as u64 > self.max_body {
            steps.push(format!(
                "the body takes {} bytes, more than server.max_body allows ({}): it is answered 413",
                body.len(),
                self.max_body
            ));
            return refused(steps);
        }
        match self.envelope.read(body) {
            Err(unreadable) => {
                let status = status_of(&unreadable);
                steps.push(format!(
                    "{unreadable}: it is answered {status}, and kept as unreadable for a person"
                ));
                refused(steps)
            }
            Ok(envelope) => {
                self.admission(&envelope, route, body, &mut steps);
                Sentences {
                    steps,
                    accepted: true,
                }
            }
        }
    }

    /// What the body alone says, when it is not asked whether its sender would be let in.
    pub fn read(&self, body: &[u8]) -> Sentences {
        let envelope = match self.envelope.read(body) {
            Ok(envelope) => envelope,
            Err(unreadable) => return refused(vec![format!("{unreadable}: no sink gets it")]),
        };
        let mut steps = vec![identity(&envelope)];
        steps.extend(self.expiry(&envelope));
        Sentences {
            steps,
            accepted: true,
        }
    }

    fn admission(&self, envelope: &Envelope, route: &Route, body: &[u8], steps: &mut Vec<String>) {
        steps.push(identity(envelope));
        if !envelope.placeholders.is_empty() {
            steps.push(format!(
                "the template left a placeholder in {}, which counts as absent, with a warning",
                envelope.placeholders.join(", ")
            ));
        }
        let shown = events::route_in_words(route.tag.as_deref(), route.query.as_deref());
        let key = match (&envelope.event_id, envelope.key(route, body)) {
            (Some(id), Some(_)) if envelope.nested_id => format!(
                "its id {id} stands inside the incident or alert, so id, type and time together \
                 tell it from others: the same again on {shown} is a duplicate"
            ),
            (Some(id), Some(_)) => {
                format!("the same id {id} again on {shown} is a duplicate")
            }
            (None, Some(_)) => "without an id its whole body stands for it: the same body again \
                                is a duplicate"
                .to_owned(),
            (_, None) => "without an id and a time to compare it is never a duplicate".to_owned(),
        };
        steps.push(key);
        steps.push(self.order(envelope));
        steps.extend(self.expiry(envelope));
        steps.push("it is stored and answered 200, unless it turns out a duplicate".to_owned());
    }

    fn expiry(&self, envelope: &Envelope) -> Option<String> {
        let age = self.age(envelope)?;
        (envelope.command && age > self.command_max_age).then(|| {
            format!(
                "it is a command {:.0} s old, older than admission.command_max_age: every sink \
                 has it expired rather than carry it out late",
                age.as_secs_f64()
            )
        })
    }

    fn order(&self, envelope: &Envelope) -> String {
        if envelope.command {
            return "a command is never stale and makes nothing else stale".to_owned();
        }
        let (Some(subject), Some(time)) = (&envelope.subject, envelope.event_time) else {
            return "without a subject and a time to compare it is never stale".to_owned();
        };
        let skew = i64::try_from(self.max_clock_skew.as_millis()).unwrap_or(i64::MAX);
        if time > self.now.as_millisecond().saturating_add(skew) {
            return format!(
                "its time lies further ahead than admission.max_clock_skew: earlier events of \
                 {subject} are not made stale by it"
            );
        }
        format!("it is stale if a later event of {subject} was accepted on this route before")
    }

    fn age(&self, envelope: &Envelope) -> Option<Duration> {
        let time = Timestamp::from_millisecond(envelope.event_time?).ok()?;
        Duration::try_from(self.now.duration_since(time)).ok()
    }
}

fn refused(steps: Vec<String>) -> Sentences {
    Sentences {
        steps,
        accepted: false,
    }
}

fn status_of(unreadable: &Unreadable) -> u16 {
    match unreadable {
        Unreadable::NotJson { .. } => 400,
        Unreadable::NotAnObject { .. } | Unreadable::NoEventType => 422,
    }
}

fn identity(envelope: &Envelope) -> String {
    let kind = if envelope.command {
        "a command"
    } else {
        "a change of state"
    };
    let time = envelope.event_time.map(|millis| {
        Timestamp::from_millisecond(millis)
            .map_or_else(|_far| millis.to_string(), |time| format!("{time:.3}"))
    });
    let subject = envelope.subject.as_ref().map(ToString::to_string);
    format!(
        "the body is understood: {} ({kind}), subject {}, time {}",
        envelope.event_type,
        subject.as_deref().unwrap_or("none"),
        time.as_deref().unwrap_or("none")
    )
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use secrecy::SecretString;

    use super::*;
    use crate::envelope::EnvelopeOptions;
    use crate::source::{ClientIpHeader, Enforce, SourceOptions};

    fn told(headers: &[(&'static str, &'static str)], body: &str) -> String {
        let nets = |nets: &[&str]| {
            nets.iter()
                .map(|net| net.parse::<IpNet>().unwrap())
                .collect()
        };
        let source = SourceRules::new(SourceOptions {
            allow: nets(&["47.94.95.118/32"]),
            enforce: Enforce::Address,
            trusted_proxies: nets(&["10.0.0.0/8"]),
            client_ip_header: ClientIpHeader::XForwardedFor,
            proxy_protocol: false,
            tokens: vec![SecretString::from("hunter2")],
            token_header: "x-flashduty-token".parse().unwrap(),
            headers: vec![],
        })
        .unwrap();
        let envelope = EnvelopeRules::new(EnvelopeOptions::default()).unwrap();
        let hypothesis = Hypothesis {
            source: &source,
            envelope: &envelope,
            max_body: 2000,
            command_max_age: Duration::from_secs(600),
            max_clock_skew: Duration::from_secs(300),
            now: "2026-05-04T10:00:00Z".parse().unwrap(),
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let route = Route {
            tag: Some("ops".into()),
            query: None,
        };
        let peer = Peer::new("10.0.3.7".parse().unwrap(), None);
        let sentences = hypothesis.judge(&peer, &headers, &route, body.as_bytes());
        sentences.steps.join("\n")
    }

    const GOOD: [(&str, &str); 2] = [
        ("x-forwarded-for", "47.94.95.118"),
        ("x-flashduty-token", "hunter2"),
    ];

    #[test]
    fn a_good_push_is_followed_to_its_answer() {
        insta::assert_snapshot!(told(
            &GOOD,
            r#"{"event_id":"e1","event_type":"i_ack","event_time":1777888800000,"incident":{"incident_id":"664af"}}"#
        ));
    }

    #[test]
    fn an_old_command_is_told_to_expire() {
        let text = told(
            &GOOD,
            r#"{"event_type":"i_custom","event_time":1777880000000,"incident":{"incident_id":"664af","event_id":"e1"}}"#,
        );
        assert!(text.contains("stands inside the incident"), "{text}");
        assert!(
            text.contains("older than admission.command_max_age"),
            "{text}"
        );
    }

    #[test]
    fn a_time_too_far_ahead_is_told_to_leave_the_mark() {
        let text = told(
            &GOOD,
            r#"{"event_id":"e","event_type":"i_ack","event_time":1777900000000,"incident":{"incident_id":"664af"}}"#,
        );
        assert!(
            text.contains("further ahead than admission.max_clock_skew"),
            "{text}"
        );
    }

    #[test]
    fn a_refusal_ends_the_story_where_the_receiver_would() {
        let stranger = told(&[("x-forwarded-for", "192.0.2.1")], "{}");
        assert!(
            stranger.ends_with("it is answered 403, its body is not read, and nothing is stored")
        );
        let secretless = told(&[("x-forwarded-for", "47.94.95.118")], "{}");
        assert!(secretless.contains("it is answered 401"), "{secretless}");
        let broken = told(&GOOD, "{");
        assert!(
            broken.contains("it is answered 400, and kept as unreadable"),
            "{broken}"
        );
        let untyped = told(&GOOD, "{}");
        assert!(untyped.contains("it is answered 422"), "{untyped}");
        let large = told(&GOOD, &"x".repeat(2001));
        assert!(large.contains("it is answered 413"), "{large}");
        for text in [stranger, secretless, broken, untyped, large] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

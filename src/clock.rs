//! Where the time comes from, so that tests can move it.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};
use jiff::Timestamp;

/// Tells the current wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// The current time, with microseconds.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the clock"
        )]
        Timestamp::now()
    }
}

/// What time it was where an answer with these headers came from, by its `Date`.
pub fn of_answer(headers: &HeaderMap) -> Option<Timestamp> {
    date(said(headers, DATE)?)
}

/// How long an answer with these headers asks to be left alone, by its `Retry-After`: for so many
/// seconds, or until a date, which is compared with `now`, or else with the answer's own `Date`.
pub fn asked_pause(headers: &HeaderMap, now: Option<Timestamp>) -> Option<Duration> {
    let asked = said(headers, RETRY_AFTER)?;
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long time, too.
        return Some(Duration::from_secs(asked.parse().unwrap_or(u64::MAX)));
    }
    let wait = date(asked)?.duration_since(now.or_else(|| of_answer(headers))?);
    // A date that has passed asks for nothing.
    Some(Duration::try_from(wait).unwrap_or_default())
}

fn said(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn date(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_answer_says_what_time_it_is_or_nothing() {
        let said = |date: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, HeaderValue::from_static(date));
            of_answer(&headers).map(|at| at.to_string())
        };
        let known = said("Mon, 04 May 2026 10:00:00 GMT");
        assert_eq!(known.as_deref(), Some("2026-05-04T10:00:00Z"));
        assert_eq!(said("soon"), None);
        assert_eq!(of_answer(&HeaderMap::new()), None);
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        const NOW: &str = "Mon, 04 May 2026 10:00:00 GMT";
        for (asked, wanted) in [
            ("7", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Mon, 04 May 2026 10:02:00 GMT", Some(120)),
            ("Mon, 04 May 2026 09:00:00 GMT", Some(0)),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(asked));
            let seconds = |headers: &HeaderMap, now| {
                let pause = asked_pause(headers, now);
                pause.map(|pause| pause.as_secs())
            };
            let now = date(NOW);
            assert_eq!(seconds(&headers, now), wanted, "{asked}, by our clock");
            headers.insert(DATE, HeaderValue::from_static(NOW));
            assert_eq!(seconds(&headers, None), wanted, "{asked}, by its own");
        }
    }
}

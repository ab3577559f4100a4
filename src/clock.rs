//! Where the time comes from, so that tests can move it.

use http::HeaderMap;
use http::header::DATE;
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
    let said = headers.get(DATE)?.to_str().ok()?;
    let read = jiff::fmt::rfc2822::parse(said.trim()).ok()?;
    Some(read.timestamp())
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
}

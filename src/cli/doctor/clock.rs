//! This machine's clock, beside those of whom the receiver talks to.

use jiff::{SignedDuration, Timestamp};

use super::report::{Check, Reading};

/// No clock that is right says an earlier or a later time; 2026-01-01 and 2100-01-01.
const POSSIBLE: std::ops::Range<i64> = 1_767_225_600..4_102_444_800;

/// Events are judged by their age, and signatures expire.
const MOST: SignedDuration = SignedDuration::from_secs(30);

const ADVICE: &str = "let NTP set this machine's clock (timedatectl set-ntp true), or have theirs \
    set: events' ages, stale marks and signatures go by it";

/// Compares the clock, which says `now`, with the others that were read.
pub(super) fn check(readings: &[Reading], now: Timestamp) -> Check {
    let mut check = Check::new("clock");
    if !POSSIBLE.contains(&now.as_second()) {
        check.fail(format!("this machine's clock says {now:.0}"), ADVICE);
    }
    for Reading { whose, ahead } in readings {
        if ahead.abs() <= MOST {
            continue;
        }
        let side = match ahead.is_positive() {
            true => "ahead of",
            false => "behind",
        };
        let far = rounded(ahead.abs());
        check.warn(
            format!("this machine's clock is {far:#} {side} that of {whose}"),
            ADVICE,
        );
    }
    check.tell(match readings {
        [] => format!("{now:.0}; no other clock was at hand"),
        [one] => format!("{now:.0}, compared with that of {}", one.whose),
        many => format!("{now:.0}, compared with those of {} others", many.len()),
    });
    check
}

/// What is long is not said to the second.
fn rounded(long: SignedDuration) -> SignedDuration {
    match long.as_secs() {
        seconds @ ..600 => SignedDuration::from_secs(seconds),
        seconds => SignedDuration::from_mins(seconds.saturating_add(30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(seconds: i64) -> String {
        let reading = Reading {
            whose: "tools.example.com (sink.tickets)".to_owned(),
            ahead: SignedDuration::from_secs(seconds),
        };
        let check = check(&[reading], "2026-05-04T10:00:00Z".parse().unwrap());
        let found = check.found();
        found
            .first()
            .map_or_else(String::new, |found| found.1.to_owned())
    }

    #[test]
    fn a_clock_that_differs_by_more_than_half_a_minute_is_named() {
        for close in [0, 30, -30] {
            assert_eq!(said(close), "");
        }
        let theirs = "that of tools.example.com (sink.tickets)";
        let expected = format!("this machine's clock is 31s ahead of {theirs}");
        assert_eq!(said(31), expected);
        let expected = format!("this machine's clock is 2h behind {theirs}");
        assert_eq!(said(-7201), expected);
    }

    #[test]
    fn a_time_that_cannot_be_is_a_failure() {
        let check = check(&[], "1970-01-01T00:01:00Z".parse().unwrap());
        let what = check.found()[0].1.to_owned();
        assert_eq!(what, "this machine's clock says 1970-01-01T00:01:00Z");
    }
}

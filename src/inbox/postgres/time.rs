//! Times, and the two clocks: the caller's and the database's.
//!
//! What is due and how long a lease lasts is judged by the database's clock alone, which all
//! replicas share. The caller says when by its own; only differences cross over.

use std::time::Duration;

use jiff::Timestamp;

/// No difference is longer: a thousand years, so that sums stay in range.
const LONGEST: i64 = 1000 * 366 * 86_400 * 1_000_000;

/// Microseconds from `now` to `then`.
pub(super) fn until(then: Timestamp, now: Timestamp) -> i64 {
    let micros = then.as_microsecond().saturating_sub(now.as_microsecond());
    micros.clamp(-LONGEST, LONGEST)
}

/// Microseconds of `duration`.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}

/// The time `duration` after `now`.
pub(super) fn after(now: Timestamp, duration: Duration) -> Timestamp {
    timestamp(now.as_microsecond().saturating_add(micros(duration)))
}

/// The time so many microseconds after `now`.
pub(super) fn later(now: Timestamp, micros: i64) -> Timestamp {
    timestamp(now.as_microsecond().saturating_add(micros))
}

/// Microseconds as a time, clamped to what a timestamp can hold.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

//! Which build this is: its version, and its commit and date as far as whoever built it said so.

use std::sync::LazyLock;

use jiff::Timestamp;

/// The package's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What it calls itself to servers that it asks something.
pub const USER_AGENT: &str = concat!("flashduty-receiver/", env!("CARGO_PKG_VERSION"));

/// The hash of the commit it was built from, with `-dirty` behind it where the sources were others;
/// or `unknown`.
pub const COMMIT: &str = env!("BUILT_FROM_COMMIT");

static DATE: LazyLock<String> = LazyLock::new(|| date_of(env!("BUILT_FROM_EPOCH")));

static DESCRIPTION: LazyLock<String> =
    LazyLock::new(|| format!("{VERSION} (commit {COMMIT}, build date {})", date()));

/// When that commit was made, not when somebody compiled it, such as `2026-05-04T10:00:00Z`; or
/// `unknown`.
pub fn date() -> &'static str {
    DATE.as_str()
}

/// All of it in one line, for people.
pub fn description() -> &'static str {
    DESCRIPTION.as_str()
}

/// The date of so many seconds since the Unix epoch; what is no number is said as it is.
fn date_of(epoch: &str) -> String {
    let seconds = epoch.parse::<i64>().ok();
    let date = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    date.map_or_else(|| epoch.to_owned(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_date_is_told_in_utc_or_as_unknown() {
        assert_eq!(date_of("1777888800"), "2026-05-04T10:00:00Z");
        assert_eq!(date_of("unknown"), "unknown");
    }
}
